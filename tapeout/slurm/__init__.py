"""What the graph asks of a Slurm cluster, and how it says what became of a job."""
