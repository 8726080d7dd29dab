"""Documents as sequences of equal length."""

from pathlib import Path

import torch
from torch import Tensor

from tapeout.data.encode.packing import windows
from tapeout.errors import TapeoutError
from tapeout.tokenizer.sentencepiece_model import processor
from tapeout.tokenizer.texts import read_texts


class CorpusTooSmall(TapeoutError):
    """The corpus does not fill a single batch."""


def read_documents(corpus: Path, tokenizer: Path) -> list[list[int]]:
    """Token ids of all documents, each as [bos] + pieces + [eos], by SentencePiece itself (D2).

    Raises:
        MalformedRow, EmptyCorpus: as named.
    """
    model = processor(tokenizer.read_bytes())
    texts = read_texts(corpus)
    return [[model.bos_id(), *ids, model.eos_id()] for ids in model.encode(texts, out_type=int)]


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
