"""The `anthropic` backend: the Messages API, and a tool loop of ours that is confined to the worktree."""
