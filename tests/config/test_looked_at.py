"""Bounds of single sets: a name that no set has must not bind nothing in silence."""

from typing import Any

import pytest

from tapeout.config.inspection_scope import LookedAt
from tapeout.config.root import load
from tapeout.config.yaml_files import InvalidConfig
from tests.config.test_root import default


def looked_at(gates: dict[str, Any]) -> LookedAt:
    changed = {
        "instructions": {
            "sets": {name: {"format": "messages"} for name in ("questions", "django")},
            "train": ["questions"],
        },
        "pretraining": {"shards": 3, "components": {"text": {"sources": ["ibex"], "weight": 1}}},
        "data_report": {"benchmarks": ["django"], "gates": gates},
    }
    return LookedAt(load({**default(), **changed})).checked()


def test_bounds_of_sets_that_there_are() -> None:
    dropped = (
        "instructions/questions",
        "encoded/questions",
        "pretraining/shards",
        "pretraining/near",
    )
    tests = ("corpus/general", "instructions/questions", "instructions/django")
    looked_at({"dropped_of": dict.fromkeys(dropped, 1), "contaminated_of": dict.fromkeys(tests, 0)})


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        (
            {"dropped_of": {"questions": 0.9}},
            "names questions, which is none of the sets; did you mean encoded/questions or instructions/questions?",
        ),
        ({"contaminated_of": {"corpus/generel": 0.9}}, "did you mean corpus/general?"),
        ({"contaminated_of": {"encoded/questions": 0.9}}, "contaminated_of names encoded/questions, which is none"),
        ({"dropped_of": {"pretraining/shards/0001": 0.9}}, "did you mean pretraining/shards?"),
    ],
)
def test_a_bound_that_would_bind_nothing_is_named(gates: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match="fix: ") as found:
        looked_at(gates)
    assert words in str(found.value)
