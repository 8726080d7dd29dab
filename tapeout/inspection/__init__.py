"""Looking at the data before anything trains: what is in a set, what of a test set is in it, what has a loss."""
