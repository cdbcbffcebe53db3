"""What a training run can be given: CPU cores, GPUs, slices of them, and who else computes there."""
