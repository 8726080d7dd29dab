"""Search of training text for test units: planted rows are found, and no others."""

import json
import runpy
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tapeout.config.inspection import ContaminationJob, ContaminationSettings
from tapeout.evals.choices import ChoiceQuestion
from tapeout.inspection.contamination import search, text_of_unit, unit_texts

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[2]


def words(random: Random, count: int) -> str:
    return " ".join(f"word{random.randrange(5000)}" for _ in range(count))


def row(text: str, **fields: Any) -> dict[str, Any]:
    return {"digest": sha256(text.encode()).hexdigest(), "source": "alpha", "path": "a.v", "text": text, **fields}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in rows))
    return path


JOB = ContaminationSettings(training=("corpus/domain", "instructions/rtl"))


def test_three_planted_rows_are_found_and_no_others(tmp_path: Path) -> None:
    random = Random(4)
    tests = [row(words(random, 60)) for _ in range(40)]
    documents = [row(words(random, 200)) for _ in range(30)]
    answers = [
        {"digest": f"q{number}", "source": "beta", "category": "c", "input": words(random, 30), "output": "yes"}
        for number in range(20)
    ]
    documents[3] = row(f"{words(random, 50)} {tests[5]['text']} {words(random, 50)}", path="planted.md")
    documents[9] = row("\n".join(tests[17]["text"].upper().split()))
    answers[2]["input"] = f"Explain: {tests[30]['text']}"
    half = tests[21]["text"].split()
    documents[12] = row(f"{words(random, 20)} {' '.join(half[:30])} {words(random, 20)}")
    data = [write(tmp_path / "test.jsonl", tests)]
    training = [write(tmp_path / "domain.jsonl", documents), write(tmp_path / "rtl.jsonl", answers)]
    found = search(unit_texts(data), training, JOB, 1)
    planted = {tests[number]["digest"]: number for number in (5, 17, 30)}
    contained = {digest: unit for digest, unit in found["units"].items() if unit["best"] is not None}
    assert {planted[digest]: unit["share"] for digest, unit in contained.items()} == {5: 1.0, 17: 1.0, 30: 1.0}
    assert contained[tests[5]["digest"]]["best"] == {
        "set": "corpus/domain",
        "digest": documents[3]["digest"],
        "source": "alpha",
        "location": "planted.md",
    }
    assert contained[tests[30]["digest"]]["best"]["set"] == "instructions/rtl"
    assert found["units"][tests[21]["digest"]]["share"] == pytest.approx(18 / 48, abs=1e-6), "30 of 60 words"
    assert sum(unit["share"] > 0 for unit in found["units"].values()) == 4 and len(found["units"]) == 40
    assert found["ngram_words"] == 13 and found["training"] == ["corpus/domain", "instructions/rtl"]


def test_a_unit_in_two_training_sets_unites_their_shares(tmp_path: Path) -> None:
    random = Random(5)
    text = words(random, 53).split()
    data = [write(tmp_path / "test.jsonl", [row(" ".join(text))])]
    training = [
        write(tmp_path / "one.jsonl", [row(" ".join(text[:30]))]),
        write(tmp_path / "two.jsonl", [row(" ".join(text[20:]))]),
    ]
    [unit] = search(unit_texts(data), training, JOB, 1)["units"].values()
    assert unit["share"] == pytest.approx((18 + 21) / 41, abs=1e-6), "41 n-grams, of which two span both"
    assert unit["best"]["set"] == "instructions/rtl"


def test_rows_of_other_forms_and_other_files(tmp_path: Path) -> None:
    """Problems and multiple-choice questions are searched for by all of their texts; a folder has no units."""
    text = words(Random(6), 40)
    problem = {"digest": "p", "source": "mine", "prompt": text, "files": {"b.sv": "end"}, "choices": ["x", "y"]}
    assert text_of_unit(problem) == f"x\ny\nend\n{text}"
    data = [write(tmp_path / "problems.jsonl", [problem, {"no": "digest"}]), tmp_path]
    training = [write(tmp_path / "one.jsonl", [row(text)]), write(tmp_path / "two.jsonl", [])]
    assert search(unit_texts(data), training, JOB, 1)["units"]["p"]["best"]["set"] == "corpus/domain"
    assert search(unit_texts([tmp_path]), training, JOB, 1)["units"] == {}


def test_a_task_whose_data_is_of_another_form_gives_its_texts(tmp_path: Path) -> None:
    """The script, on multiple-choice questions: one of them is in the training text with its choices."""
    random = Random(7)
    questions = [
        {
            **{"question": words(random, 20), "choices": [words(random, 4) for _ in range(4)], "answer": 1},
            **{"area": "rtl", "difficulty": "easy", "explanation": words(random, 9)},
        }
        for _ in range(5)
    ]
    source = tmp_path / "source"
    source.mkdir()
    write(source / "multiple_choice.jsonl", questions)
    text = "\n".join([questions[3]["question"], *questions[3]["choices"]])
    training = [write(tmp_path / "one.jsonl", [row(f"{words(random, 9)} {text}")]), write(tmp_path / "two.jsonl", [])]
    job = ContaminationJob(**JOB.model_dump(), task="multiple_choice", options={})
    main = runpy.run_path(str(ROOT / "scripts" / "contamination.py"))["main"].__wrapped__
    main(job, [source], training, tmp_path / "found.json", 1)
    units = json.loads((tmp_path / "found.json").read_text())["units"]
    asked = ChoiceQuestion.model_validate(questions[3])
    assert len(units) == 5 and {digest for digest, unit in units.items() if unit["share"]} == {asked.digest}
