"""Model families and the tiny base model."""
