"""Small byte-level BPE tokenizers in the manner of well-known ones, trained with the library ``tokenizers``."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = "|".join(
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
"""Pattern of Llama 3's words."""
LINES = [
    "module counter (input clk_i, output logic [7:0] q); // é 漢字 😀",
    "\talways_ff @(posedge clk_i) q <= q + 1;\r\n\r\n",
    "It's the model that we've trained; they'll read 12345 numbers.    four blanks",
]
KINDS = ("gpt2", "llama3", "smollm2", "qwen2")


def byte_level(kind: str, lines: Iterable[str] = LINES, size: int = 420, alphabet: bool = True) -> dict[str, Any]:
    """Return a document: GPT-2's and SmolLM2's have their special tokens first, the others after all pieces.

    Args:
        kind: one of ``KINDS``.
        lines: text to train on.
        size: pieces of the model, without special tokens that follow them.
        alphabet: whether all 256 bytes have a piece.
    """
    tokenizer = Tokenizer(models.BPE(ignore_merges=kind == "llama3"))
    words = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind in ("gpt2", "smollm2"))
    before = {"gpt2": [], "smollm2": [pre_tokenizers.Digits(individual_digits=True)]}.get(kind, [words])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*before, as_bytes]) if before else as_bytes
    tokenizer.decoder = decoders.ByteLevel()
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    first = {"gpt2": ["<|endoftext|>"], "smollm2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]}.get(kind, [])
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=first,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [],
        show_progress=False,
    )
    tokenizer.train_from_iterator([line for line in lines for _ in range(20)], trainer)
    if kind == "llama3":
        names = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<s>", "</s>", "[INST]"]
        names += ["<|im_start|>", "<extra_id_1>", "\x11"]
        tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names])
        pieces = [("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))]
        frame = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=pieces)
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), frame])
    if kind == "qwen2":
        tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
        tokenizer.add_tokens([AddedToken("<think>", normalized=False, special=False)])
    document: dict[str, Any] = json.loads(tokenizer.to_str())
    return document


END_OF_TEXT = {"__type": "AddedToken", "content": "<|end_of_text|>", "special": True}
ROLES: dict[str, dict[str, Any]] = {
    "gpt2": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
    "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": END_OF_TEXT},
    "smollm2": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"},
    "qwen2": {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
}


def write_tokenizer(folder: Path, kind: str, **options: Any) -> Path:
    """Write tokenizer.json and tokenizer_config.json as a model folder has them; return the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(byte_level(kind, **options)))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **ROLES[kind]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder / "tokenizer.json"
