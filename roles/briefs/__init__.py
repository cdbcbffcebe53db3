"""What a backend is told for one step: tasks as data, and as one bounded text."""
