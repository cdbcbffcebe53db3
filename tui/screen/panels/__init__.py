"""One panel per file, each drawn from the snapshot that is bound down to it."""
