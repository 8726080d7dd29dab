"""Data formats: each module has the ``Options`` of a set and a function ``rows``; see docs/extending.md."""
