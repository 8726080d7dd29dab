"""Run steps, and record and show how a run proceeds."""
