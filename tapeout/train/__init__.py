"""Trainings: launch, checkpointing, log and methods."""
