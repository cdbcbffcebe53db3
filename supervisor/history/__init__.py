"""What other harnesses wrote about their experiments, read and taken over."""
