"""Training methods, one module each; see ``tapeout.train.method``."""
