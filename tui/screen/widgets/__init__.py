"""What panels are made of: lists, tables, plots, dialogs; they know nothing of a lab."""
