"""Training samples from a tokenized corpus in shards: each component as often as its share of the blend says."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from tapeout.config.dapt import Dapt
from tapeout.data.encode.packing import Ids, endless_order
from tapeout.data.shards.token_files import read_ids
from tapeout.train.samples import Samples, TooLittleData


def blended_samples(blend: Path, shards: Sequence[Path], job: Dapt) -> Samples:
    """Windows of the blend's components, ``job.steps * job.global_batch`` of them, in the order of training.

    Only what is drawn is read. A window lies in one shard and may hold several documents, one after another.

    Args:
        blend: blend.json, which says the shares.
        shards: folders of token ids, in the order of the shards.
        job: length, number and seed.

    Raises:
        TooLittleData: a component fills no window.
        DamagedTokens: a file is no data set of token ids.
    """
    components = orjson.loads(blend.read_bytes())["components"]
    count = job.steps * job.global_batch
    chosen = np.empty((count, job.seq_length + 1), dtype=np.int64)
    turns = in_turn(count, {name: each["fraction"] for name, each in components.items()})
    for number, name in enumerate(sorted(components)):
        (places,) = np.nonzero(turns == number)
        if len(places):
            chosen[places] = windows(name, shards, job, len(places))
    return Samples(chosen[:, :-1], chosen[:, 1:], np.ones((count, job.seq_length), dtype=np.uint8))


def in_turn(count: int, shares: Mapping[str, float]) -> NDArray[np.int64]:
    """The component of each sample, by its place in the sorted names: always the one that is furthest behind its share.

    So every beginning of the training has the blend's shares, to within a sample a component.
    """
    parts = np.array([shares[name] for name in sorted(shares)])
    taken = np.zeros(len(parts))
    turns = np.empty(count, dtype=np.int64)
    for place in range(count):
        turns[place] = number = int(np.argmax(parts * (place + 1) - taken))
        taken[number] += 1
    return turns


def windows(component: str, shards: Sequence[Path], job: Dapt, wanted: int) -> Ids:
    """Windows of a component, [wanted, seq_length + 1], drawn without replacement, epoch after epoch."""
    files = [ids for shard in shards if (ids := read_ids(shard / component)) is not None]
    counts = [max(0, (len(ids) - 1) // job.seq_length) for ids in files]
    ends = np.cumsum(counts)
    if not len(ends) or not ends[-1]:
        raise TooLittleData(
            f"No shard has {job.seq_length + 1} tokens of the component {component}.",
            "Add text to it, lower pretraining.shards, or lower dapt.seq_length.",
        )
    order = endless_order(job.seed, int(ends[-1]), wanted)
    owners = np.searchsorted(ends, order, side="right")
    drawn = np.empty((wanted, job.seq_length + 1), dtype=np.int64)
    for place, (window, owner) in enumerate(zip(order.tolist(), owners.tolist(), strict=True)):
        start = (window - (int(ends[owner]) - counts[owner])) * job.seq_length
        drawn[place] = files[owner][start : start + job.seq_length + 1]
    return drawn
