"""The page about the data: what is in every set, what its gates say, what has a loss."""
