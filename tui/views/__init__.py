"""What a person or a script reads: figures, words and JSON made of a snapshot."""
