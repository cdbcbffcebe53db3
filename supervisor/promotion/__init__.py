"""From a champion to a commit on main: applied on main, measured afresh, shown, landed on a yes."""
