"""Documents as sequences of equal length."""

from pathlib import Path

import torch
from torch import Tensor

from tapeout.data.encode.packing import windows
from tapeout.data.io.jsonl import read_texts
from tapeout.encoder.load import load_encoder
from tapeout.errors import TapeoutError


class CorpusTooSmall(TapeoutError):
    """The corpus does not fill a single batch."""


def read_documents(corpus: Path, tokenizer: Path) -> list[list[int]]:
    """Token ids of all documents, each as [bos] + pieces + [eos], by SentencePiece itself (D2).

    Raises:
        MalformedRow, EmptyCorpus: as named.
    """
    encoder = load_encoder(tokenizer)
    texts = read_texts(corpus)
    return [[*encoder.bos_ids, *ids, encoder.eos] for ids in encoder.encode_batch(texts)]


def pack(documents: list[list[int]], sequence: int, generator: torch.Generator) -> Tensor:
    """Documents in a drawn order, cut into ``windows`` of ``sequence + 1`` tokens.

    The windows are then shuffled, so that a batch is a mixture of documents.

    Returns:
        token ids, [windows, sequence + 1]; fewer than ``sequence`` tokens at the end are left out.

    Raises:
        CorpusTooSmall: there is not one window.
    """
    order = torch.randperm(len(documents), generator=generator).tolist()
    cut = torch.from_numpy(windows([documents[index] for index in order], sequence))
    if not len(cut):
        raise CorpusTooSmall(
            f"The corpus has {sum(map(len, documents))} tokens, fewer than one sequence of {sequence + 1}.",
            "Add text, or lower base.sequence.",
        )
    return cut[torch.randperm(len(cut), generator=generator)]
