"""Limits of single sets: a name that no set has is an error."""

from typing import Any

import pytest

from tapeout.config.inspection_scope import InspectionScope
from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tests.config.test_root import default


def scope(gates: dict[str, Any]) -> InspectionScope:
    changed = {
        "instructions": {
            "sets": {"rtl": {"format": "rtl"}, **{name: {"format": "messages"} for name in ("questions", "django")}},
            "train": ["questions"],
        },
        "pretraining": {"shards": 3, "components": {"text": {"sources": ["ibex"], "weight": 1}}},
        "data_report": {"benchmarks": ["django"], "gates": gates},
    }
    return InspectionScope(load({**default(), **changed}))


def test_limits_of_existing_sets() -> None:
    dropped = (
        "instructions/questions",
        "encoded/questions",
        "pretraining/shards",
        "pretraining/near",
    )
    tests = ("corpus/general", "instructions/questions", "instructions/django")
    scope({"dropped_of": dict.fromkeys(dropped, 1), "contaminated_of": dict.fromkeys(tests, 0)})


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        (
            {"dropped_of": {"questions": 0.9}},
            "names questions, which is not one of the sets; did you mean encoded/questions or instructions/questions?",
        ),
        ({"contaminated_of": {"corpus/generel": 0.9}}, "did you mean corpus/general?"),
        ({"contaminated_of": {"encoded/questions": 0.9}}, "contaminated_of names encoded/questions, which is not one"),
        ({"dropped_of": {"pretraining/shards/0001": 0.9}}, "did you mean pretraining/shards?"),
    ],
)
def test_a_limit_without_effect_is_an_error(gates: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match="fix: ") as raised:
        scope(gates)
    assert words in str(raised.value)


def test_validation_rows_are_compared_with_the_other_sets_of_the_training() -> None:
    names = ("questions", "django", "ibex")
    sets = {name: {"format": "messages"} for name in names}
    one = InspectionScope(load({**default(), "instructions": {"sets": sets, "train": ["ibex", "questions"]}}))
    others = {
        name: [file.set for file in one.held_out_from(name) if file not in one.tests]
        for name in (*(f"instructions/{name}" for name in names), "corpus/domain")
    }
    assert others == {
        "instructions/questions": ["instructions/ibex/validation"],
        "instructions/ibex": ["instructions/questions/validation"],
        "instructions/django": [],  # not trained on
        "corpus/domain": [],
    }
    assert {file.set for file in one.validations} <= set(one.report.tests)
    assert scope({}).validations == []
    scope_of_two = {"contaminated_of": {"instructions/ibex/validation": 0.5}}
    load(
        {
            **default(),
            "instructions": {"sets": sets, "train": ["ibex", "questions"]},
            "data_report": {"gates": scope_of_two},
        }
    )
