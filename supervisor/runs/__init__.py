"""Training runs as the lab orders them: what each is given, how it is started and what is taken from it."""
