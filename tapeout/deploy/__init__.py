"""What users get: exported models in the formats of servers, and the proof that they are the trained model."""
