"""The command line: one module per command or small family, imported only when it runs."""
