"""What the lab runs of an edit: its training runs, with what each is given, and the lab's own checks."""
