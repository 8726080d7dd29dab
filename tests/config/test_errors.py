"""Errors of a configuration: all of them, each with file, line, key and fix, in plain English."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tapeout.config.bases import tiny
from tapeout.config.load import load_files, load_site
from tapeout.config.problems import InvalidConfig
from tapeout.config.root import Settings
from tapeout.config.site import Site
from tapeout.data.instructions.formats import prompt_response, rtl, squad
from tapeout.evals.answers import Options as AnswerOptions
from tapeout.evals.tasks.bits_per_byte import Options as BitsOptions
from tapeout.models.llama import Architecture

ROOT = Path(__file__).parents[2]
DEFAULT = "config/default.yaml"
LEAKS = re.compile(
    r"Input should|valid (dictionary|list|tuple|string|integer|number|boolean)|instance of|Extra inputs|"
    r"Field required|Value error|unable to|pydantic|Traceback|[a-z]+_(type|parsing|error)\b|greater than or equal"
)
Keys = tuple[str, ...]


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default files are named relative to the repository."""
    monkeypatch.chdir(ROOT)


def fields(model: type[BaseModel], prefix: Keys = ()) -> Iterator[tuple[Keys, Any, Any]]:
    """Yield location, type and metadata of every value that a file can set."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        forms = get_args(kind) if get_origin(kind) is UnionType else (kind,)
        sections = [form for form in forms if isinstance(form, type) and issubclass(form, BaseModel)]
        if sections and not sections[0].__abstractmethods__:
            yield from fields(sections[0], (*prefix, name))
        yield (*prefix, name), kind, field.metadata


PLUGINS = {
    ("instructions", "sets", "rtl"): rtl.Options,
    ("instructions", "sets", "questions"): prompt_response.Options,
    ("instructions", "sets", "squad"): squad.Options,
    ("base",): tiny.Base,
    ("base", "architecture"): Architecture,
    ("evaluation", "tasks", "bits_per_byte"): BitsOptions,
    ("evaluation", "tasks", "instruction_answers"): AnswerOptions,
}
MODELS: list[tuple[type[BaseModel], Keys]] = [(Settings, ()), *((model, key) for key, model in PLUGINS.items())]
FIELDS = [field for model, prefix in MODELS for field in fields(model, prefix)]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["1e-4", "yes", "null", 2**70, -1, 0, "x" * 100, float("inf"), "\ud800"]),
    st.lists(st.integers() | st.text(max_size=3), max_size=2),
    st.dictionaries(st.sampled_from(["max_steps", "format", "x.y", "train"]), st.integers() | st.none(), max_size=2),
)


def nested(keys: Keys, value: Any) -> dict[str, Any]:
    return {keys[0]: nested(keys[1:], value) if keys[1:] else value}


def write(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content, allow_unicode=False), encoding="utf-8")
    return path


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from([field[0] for field in FIELDS]), ODD)
def test_an_odd_value_is_accepted_or_named(tmp_path: Path, keys: Keys, value: Any) -> None:
    own = write(tmp_path / "own.yaml", nested(keys, value))
    try:
        load_files([DEFAULT, own])
    except InvalidConfig as error:
        text = str(error)
        assert not LEAKS.search(text), text
        assert all(problem.cause and problem.fix for problem in error.problems), text
        assert "own.yaml, line " in text or "site file" in text or "sources file" in text, text
        if len(error.problems) == 1:
            assert ".".join(keys[:1]) in text, text


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from([field[0] for field in fields(Site)]), ODD)
def test_an_odd_value_of_the_site_is_accepted_or_named(tmp_path: Path, keys: Keys, value: Any) -> None:
    try:
        load_site(str(write(tmp_path / "site.yaml", nested(keys, value))))
    except InvalidConfig as error:
        assert not LEAKS.search(str(error)), str(error)
        assert "site.yaml, line " in str(error) and keys[0] in str(error)


def bounds(metadata: Any, kind: Any) -> bool:
    """Return whether a number has a lower limit; limits of nested types count too."""
    marks = [*metadata, *(mark for form in get_args(kind) for mark in getattr(form, "__metadata__", ()))]
    marks += [inner for mark in marks for inner in getattr(mark, "metadata", ())]
    return any(getattr(mark, name, None) is not None for mark in marks for name in ("ge", "gt"))


def test_every_number_has_a_lower_limit() -> None:
    numbers = (int, float, int | None, float | None, tuple[float, float])
    unlimited = [
        ".".join(keys)
        for keys, kind, metadata in [*FIELDS, *fields(Site)]
        if kind in numbers and not bounds(metadata, kind)
    ]
    assert not unlimited


def problems(tmp_path: Path, *files: str, overrides: dict[str, Any] | None = None) -> list[str]:
    paths = [tmp_path / f"{number}.yaml" for number in range(len(files))]
    for path, text in zip(paths, files, strict=True):
        path.write_text(text)
    with pytest.raises(InvalidConfig) as found:
        load_files([DEFAULT, *paths], overrides)
    return [problem.statement.replace(f"{tmp_path}/", "") for problem in found.value.problems]


def test_all_errors_are_named_with_file_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("slurm:\n  gpu:\n    gpus_per_nod: 4\n")
    (tmp_path / "sources.yaml").write_text("mine:\n  kind: file\n  path: [a]\n  license: x\n")
    found = problems(
        tmp_path,
        f"dapt:\n  max_stepz: 3\n  lr: fast\nsft:\n  seq_length: 4096\nsite: {tmp_path}/site.yaml\n",
        f"sources: [config/sources.yaml, {tmp_path}/sources.yaml]\nsft:\n  warmup_steps: 200\ndpat: {{}}\n",
        overrides={"base": {"max_steps": "-3"}},
    )
    assert found == [
        "0.yaml, line 2: the key dapt.max_stepz is unknown; did you mean max_steps?",
        '0.yaml, line 3: dapt.lr must be a number, not "fast".',
        "0.yaml, line 5: sft.seq_length is 4096, more than the model's context, base.architecture.seq_length 256.",
        "1.yaml, line 3: sft: warmup_steps is 200, more than half of max_steps, 250.",
        "1.yaml, line 4: the key dpat is unknown; did you mean dapt?",
        "site.yaml, line 3: the key slurm.gpu.gpus_per_nod is unknown; did you mean gpus_per_node?",
        "sources.yaml, line 3: sources.mine.path must be text, not a list.",
        "sources.yaml, line 4: the key sources.mine.license is unknown; did you mean licence?",
        'on the command line: base.max_steps must be at least 1, not "-3".',
    ]


def test_the_file_that_gave_the_value_is_named(tmp_path: Path) -> None:
    first, second = "sft: {max_steps: 10}\ndapt: {seed: -1}\n", "sft:\n  val_check_interval: 20\n  warmup_steps: 1\n"
    assert problems(tmp_path, first, second) == [
        "0.yaml, line 2: dapt.seed must be at least 0, not -1.",
        "1.yaml, line 2: sft: val_check_interval is 20, more than max_steps, 10: there would be no validation at all "
        "(sft.max_steps: 0.yaml, line 1).",
    ]
    assert problems(tmp_path, "dapt: {seed: -1}\n", "dapt: {lr: 0.1}\n", overrides={"dapt": {"seed": -2}}) == [
        "on the command line: dapt.seed must be at least 0, not -2."
    ]
    assert problems(tmp_path, "dapt: {betas: [0.9, 2]}\n", "dapt: {betas: [0.9]}\n")[0].startswith("1.yaml, line 1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dapt:\n", "dapt must be a section: keys with values, but is empty"),
        ("dapt: {max_steps: }\n", "dapt.max_steps must be a whole number, but is empty"),
        ("dapt: {max_steps: yes}\n", "dapt: max_steps must be a number, not true"),
        ("dapt: {max_steps: 1e3}\n", 'dapt.max_steps must be a whole number, not "1e3"'),
        ("dapt: {max_steps: 1.5}\n", "dapt.max_steps must be a whole number, not 1.5"),
        ("dapt: {precision: 32}\n", 'dapt.precision must be "32", "bf16-mixed" or "fp8", not 32'),
        ("container: {packages: {torch: 2.10}}\n", "container.packages.torch must be text, not 2.10"),
        ("instructions: {train: rtl}\n", 'instructions.train must be a list, such as [a, b], not "rtl"'),
        ("instructions: {train: []}\n", "instructions.train must not be empty"),
        ("corpus: {domain: {train: [ibex, true]}}\n", "corpus.domain.train.1 must be text, not true"),
        ("corpus: {domain: {train: [Ibex]}}\n", "corpus.domain.train.0 may contain lower-case letters"),
        ("dapt: {max_steps: 100000000000000000000}\n", "dapt.max_steps must be less than 2 to the power of 63"),
        ("dapt: {lr: .inf}\n", "dapt.lr must be a finite number"),
        ("dapt.lr: 1\n", "the key dapt.lr is unknown"),
        ("sources: []\n", "sources must be the path of a sources file"),
        ("sources: nowhere.yaml\n", "There is no sources file nowhere.yaml"),
        ("site: nowhere.yaml\n", "There is no site file nowhere.yaml"),
        ("instructions: {prompt: {tokens: template, chat_template: no.jinja}}\n", "The file no.jinja cannot be read"),
    ],
)
def test_messages(tmp_path: Path, text: str, words: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith("0.yaml, line 1: ") and words in found


def test_scientific_notation_is_a_number(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("dapt: {lr: 1e-4}\n")
    assert load_files([DEFAULT, own])[0].dapt.lr == 1e-4
