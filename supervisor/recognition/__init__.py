"""Recognising labs that were made for something else: one module per kind, each a pure look at tracked files."""
