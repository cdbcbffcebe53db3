"""The role prompts, as Markdown."""
