"""The only home of git: repositories, worktrees, merges and fast-forwards."""
