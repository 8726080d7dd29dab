"""A very small Llama with its tokenizer, and rows to train it on; made anew by every test that wants one."""

import io
import json
from pathlib import Path

import sentencepiece
import torch
from sentencepiece import sentencepiece_model_pb2
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

PIECES = 384
PORTS = ("clk", "reset", "valid", "ready", "address", "data", "enable", "write")
ROWS = [
    {"input": f"module m{n} (input {a}, output {b});\nWhich port is the output?", "output": f"{b}" * (1 + n % 3)}
    for n, (a, b) in enumerate((a, b) for a in PORTS for b in PORTS if a != b)
]


def tokenizer_model() -> bytes:
    """A SentencePiece BPE model of ``PIECES`` pieces, trained on the rows."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(f"{row['input']} {row['output']}" for row in ROWS),
        model_writer=written,
        vocab_size=PIECES,
        model_type="bpe",
        byte_fallback=True,
        pad_id=-1,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        num_threads=1,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(written.getvalue())
    for number in range(PIECES - len(model.pieces)):
        model.pieces.add(piece=f"filler{number}", score=-1e6 - number, type=1)
    return bytes(model.SerializeToString())


def llama(folder: Path) -> Path:
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


def rows_file(path: Path, count: int | None = None) -> Path:
    """The rows, or the first of them, as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:count]))
    return path


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes of every file."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
