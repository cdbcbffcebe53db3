"""What `doctor` looks at: the lab, its backends, the machine's GPUs."""
