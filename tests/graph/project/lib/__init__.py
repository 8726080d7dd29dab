"""Helpers of two of the five steps."""
