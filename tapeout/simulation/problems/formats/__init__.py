"""Formats of problem sets: one reader a module, loaded by its name (docs/rtl_problems.md)."""
