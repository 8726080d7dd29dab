"""Evaluations, one module each."""
