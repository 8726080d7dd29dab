"""Large corpora in shards."""
