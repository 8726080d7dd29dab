"""Start programs: bare or in a container, on one node or several, and ask them to stop."""
