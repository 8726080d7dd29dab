"""Source kinds, one module each: the model of the record, fetching, cost, licence and provenance."""
