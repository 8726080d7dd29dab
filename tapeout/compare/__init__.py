"""What differs between two artifacts, actions or runs, and how much of it is the same."""
