"""Realistic inputs of the report, made from a seed: evaluations, logs, tokenizer report, action."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

CATEGORIES = ("complete_declaration", "instantiated_modules", "list_ports", "module_header", "port_direction", "width")
GOOD = {
    "base": {"domain": 2.6, "general": 2.2, "exact": 0.0},
    "dapt": {"domain": 1.9, "general": 2.21, "exact": 0.01},
    "sft": {"domain": 2.0, "general": 2.25, "exact": 0.6},
}
SOURCES = {"trained_on": ["blackparrot", "ibex"], "held_out": ["picorv32", "serv"], "general": ["django"]}
BEHIND = ("base", "base_extended", "corpus/domain", "corpus/general", "dapt/model", "instructions/splits", "sft/model")


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def evaluation(model: str, rates: dict[str, float], prompt: str = "List the ports of fifo.") -> dict[str, Any]:
    """One model's evaluation; documents and rows are the same for every model, noise is mostly shared."""
    shared, own = np.random.default_rng(7), np.random.default_rng(len(model) + ord(model[0]))

    def corpus(name: str, count: int) -> dict[str, Any]:
        documents = []
        for index in range(count):
            size = int(shared.integers(500, 4000))
            rate = rates[name] * float(shared.uniform(0.8, 1.2)) * float(own.uniform(0.98, 1.02))
            documents.append(
                {"digest": digest(f"{name}{index}"), "bytes": size, "tokens": size // 3, "bits": round(size * rate, 4)}
            )
        return {"documents": documents, "documents_in_corpus": count * 5}

    domain, general = corpus("domain", 40), corpus("general", 30)
    scores, answers = [], []
    for index in range(120):
        category = CATEGORIES[index % len(CATEGORIES)]
        hard = 0.4 + 0.2 * (index % len(CATEGORIES))
        exact = bool(own.random() < rates["exact"] * hard)
        row = {"digest": digest(f"row{index}"), "category": category}
        scores.append({**row, "tokens": 12, "bytes": 30, "nats": round(12 * (3.5 - 2 * rates["exact"]), 4)})
        kept = {
            "prompt": f"{prompt} ({index})",
            "expected": "input [3:0] a",
            "generated": "input [3:0] a" if exact else "? < & >",
        }
        answers.append(
            {
                **row,
                "source": "serv",
                "licence": "ISC",
                "exact": exact,
                "rouge_l": 1.0 if exact else round(float(own.random() * 0.5), 4),
                "tokens": 14,
                "finished": model == "sft",
                "kept": kept if index < 12 else None,
            }
        )
    return {
        "template": "{input}\n### Answer: {output}",
        "context": 256,
        "vocabulary": 32768,
        "parameters": 9_000_000,
        "rows_in_test": 480,
        "left_out": 0,
        "expected_over_limit": 1,
        "domain": domain,
        "general": general,
        "answer_scores": scores,
        "answers": answers,
    }


def train_log(first: float, last: float) -> dict[str, Any]:
    noise = np.random.default_rng(1)
    steps = [
        {
            "step": step,
            "loss": last + (first - last) * float(np.exp(-step / 40)) + float(noise.normal(0, 0.08)),
            "learning_rate": 0.001,
            "tokens": step * 1024,
        }
        for step in range(1, 201)
    ]
    validation = [{"step": step, "loss": steps[step - 1]["loss"] + 0.1} for step in (50, 100, 150, 200)]
    return {"steps": steps, "validation": validation, "parameters": 9_000_000, "tokens": 200 * 1024}


@pytest.fixture(scope="session")
def make_inputs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Write all inputs of the report for given rates; return the program's options by name."""

    def make(rates: dict[str, dict[str, float]] = GOOD, prompt: str = "List the ports of fifo.") -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("inputs")
        files: dict[str, Any] = {}
        inputs: dict[str, Any] = {}

        def add(name: str, artifact: str, path: str | None, content: Any) -> None:
            files[name] = folder / f"{name}.json"
            files[name].write_text(json.dumps(content))
            inputs[name] = {"artifact": artifact, "path": path, "digest": digest(json.dumps(content))}

        for model in ("base", "dapt", "sft"):
            add(model, f"evaluation/{model}.json", None, evaluation(model, rates[model], prompt))
        text = {"bytes": 1_024_906, "documents": 206, "tokens_before": 411_653, "tokens_after": 373_049}
        tokenizer = {
            "test": {"domain": text, "general": {**text, "tokens_before": 283_000, "tokens_after": 282_500}},
            "vocabulary": {"base": 32_000, "extended": 32_768, "multiple": 1024},
            "gates": {},
        }
        add("tokenizer", "tokenizer", "report.json", tokenizer)
        add("dapt_log", "dapt/model", "train_log.json", train_log(6.0, 3.0))
        add("sft_log", "sft/model", "train_log.json", train_log(4.0, 0.8) | {"validation": []})
        files["behind"] = []
        inputs["behind"] = []
        for artifact in BEHIND:
            stored = folder / artifact
            stored.mkdir(parents=True)
            (stored / "content").write_text(artifact * 100)
            files["behind"].append(stored)
            inputs["behind"].append({"artifact": artifact, "path": None, "digest": digest(artifact)})
        action = {"artifact": "eval_report", "inputs": inputs, "params": {}}
        files["action"] = folder / "action.json"
        files["action"].write_text(json.dumps(action) + "\n")
        files["params"] = folder / "params.json"
        files["params"].write_text(json.dumps({"resamples": 400, **SOURCES}))
        return files

    return make
