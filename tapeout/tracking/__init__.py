"""Metrics of trainings: their journal, and the trackers that it is forwarded to. No step imports this package."""
