"""Problem sets: one model for problems of any format, and the readers of the formats."""
