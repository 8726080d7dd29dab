"""Cost hints of the rules: computation, downloads and stored bytes, estimated before a run."""
