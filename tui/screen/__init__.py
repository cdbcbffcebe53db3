"""The Textual app: what is drawn, which keys there are, and what they ask of the lab."""
