"""Decide what runs, forecast its cost and explain it."""
