"""Model families, one package each, and the base model: its training and the extension of its vocabulary."""
