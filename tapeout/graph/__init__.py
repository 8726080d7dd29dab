"""The content layer: what a build step is, whether it has been done, and doing it once."""
