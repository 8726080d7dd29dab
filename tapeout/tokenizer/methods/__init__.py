"""Methods that choose new pieces, one module each; see ``tapeout.tokenizer.method``."""
