"""Reading a diff for what looks like gaming. A flag rejects nothing: it asks for proof and for a person's eyes."""
