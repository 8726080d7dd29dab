"""Run build steps, and record, show and sum up the progress of a run."""
