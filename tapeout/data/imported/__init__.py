"""Instruction data that others made, in the formats in which it is passed around."""
