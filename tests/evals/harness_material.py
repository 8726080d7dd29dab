"""A folder with tasks of lm-eval and their data."""

import json
from pathlib import Path
from typing import Any

import yaml

CHOICES = [
    {"question": f"Which word ends {word}?", "choices": ["end", "endmodule", f"{word} q"], "answer": index % 3}
    for index, word in enumerate(("module", "case", "begin", "function", "generate", "fork", "task"))
]
TEXTS = [
    {"text": "module fifo (input wire clk, output reg q);\n  assign q = d;\nendmodule\n" * repeats}
    for repeats in (1, 2, 5)
]
PROMPTS = [
    {"prompt": f"assign {name} =", "answer": answer} for name, answer in (("q", " d;"), ("clk", " 0;"), ("d", "?"))
]
CHOICE: dict[str, Any] = {
    "task": "rtl_choice",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"train": "data/shots.jsonl", "test": "data/choices.jsonl"}},
    "output_type": "multiple_choice",
    "training_split": "train",
    "test_split": "test",
    "fewshot_split": "train",
    "num_fewshot": 1,
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_choice": "choices",
    "doc_to_target": "answer",
    "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")],
    "metadata": {"version": 1.5},
}
FILES: dict[str, dict[str, Any]] = {
    "choice.yaml": CHOICE,
    "few.yaml": {
        "include": "choice.yaml",
        "task": "few_choices",
        "dataset_kwargs": {"data_files": {"train": "data/shots.jsonl", "test": "data/few.jsonl"}},
    },
    "both.yaml": {
        "group": "both",
        "task": ["rtl_choice", "few_choices"],
        "aggregate_metric_list": [{"metric": "acc", "weight_by_size": False}],
    },
    "text.yaml": {
        "task": "rtl_text",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "data/texts.jsonl"}},
        "output_type": "loglikelihood_rolling",
        "test_split": "test",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
    },
    "next.yaml": {
        "task": "rtl_next",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "data/prompts.jsonl"}},
        "output_type": "loglikelihood",
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
    },
    "write.yaml": {
        "task": "rtl_write",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "data/prompts.jsonl"}},
        "output_type": "generate_until",
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["\n", ";"], "max_gen_toks": 12},
        "metric_list": [{"metric": "exact_match"}, {"metric": "chrf"}],
    },
}
NAMES = ("both", "rtl_text", "rtl_next", "rtl_write")


def write_folder(folder: Path) -> Path:
    """Write the files."""
    (folder / "data").mkdir(parents=True)
    data = {"choices": CHOICES[:5], "few": CHOICES[3:5], "shots": CHOICES[5:], "texts": TEXTS, "prompts": PROMPTS}
    for name, rows in data.items():
        (folder / f"data/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, content in FILES.items():
        (folder / name).write_text(yaml.safe_dump(content))
    return folder
