"""Training in NeMo: processes of a layout, checkpoints, log, samples, and the training methods."""
