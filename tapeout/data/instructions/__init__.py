"""Instruction data sets: formats, splits and reports."""
