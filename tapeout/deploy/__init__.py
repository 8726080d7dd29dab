"""Export models in the formats of servers, and prove that they are the trained model."""
