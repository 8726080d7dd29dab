"""The page that compares the variants of a sweep."""
