"""Cheats and honest edits, and how they are said."""
