"""The only way to read model files that somebody else made: nothing in them is executed, and nothing is believed."""
