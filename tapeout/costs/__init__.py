"""Cost hints of the rules: what a run will compute, download and store, before anything runs."""
