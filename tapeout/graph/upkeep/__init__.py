"""Verify, repair, rebuild, name and garbage-collect results."""
