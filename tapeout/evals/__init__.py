"""Measures of a model, with their uncertainty."""
