"""Tapeout: a reproducible build graph for adapting large language models to chip design."""
