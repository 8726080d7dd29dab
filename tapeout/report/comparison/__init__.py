"""Comparison of evaluation reports with one another."""
