"""Start programs: bare or in a container, on one node or several."""
