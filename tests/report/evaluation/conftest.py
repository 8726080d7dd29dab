"""Realistic inputs of the report, made from a seed: results of the tasks, logs, tokenizer report, action."""

import json
import runpy
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
Make = Callable[..., dict[str, Any]]
Write = Callable[[dict[str, Any], Path], Path]
CATEGORIES = ("complete_declaration", "instantiated_modules", "list_ports", "module_header", "port_direction", "width")
MODELS = {"base": "base", "dapt": "dapt/model", "sft": "sft/model"}
GOOD = {
    "base": {"domain": 2.6, "general": 2.2, "exact": 0.0},
    "dapt": {"domain": 1.9, "general": 2.21, "exact": 0.01},
    "sft": {"domain": 2.0, "general": 2.25, "exact": 0.6},
}
SOURCES = {"domain": ("picorv32", "serv"), "general": ("django",)}
UPSTREAM = (
    *("base_extended", "corpus/domain", "corpus/general", "instructions/rtl", "problems/toys"),
    "sources/multiple_choice",
)
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "bits_per_byte": ("bits_per_byte", {}),
    "instruction_answers/rtl": ("instruction_answers", {"data": "instructions/rtl"}),
}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def corpora(model: str, rates: dict[str, float]) -> dict[str, Any]:
    """Return a result of bits_per_byte; documents are the same for every model, noise is mostly shared."""
    shared, own = np.random.default_rng(7), np.random.default_rng(len(model) + ord(model[0]))

    def corpus(name: str, count: int) -> dict[str, Any]:
        documents = []
        for index in range(count):
            size = int(shared.integers(500, 4000))
            rate = rates[name] * float(shared.uniform(0.8, 1.2)) * float(own.uniform(0.98, 1.02))
            source = SOURCES[name][index % len(SOURCES[name])]
            text = {"digest": digest(f"{name}{index}"), "source": source, "bytes": size, "tokens": size // 3}
            documents.append({**text, "bits": round(size * rate, 4)})
        share = count * 5 // len(SOURCES[name])
        return {"documents": documents, "documents_by_source": dict.fromkeys(SOURCES[name], share)}

    return {"corpora": {"domain": corpus("domain", 40), "general": corpus("general", 30)}}


def answers(model: str, rates: dict[str, float], prompt: str) -> dict[str, Any]:
    """Return a result of instruction_answers on the same rows for every model."""
    own = np.random.default_rng(len(model) + ord(model[0]))
    scores, rows = [], []
    for index in range(120):
        category = CATEGORIES[index % len(CATEGORIES)]
        exact = bool(own.random() < rates["exact"] * (0.4 + 0.2 * (index % len(CATEGORIES))))
        row = {"digest": digest(f"row{index}"), "category": category}
        scores.append({**row, "tokens": 12, "bytes": 30, "nats": round(12 * (3.5 - 2 * rates["exact"]), 4)})
        rows.append(
            {
                **row,
                "source": "serv",
                "licence": "ISC",
                "prompt": f"{prompt} ({index})",
                "expected": "input [3:0] a",
                "accepted": ["input [3:0] a"],
                "generated": "input [3:0] a" if exact else "? < & >",
                "exact": exact,
                "token_f1": 1.0 if exact else 0.25,
                "squad_exact": exact,
                "squad_f1": 1.0 if exact else 0.5,
                "rouge_l": 1.0 if exact else round(float(own.random() * 0.7), 4),
                "tokens": 14,
                "finished": model == "sft",
                "well_formed": model == "sft" and index > 0,
            }
        )
    return {
        "template": "{input}\n### Answer: {output}",
        "rows_in_test": 480,
        "left_out": 0,
        "expected_over_limit": 1,
        "answer_scores": scores,
        "turn_scores": [],
        "answers": rows,
    }


def choices(model: str, rates: dict[str, float]) -> dict[str, Any]:
    """Return a result of multiple_choice: 80 questions, each asked twice, a share ``choice`` of them answered right."""
    own = np.random.default_rng(len(model) + ord(model[0]))
    questions = []
    for index in range(80):
        answer, attempts = index % 4, []
        for seed in (1, 2):
            wrong = int(own.integers(1, 4))
            chosen = answer if own.random() < rates["choice"] else (answer + wrong) % 4
            values = [-1.0 if position == chosen else -9.5 for position in range(4)]
            attempts.append({"seed": seed, "shots": 3, "log_likelihoods": values})
        question = {
            **{"question": f"What is {index} < & >?", "choices": ["one", "two", "six", "ten"], "answer": answer},
            **{"area": ("rtl", "timing")[index % 2], "difficulty": ("easy", "hard")[index // 2 % 2]},
            **{"id": f"q{index}", "explanation": "Because."},
        }
        questions.append({"digest": digest(f"choice{index}"), "question": question, "attempts": attempts})
    return {"scoring": "text", "in_source": 90, "left_out": 1, "questions": questions}


def harness(model: str) -> dict[str, Any]:
    """Return a result of lm_eval: two tasks with a group, text, and BLEU, in which the tuned model is worse."""
    worse = model == "sft"

    def task(name: str, kind: str, key: str, values: list[Any], higher: bool = True, total: int = 0) -> dict[str, Any]:
        documents = [
            {"digest": digest(f"{name}{index}"), "responses": [], "values": {f"{key},none": value}}
            for index, value in enumerate(values)
        ]
        metric = {"name": key, "filter": "none", "aggregation": kind, "higher_is_better": higher}
        return {
            **{"name": name, "version": "1.5", "config": digest(name), "data_set": "", "shots": 2},
            **{"output_type": "multiple_choice", "in_task": total or len(values), "truncated": 3 if worse else 0},
            "metrics": [{**metric, "value": 0.5, "stderr": None if kind == "bits_per_byte" else 0.25}],
            "documents": documents,
        }

    many = task("many", "mean", "acc", [float(index % 10 > (4 if worse else 0)) for index in range(60)], total=80)
    few = task("few", "mean", "acc", [1.0, 0.0])
    text = task("text", "bits_per_byte", "bits_per_byte", [[-30.0 - 20 * worse, 20.0 + i] for i in range(12)], False)
    bleu = task("translated", "other", "bleu", [["a", "b"]])
    group = {"group": "both", "name": "acc", "filter": "none", "weighted": False, "tasks": ["few", "many"]}
    return {
        "version": "0.4.13",
        "tasks": [few, many, text, bleu],
        "groups": [{**group, "value": 0.7, "stderr": None}],
    }


def echoes(model: str) -> dict[str, Any]:
    """Return a result of the toy task."""
    return {"repeated": {digest(f"general{index}"): index % 3 == len(model) % 3 for index in range(9)}}


def contamination(contained: Mapping[str, float]) -> dict[str, Any]:
    """Return what the training text contains of all units; ``contained`` are shares by the name of the unit."""
    names = [f"{kind}{index}" for kind in ("domain", "general", "row") for index in range(120)]
    best = {"set": "corpus/domain", "digest": digest("training"), "source": "alpha", "location": "docs/vendored.md"}
    units = {
        digest(name): {"share": share, "short": False, "best": best if share >= 0.5 else None}
        for name in names
        for share in [contained.get(name, 0.01)]
    }
    return {"ngram_words": 13, "min_overlap": 0.5, "training": ["corpus/domain", "instructions/rtl"], "units": units}


def completions(model: str) -> dict[str, Any]:
    """Return a result of verilog_completion: the tuned model is right, the others are wrong every other time."""

    def completion(kind: str, index: int) -> dict[str, Any]:
        own = {"digest": digest(f"{kind}{index}"), "source": "serv", "expected": "wire  a;"}
        own["before"] = "module m;\n"
        stratum = ("same_name", "other_name")[index % 2] if kind == "port" else ""
        return {**own, "stratum": stratum, "generated": " wire a;" if model == "sft" or index % 2 else "reg a;"}

    prefix = "module m (input a);\n"
    written = "wire b;" if model == "sft" else "wire = ;"
    items = [
        {"digest": digest(f"item{index}"), "source": "serv", "prefix": prefix, "generated": written}
        for index in range(12)
    ]
    items.append({**items[0], "digest": digest("macro"), "prefix": "module m;\n`ELSEWHERE(a)\n"})
    lines, ports = ([completion(kind, index) for index in range(20)] for kind in ("line", "port"))
    return {"lines": lines, "ports": ports, "items": items}


GOLDEN = 'module top (\n  input  logic a,\n  output logic b\n);\n  assign b = a; // "<"\nendmodule\n'
JUDGEMENTS: tuple[dict[str, Any], ...] = (
    {"rung": "passes", "reason": None},
    {"rung": "simulates", "reason": "wrong_output", "detail": "FAIL b is 1, not 6, at 20"},
    {"rung": "extracted", "reason": "syntax_error", "detail": "%Error: answer.sv:1:8: syntax error"},
    {"rung": "nothing", "reason": "no_room"},
)


def generations(model: str) -> dict[str, Any]:
    """Return a result of verilog_generation: the tuned model gets to each step, the others have no room."""

    def attempt(number: int, judgement: dict[str, Any]) -> dict[str, Any]:
        code = "" if judgement["rung"] == "nothing" else GOLDEN.replace("= a", f"= {number} + a")
        answer = None if judgement["reason"] == "no_room" else f"Here it is:\n{code}"
        facts = {"number": 0, "prompt": "", "finished": True, "tokens": 9, "extracted": code}
        return {**facts, "answer": answer, "judgement": judgement}

    designs = [
        {
            **{"name": f"toy{index}", "digest": digest(f"toy{index}"), "title": "A wire", "category": "wires"},
            **{"difficulty": "easy", "prompt": "Design a wire.", "golden": GOLDEN, "unusable": ""},
            "attempts": [attempt(index, judgement if model == "sft" else JUDGEMENTS[-1])],
        }
        for index, judgement in enumerate(JUDGEMENTS)
    ]
    simulator = {"name": "Verilator", "version": "5.48.0", "digest": "", "flags": []}
    return {
        **{"designs": designs, "simulator": simulator, "isolation": "namespaces", "extraction_rule": digest("rule")},
        **{"second": None, "compared": 0, "disagreements": [], "mutants": 0, "survivors": []},
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
    """Write all inputs of the report; return the options of the script by name."""

    def make(
        rates: dict[str, dict[str, float]] = GOOD,
        prompt: str = "List the ports of fifo.",
        models: dict[str, str] = MODELS,
        tasks: dict[str, tuple[str, dict[str, Any]]] = TASKS,
        contained: Mapping[str, float] | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("inputs")
        inputs: dict[str, Any] = {"evaluations": [], "contamination": [], "models": [], "upstream": []}
        files: dict[str, Any] = {"evaluations": [], "contamination": [], "models": [], "upstream": []}

        def add(name: str, artifact: str, content: str, part: str | None = None, path: str = "") -> Path:
            file = folder / artifact / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
            named = {"artifact": artifact, "path": part, "digest": digest(artifact + content)}
            inputs[name] = [*inputs[name], named] if name in inputs else named
            return file

        for model, artifact in models.items():
            results = {
                "bits_per_byte": lambda model=model: corpora(model, rates[model]),
                "instruction_answers/rtl": lambda model=model: answers(model, rates[model], prompt),
                "multiple_choice": lambda model=model: choices(model, rates[model]),
                "tests.toys.toy_task": lambda model=model: echoes(model),
                "verilog_completion": lambda model=model: completions(model),
                "lm_eval": lambda model=model: harness(model),
                "verilog_generation/toys": lambda model=model: generations(model),
            }
            facts = {"context": 256, "vocabulary": 32768, "parameters": 9_000_000}
            for task in tasks:
                content = json.dumps({"model": facts, "result": results[task]()})
                files["evaluations"].append(add("evaluations", f"evaluation/{model}/{task}.json", content))
            log = {**train_log(6.0, 3.0), **({"validation": []} if model == "sft" else {})}
            add("models", artifact, json.dumps(log), path="config.json" if model == "base" else "train_log.json")
            files["models"].append(folder / artifact)
        for task in tasks:
            content = json.dumps(contamination(contained or {}))
            files["contamination"].append(add("contamination", f"contamination/{task}.json", content))
        text = {"bytes": 1_024_906, "documents": 206, "tokens_before": 411_653, "tokens_after": 373_049}
        tokenizer = {
            "test": {"domain": text, "general": {**text, "tokens_before": 283_000, "tokens_after": 282_500}},
            "vocabulary": {"base": 32_000, "extended": 32_768, "multiple": 1024},
            "gates": {},
        }
        files["tokenizer"] = add("tokenizer", "tokenizer", json.dumps(tokenizer), "report.json", "report.json")
        for artifact in UPSTREAM:
            files["upstream"].append(add("upstream", artifact, artifact * 100, path="content").parent)
        files["action"], files["params"] = folder / "action.json", folder / "params.json"
        files["action"].write_text(json.dumps({"artifact": "eval_report", "inputs": inputs, "params": {}}) + "\n")
        job = {
            "resamples": 400,
            "permutations": 2_000,
            "adaptation": {},
            "models": list(models.items()),
            "tasks": [(name, module, options) for name, (module, options) in tasks.items()],
            "exported": "sft/model",
            "not_evaluated": ["questions"],
            "not_searched": [],
            "trained_on": ["blackparrot", "ibex"],
            "held_out": ["picorv32", "serv"],
            "general": ["django"],
        }
        files["params"].write_text(json.dumps({**job, **params}))
        return files

    return make


@pytest.fixture(scope="session")
def write_report() -> Write:
    """Return the main function of the script, from inputs to an output folder."""
    from tapeout.config.report import EvalReportJob  # not in every environment that collects these tests

    main = runpy.run_path(str(ROOT / "scripts" / "eval_report.py"))["main"].__wrapped__

    def write(files: dict[str, Any], output: Path) -> Path:
        job = EvalReportJob.model_validate_json(files["params"].read_bytes())
        main(job, **{name: value for name, value in files.items() if name != "params"}, output=output)
        return output

    return write


@pytest.fixture(scope="session")
def report(make_inputs: Make, write_report: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_inputs(), tmp_path_factory.mktemp("good") / "report")
