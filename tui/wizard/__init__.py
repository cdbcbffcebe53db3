"""The questions that make a lab of any project."""
