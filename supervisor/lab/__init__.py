"""A lab as it lies on the disk: its paths, configuration, programs, notes and locks."""
