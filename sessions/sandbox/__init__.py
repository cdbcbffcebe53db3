"""What runs and clients are kept away from, by what this system offers."""
