"""Learning rate of each step of a training, from its parameters alone."""

import math

from tapeout.config.training import Training


def learning_rate(job: Training, step: int) -> float:
    """Return the learning rate of a step, from 1; NeMo's schedulers give the same (``tapeout.train.schedules``)."""
    done = step - 1 - job.warmup_steps
    low = job.lr * job.min_lr_fraction
    if done < 0:
        return job.lr * step / (job.warmup_steps + 1)
    if job.schedule == "constant":
        return job.lr
    if job.decay_steps is None:  # cosine
        return low + (job.lr - low) * (1 + math.cos(math.pi * done / (job.max_steps - job.warmup_steps))) / 2
    decayed = max(0, step - (job.max_steps - job.decay_steps))
    return job.lr - (job.lr - low) * decayed / (job.decay_steps + 1)
