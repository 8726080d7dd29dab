"""Instruction rows as token ids with loss masks, and their packing into sequences."""
