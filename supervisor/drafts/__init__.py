"""An edit on its way to becoming an experiment: the junior's workspace, the guard, the lab's own checks."""
