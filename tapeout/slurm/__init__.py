"""Interface to a Slurm cluster: submit jobs, query them and report how they ended."""
