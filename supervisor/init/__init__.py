"""Making a lab: what a repository is, what is asked, what is written."""
