"""Evaluate models: tasks, likelihood, generation and answers."""
