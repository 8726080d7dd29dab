"""What the programs of the steps share."""
