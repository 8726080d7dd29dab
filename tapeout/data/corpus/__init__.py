"""Documents, deduplication and corpora."""
