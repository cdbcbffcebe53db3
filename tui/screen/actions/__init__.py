"""What a person can do: the table of keys, and how what is wanted gets from a key to the lab."""
