"""Sweeps: names of variants, their configurations, and errors."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.combinations import smaller
from tapeout.config.load import load_files
from tapeout.config.problems import InvalidConfig
from tapeout.config.sweep import Sweep

ROOT = Path(__file__).parents[2]
TWO_AXES = {"sft.lr": [1e-3, 3e-4], "tokenizer.new_pieces": [768, 256]}
BLENDS = {"blend": {"code": {"corpus": {"general": {"names": []}}}, "mixed": {}}}


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default files are named relative to the repository."""
    monkeypatch.chdir(ROOT)


def test_variants_and_their_combinations() -> None:
    sweep = Sweep(axes=TWO_AXES)
    assert sweep.variants == [
        "lr=0.001,new_pieces=768",
        "lr=0.001,new_pieces=256",
        "lr=0.0003,new_pieces=768",
        "lr=0.0003,new_pieces=256",
    ]
    parts = {"lr=0.001", "lr=0.0003", "new_pieces=256", "new_pieces=768"}
    assert set(sweep.combinations) == parts | set(sweep.variants)
    assert sweep.overrides("lr=0.0003,new_pieces=256") == {"sft": {"lr": 3e-4}, "tokenizer": {"new_pieces": 256}}
    assert smaller("lr=0.001,new_pieces=256") == ["", "lr=0.001", "new_pieces=256"]
    assert smaller("lr=0.001") == [""]
    assert Sweep().variants == Sweep().combinations == []


def test_an_axis_with_named_values() -> None:
    sweep = Sweep(axes={**BLENDS, "sft.max_steps": [100]})
    assert sweep.variants == ["blend=code,max_steps=100", "blend=mixed,max_steps=100"]
    assert sweep.overrides("blend=code,max_steps=100") == {
        "corpus": {"general": {"names": []}},
        "sft": {"max_steps": 100},
    }


NUMBERS = st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True)


@given(st.dictionaries(st.sampled_from(["sft.lr", "dapt.seed", "a.b.c"]), NUMBERS, min_size=1, max_size=3), st.data())
def test_a_variant_that_is_left_out_renames_no_other(axes: dict[str, Any], data: st.DataObject) -> None:
    whole = Sweep(axes=axes)
    if len(whole.variants) > 1:
        out = data.draw(st.sampled_from(whole.variants))
        rest = Sweep(axes=axes, exclude=[out])
        assert rest.variants == [name for name in whole.variants if name != out]
        assert set(rest.combinations) == {
            name for name in whole.combinations if any(set(name.split(",")) <= set(v.split(",")) for v in rest.variants)
        }
        assert all(rest.overrides(name) == whole.overrides(name) for name in rest.combinations)


def test_each_variant_is_a_whole_configuration(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("sft: {lr: 1.0e-5}\nsweep: {axes: {sft.lr: [1.0e-3], tokenizer.new_pieces: [256]}, model: dapt}\n")
    settings, _, combinations = load_files(["config/default.yaml", own])
    assert settings.compared_model == "dapt" and settings.further_rules == ["sweep"]
    assert sorted(combinations) == ["lr=0.001", "lr=0.001,new_pieces=256", "new_pieces=256"]
    read = {name: (varied.sft.lr, varied.tokenizer.new_pieces) for name, varied in combinations.items()}
    assert read == {"lr=0.001": (1e-3, 768), "lr=0.001,new_pieces=256": (1e-3, 256), "new_pieces=256": (1e-5, 256)}
    assert all(not varied.sweep.axes and not varied.further_rules for varied in combinations.values())


def test_a_part_of_a_variant_may_contradict_itself(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("sweep: {axes: {sft.max_steps: [100], sft.val_check_interval: [50]}}\n")
    assert sorted(load_files(["config/default.yaml", own]).combinations) == [
        "max_steps=100,val_check_interval=50",
        "val_check_interval=50",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "axes: {tokeniser.new_pieces: [1]}",
            "with new_pieces=1: the key tokeniser is unknown",
        ),
        ("axes: {sft.lr: [-1]}", "'-1' cannot stand in the name of an artifact"),
        ("axes: {sft.max_steps: [0]}", "with max_steps=0: sft.max_steps"),
        ("axes: {sft.lr: [1.0e-3, 0.001]}", "the axis sft.lr has a value twice"),
        ("axes: {sft.lr: [1.0e-3], dapt.lr: [1.0e-3]}", "the axes sft.lr and dapt.lr would have the same name"),
        ("axes: {sft.lr: {a: {}}}", "the axis sft.lr is a key of the configuration and maps names"),
        ("axes: {blend: [a]}", "with blend=a: the key blend is unknown"),
        ("axes: {blend: {a b: {}}}", "'a b' cannot stand in the name of an artifact"),
        ("axes: {sft.lr: []}", "has no values: list some, or remove the axis"),
        ("axes: {sft.lr: [[1]]}", "must be a list of numbers, words or switches, or map names to sections"),
        ("axes: {sweep.model: [dapt]}", "sweep.model cannot be varied"),
        ("axes: {evaluation.threads: [1]}", "evaluation.threads cannot be varied"),
        ("axes: {x: {a: {report: {seed: 1}}}}", "the axis x varies report"),
        ("axes: {sft.lr: [1e-3, 0.001]}", "the axis sft.lr has a value twice"),
        ("axes: {container.python: [python3]}", "container.python cannot be varied"),
        ("axes: {sft.lr: [0.1], x: {a: {sft: {lr: 0.2}}}}", "the axes sft.lr and x both set sft.lr"),
        ("{axes: {sft.lr: [1.0e-3]}, exclude: [lr=0.1]}", "names lr=0.1, which is no choice of the sweep"),
        ("{axes: {sft.lr: [1.0e-3]}, exclude: [lr=0.001]}", "sweep.exclude leaves no variant"),
        ("model: stf", "sweep.model names stf, which is not one of evaluation.models; did you mean sft"),
        (f"axes: {{sft.seed: {list(range(300))}}}", "the sweep has 300 combinations of choices, more than 256"),
    ],
)
def test_errors_name_the_axis(text: str, words: str, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(f"sweep: {text if text.startswith('{') else '{' + text + '}'}\n")
    with pytest.raises(InvalidConfig) as raised:
        load_files(["config/default.yaml", own])
    assert words in str(raised.value) and str(own) in str(raised.value) and "fix: " in str(raised.value)
