"""Sequences of a step by rank and micro-batch, as Megatron's sampler deals them out."""

from tapeout.config.training import Training


def micro_batches(job: Training) -> int:
    """Return the number of micro-batches of each replica in a step."""
    return job.global_batch_size // (job.micro_batch_size * job.layout.replicas)


def replica_of(job: Training, rank: int) -> int:
    """Return the replica of the model that a rank belongs to; its other ranks read the same sequences."""
    layout = job.layout
    return rank // (layout.tensor_model_parallel_size * layout.context_parallel_size) % layout.replicas


def sequences(job: Training, step: int, replica: int, micro_batch: int) -> range:
    """Return the indices of the sequences in one micro-batch of a replica.

    Args:
        job: parameters of the training.
        step: number of the step, from 1.
        replica: index of the replica.
        micro_batch: index of its micro-batch in the step.
    """
    first = (step - 1) * job.global_batch_size + (micro_batch * job.layout.replicas + replica) * job.micro_batch_size
    return range(first, first + job.micro_batch_size)


def batch_sequences(job: Training, step: int, rank: int | None = None) -> list[int]:
    """Return the indices of all sequences of a step, or of those that one rank reads, in its order."""
    if rank is None:
        return list(range((step - 1) * job.global_batch_size, step * job.global_batch_size))
    replica = replica_of(job, rank)
    return [index for number in range(micro_batches(job)) for index in sequences(job, step, replica, number)]
