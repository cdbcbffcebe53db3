"""Where an agent lives and where training runs: tmux, git worktrees, devices, child processes.

The ground floor: it knows the machine and nothing about research. It imports no other package of ours.
"""
