"""Inspection of the data before training: counts, contamination of test sets, split leakage, loss masks, gates."""
