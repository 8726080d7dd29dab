"""Data options that contradict each other, can match nothing, or would train on held-out sources are errors."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeout.config.inspection_scope import InspectionScope
from tapeout.config.instructions import EncodeJob, InstructionSetJob
from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.root import Settings
from tapeout.config.yaml_files import merge

ROOT = Path(__file__).parents[2]
DEFAULT = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources file is named relative to the repository."""
    monkeypatch.chdir(ROOT)


def loaded(**sections: Any) -> Settings:
    return load(merge(DEFAULT, sections))


def refused(words: str, **sections: Any) -> None:
    with pytest.raises(InvalidConfig, match="fix: ") as found:
        loaded(**sections)
    assert words in str(found.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight": 0}, "greater than 0"),
        ({"weight": -1}, "greater than 0"),
        ({"weight": float("inf")}, "a finite number"),
        ({"weight": float("nan")}, "pretraining.components.a.weight must be a finite number"),
        ({"sources": ["serv"]}, "pretraining.components.a.sources names serv, which is held out"),
        (
            {"sources": ["nobody"]},
            "pretraining.components.a.sources names the source nobody, which",
        ),
        ({"sources": []}, "pretraining.components.a.sources must not be empty"),
        (
            {"include": ["rtl/*.v"]},
            'matches no file, because paths begin with /.\n  fix: Write "*/rtl/*.v".',
        ),
        ({"exclude": ["rtl/*.v"]}, "matches no file"),
        ({"include": [""]}, "pretraining.components.a.include.0 must not be empty"),
        ({"include": []}, "pretraining.components.a.include must not be empty"),
    ],
)
def test_components(options: dict[str, Any], words: str) -> None:
    component = {"sources": ["ibex"], "weight": 1, "include": ["*.v", "/rtl/*", "?*", "[/]*"]}
    assert loaded(pretraining={"components": {"a": component}}).pretraining.sources == {"ibex": "a"}
    refused(words, pretraining={"components": {"a": {**component, **options}}})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shards": 0}, "pretraining.shards must be at least 1, not 0"),
        ({"shards": 100_000}, "must be at most 4096"),
        ({"near_duplicates": {"seed": 2**64}}, "less than 18446744073709551616"),
        ({"near_duplicates": {"bands": 7}}, "bands is 7, which does not divide permutations, 128"),
        ({"components": {name: {"sources": ["ibex"], "weight": 1} for name in "ab"}}, "is named twice"),
        (
            {"components": {"a/b": {"sources": ["ibex"], "weight": 1}}},
            "the name a/b in pretraining.components may contain",
        ),
    ],
)
def test_pretraining(options: dict[str, Any], words: str) -> None:
    refused(words, pretraining=options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "prompt_response", "fields": {"response": "context"}}, "must be different fields"),
        ({"format": "prompt_response", "max_row_bytes": 10**20}, "must be at most 1073741824"),
        ({"format": "squad", "impossible_answer": " "}, "impossible_answer must not be blank"),
        ({"format": "rtl", "sources": ["ibex"]}, "sources would have no effect"),
        ({"format": "rtl", "bad_rows": "drop"}, "bad_rows would have no effect"),
        ({"format": "messages", "split": {"validation": 0.5, "test": 0.5}}, "leave nothing to train on"),
        (
            {"format": "messages", "split": {"validation": float("nan")}},
            "ibex.split.validation must be a finite number",
        ),
    ],
)
def test_instruction_sets(options: dict[str, Any], words: str) -> None:
    refused(words, instructions={"sets": {"ibex": options}, "train": ["ibex"]})


def test_a_source_that_two_sets_would_split() -> None:
    sets = {name: {"format": "prompt_response", "sources": ["django"]} for name in ("a", "b")}
    loaded(instructions={"sets": sets, "train": ["a"]})
    refused(
        "the sets a and b of instructions.train both read the source django",
        instructions={"sets": sets, "train": ["a", "b"]},
    )


def test_a_held_out_core_under_another_name(tmp_path: Path) -> None:
    sources = yaml.safe_load((ROOT / "config" / "sources.yaml").read_text())
    sources["copied"] = {**sources["serv"], "licence": "other"}
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump(sources))
    loaded(sources=str(tmp_path / "sources.yaml"))
    refused(
        "the source copied is the same file as serv, which is held out",
        sources=str(tmp_path / "sources.yaml"),
        pretraining={"components": {"a": {"sources": ["copied"], "weight": 1}}},
    )


def test_location_and_byte_order_mark_of_a_template_are_no_identity(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        path = tmp_path / name / "template"
        path.parent.mkdir()
        path.write_text("{context} {question}", encoding="utf-8-sig" if name == "b" else "utf-8")
        sets = {"ibex": {"format": "squad", "template": str(path)}, "cv32e40p": {"format": "messages"}}
        prompt = {"tokens": "template", "chat_template": str(path)}
        settings = loaded(instructions={"sets": sets, "train": ["ibex"], "prompt": prompt})
        encoding = settings.encoding()
        found.append([settings.instruction_set(name).identity() for name in sets] + [encoding.identity()])
        assert EncodeJob.model_validate_json(encoding.model_dump_json()).chat_template == "{context} {question}"
        job = settings.instruction_set("ibex").model_dump_json()
        assert InstructionSetJob.model_validate_json(job).options.format == "squad"
    assert found[0] == found[1] and str(tmp_path) not in str(found)


def test_a_template_is_taken_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "template.txt").write_bytes(b"{context}\r\n{question}\r\n")
    sets = {"ibex": {"format": "squad", "template": str(tmp_path / "template.txt")}}
    job = loaded(instructions={"sets": sets, "train": ["ibex"]}).instruction_set("ibex").identity()
    assert job["options"]["template"] == "{context}\r\n{question}\r\n"


def test_another_threshold_rebuilds_no_shard() -> None:
    jobs = []
    for near in ({"threshold": 0.7, "bands": 32}, {"threshold": 0.9}, {"ngram_words": 3}):
        found = loaded(pretraining={"near_duplicates": near}).pretraining.near_duplicates
        assert found is not None
        jobs.append(found.minhash.identity())
    assert jobs[0] == jobs[1] == {"ngram_words": 5, "permutations": 128, "seed": 1} != jobs[2]


COMPONENTS = {"a": {"sources": ["ibex"], "weight": 1}}


@pytest.mark.parametrize("bound", [float("nan"), float("inf"), -0.1, 5])
def test_a_bound_for_a_single_set_is_a_fraction(bound: float) -> None:
    refused(
        "data_report.gates.dropped_of.corpus/domain must be",
        data_report={"gates": {"dropped_of": {"corpus/domain": bound}}},
    )


@pytest.mark.parametrize("near_duplicates", [None, {}])
@pytest.mark.parametrize("reads", ["corpus", "pretraining"])
def test_whatever_a_training_reads_is_measured(reads: str, near_duplicates: Any) -> None:
    pretraining = {"shards": 2, "components": COMPONENTS, "near_duplicates": near_duplicates}
    scope = InspectionScope(loaded(pretraining=pretraining, dapt={"reads": reads}))
    assert set(scope.trained) <= {*scope.sets, *scope.measured_steps, "pretraining"}
    assert ("pretraining/near" in scope.trained) == (reads == "pretraining" and near_duplicates is not None)
