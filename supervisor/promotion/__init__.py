"""From a champion to a commit on its base branch: applied there, measured afresh, shown, landed on a yes."""
