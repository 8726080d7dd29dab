"""Facts, excerpts and questions from RTL."""
