"""Decide what runs, forecast its cost and explain why it runs."""
