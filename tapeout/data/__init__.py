"""Corpora, instruction data, splits and masks: exact and independent of order."""
