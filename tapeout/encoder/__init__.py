"""Text to token ids and back, behind one interface; the only package that knows a tokenizer library."""
