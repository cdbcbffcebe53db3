"""The only home of tmux: the lab's private server, its windows and panes."""
