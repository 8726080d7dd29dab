"""Instruction rows as token ids with loss masks, and packing."""
