"""One training run: its contract, the runner that makes it, and what came of it."""
