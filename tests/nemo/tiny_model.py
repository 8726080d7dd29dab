"""A very small model with its tokenizer, and rows to train it on; created anew by every test that needs one."""

import json
from pathlib import Path

import torch
from sentencepiece import sentencepiece_model_pb2
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

from tapeout.data.encode.prompt import encode_example
from tapeout.encoder.interface import Encoder
from tests.small_tokenizer import train

PIECES = 384
TEMPLATE = "{input}\n### Answer: {output}"
PORTS = ("clk", "reset", "valid", "ready", "address", "data", "enable", "write")
ROWS = [
    {"input": f"module m{n} (input {a}, output {b});\nWhich port is the output?", "output": f"{b}" * (1 + n % 3)}
    for n, (a, b) in enumerate((a, b) for a in PORTS for b in PORTS if a != b)
]


def tokenizer_model() -> bytes:
    """Return a SentencePiece BPE model of ``PIECES`` pieces, trained on the rows."""
    written = train((f"{row['input']} {row['output']}" for row in ROWS), PIECES, hard_vocab_limit=False)
    model = sentencepiece_model_pb2.ModelProto.FromString(written)
    for number in range(PIECES - len(model.pieces)):
        model.pieces.add(piece=f"filler{number}", score=-1e6 - number, type=1)
    return bytes(model.SerializeToString())


def tiny_model(folder: Path) -> Path:
    """Write the model as a Hugging Face folder: 2 layers, 4 heads in 2 groups, norms that are not all 1."""
    folder.mkdir(parents=True)
    (folder / "tokenizer.model").write_bytes(tokenizer_model())
    LlamaTokenizer(str(folder / "tokenizer.model"), legacy=False).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=PIECES,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        torch_dtype="float32",
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


def instruction_set(folder: Path, encoder: Encoder) -> tuple[Path, Path]:
    """Write the rows as an instruction set, and as token ids: all for training, the first ones for validation.

    Returns:
        ``folder/instructions`` and ``folder/encoded``.
    """
    rows, encoded = folder / "instructions", folder / "encoded"
    complete = [{**row, "digest": str(number)} for number, row in enumerate(ROWS)]
    for path in (rows, encoded):
        path.mkdir(parents=True)
    for split, part in (("train", complete), ("validation", complete[:9]), ("test", complete[9:12])):
        lines = []
        for row in part:
            ids, mask = encode_example(encoder, TEMPLATE, row["input"], row["output"])
            lines.append({"ids": ids, "mask": mask, "digest": row["digest"]})
        for path, content in ((rows, part), (encoded, lines)):
            (path / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in content))
    return rows, encoded


def folder_content(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and bytes of every file by relative path."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
