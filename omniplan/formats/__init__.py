"""One module per file format: launches to text, and into a file that is there."""
