"""A real Slurm on this machine, and the graph on it."""
