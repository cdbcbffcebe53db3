"""What the measurements mean. Pure: from a snapshot or its parts, with no store, git or tmux."""
