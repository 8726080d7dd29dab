"""Write the input of ``benchmarks/tokenizer_quality_gpu.py``: the default corpora as tokens of several vocabularies.

Run ``python -m benchmarks.tokenizer_quality FOLDER`` in the nemo environment, after the rules ``base``,
``corpus/domain`` and ``corpus/general``; it takes three minutes. The vocabularies differ in ``tokenizer.min_cohesion``
and ``tokenizer.new_pieces``. Each reads the same documents, cut as continued pretraining cuts them.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tapeout.config.dapt import Dapt
from tapeout.config.tokenizer import Tokenizer
from tapeout.data.io.jsonl import read_texts, read_texts_by_source
from tapeout.data.io.text import beginning
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load_vocabulary import load_vocabulary
from tapeout.tokenizer.checks import measure
from tapeout.tokenizer.extension import extend_vocabulary
from tapeout.tokenizer.surgery import parts_of_new_pieces

RESULTS = Path("results")
COHESIONS = (0.0, 0.1, 0.15, 0.2, 0.25)
NEW_PIECES = 768
TEST_BYTES, DOCUMENT_BYTES = 150_000, 4_096
"""Test text of a corpus, and of one of its documents."""


def tokens(encoder: Encoder, texts: list[str]) -> Any:
    """Return the ids of texts, each between the ids that begin and end a sequence, as 16-bit numbers."""
    limit = Dapt.model_fields["max_document_bytes"].default
    ids = (encoder.encode(beginning(text, limit)) for text in texts)
    return np.array(
        [number for document in ids for number in (*encoder.bos_ids, *document, encoder.eos)], dtype=np.uint16
    )


def excerpts(texts: list[str]) -> list[str]:
    """Return the beginnings of test documents, of equal distances in the corpus."""
    step = max(1, len(texts) * DOCUMENT_BYTES // TEST_BYTES)
    return [beginning(text, DOCUMENT_BYTES) for text in texts[::step]]


def main() -> None:
    """Write one array file, the parts of the new pieces, and the base model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    base = load_vocabulary(RESULTS / "base" / "tokenizer.model")
    train = {name: read_texts_by_source(RESULTS / "corpus" / name / "train.jsonl") for name in ("domain", "general")}
    test = {name: read_texts(RESULTS / "corpus" / name / "test.jsonl") for name in train}
    arrays: dict[str, Any] = {}
    variants: dict[str, dict[str, Any]] = {}
    for cohesion in (None, *COHESIONS):
        name = "none" if cohesion is None else f"{cohesion:g}"
        extended, chosen = base, 0
        if cohesion is not None:
            options = {"new_pieces": NEW_PIECES, "multiple": 1, "min_cohesion": cohesion}
            job = Tokenizer.model_validate(options | {"selection": {"by": "coverage", "share": 1}})
            extension = extend_vocabulary(base, train["domain"], train["general"], job, arguments.threads)
            extended, chosen = extension.vocabulary, len(extension.pieces)
        for corpus, by_source in train.items():
            texts = [text for texts in by_source.values() for text in texts]
            arrays[f"{name}-{corpus}-train"] = tokens(extended.encoder, texts)
            ids = [extended.encoder.encode(text) for text in excerpts(test[corpus])]
            arrays[f"{name}-{corpus}-test"] = np.array([number for row in ids for number in row], dtype=np.uint16)
            arrays[f"{name}-{corpus}-lengths"] = np.array([len(row) for row in ids])
        variants[name] = {
            "parts": [list(map(int, parts)) for parts in parts_of_new_pieces(base, extended)] if chosen else [],
            "saved": 0 - measure(base.encoder, extended.encoder, test["domain"], arguments.threads).change,
        }
        print(name, chosen, variants[name]["saved"], flush=True)
    sizes = {corpus: sum(len(text.encode()) for text in excerpts(test[corpus])) for corpus in test}
    np.savez_compressed(arguments.folder / "tokens.npz", **arrays)
    (arguments.folder / "variants.json").write_text(json.dumps({"variants": variants, "test_bytes": sizes}))
    shutil.copy(RESULTS / "base" / "model.safetensors", arguments.folder)


if __name__ == "__main__":
    main()
