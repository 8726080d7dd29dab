"""Evaluation report with what was measured while its artifacts were built."""
