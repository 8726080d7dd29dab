"""Three small documents, and a random embedding model in the layout of sentence-transformers."""

import hashlib
from pathlib import Path

from tapeout.data.io.jsonl import write_jsonl

FIFO = """// A queue.
module fifo (
  input wire clk,
  input wire [7:0] in_data, // what enters
  output wire full
);
  parameter DEPTH = 16;
  counter c (.clk(clk));
endmodule
"""
UART = """module uart (
  input wire clk,
  output wire tx
);
  wire [3:0] state;
endmodule
"""
CACHE = """module cache (
  input wire [31:0] address,
  output wire hit
);
  /* lines */ parameter WAYS = 4;
endmodule
"""
TRAIN = {"rtl/cache.v": CACHE}
TEST = {"rtl/fifo.v": FIFO, "rtl/uart.v": UART}


def row(source: str, path: str, text: str) -> dict[str, str]:
    """Return a row of a corpus."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"text": text, "source": source, "path": path, "licence": "ISC", "digest": digest}


def corpus(folder: Path, train: dict[str, str] = TRAIN, test: dict[str, str] = TEST) -> Path:
    """Write a corpus: texts of the cores ``seen`` and ``unseen`` by path."""
    folder.mkdir(parents=True)
    for split, core, texts in (("train", "seen", train), ("test", "unseen", test)):
        write_jsonl(folder / f"{split}.jsonl", [row(core, path, text) for path, text in texts.items()])
    return folder


def tiny_embedder(folder: Path, seed: int = 0) -> Path:
    """Write a random BERT of 2 layers whose vocabulary is the letters, digits and punctuation of ASCII."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.normalize import Normalize
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules.pooling import Pooling
    from transformers import BertConfig, BertModel, BertTokenizerFast

    plain, pieces = folder.with_name(f"{folder.name}.plain"), [chr(code) for code in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *(f"##{piece}" for piece in pieces)]
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=256, **sizes)).save_pretrained(plain)
    words = {piece: number for number, piece in enumerate(vocabulary)}
    BertTokenizerFast(vocab=words, do_lower_case=True, model_max_length=256).save_pretrained(plain)
    transformer = Transformer(str(plain))
    model = SentenceTransformer(modules=[transformer, Pooling(16), Normalize()], device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    return folder
