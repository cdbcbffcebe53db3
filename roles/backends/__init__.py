"""What can think for an agent: the Messages API, the clients of others, a search of our own; and which there are."""
