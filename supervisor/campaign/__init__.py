"""Starting, joining and resuming a campaign."""
