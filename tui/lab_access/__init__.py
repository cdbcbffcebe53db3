"""All that the screen and the command line ask of a lab."""
