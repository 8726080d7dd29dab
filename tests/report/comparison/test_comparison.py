"""Comparison of reports whose results are known: what moved, with which p-value, and what cannot be compared."""

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from tapeout.evals.task import UnusableResult
from tapeout.report.comparison.curves import points_of
from tapeout.report.comparison.document import Origin, ReportComparison, as_json, markdown, notes, page, rows_of
from tapeout.report.comparison.scores import AFTER, BEFORE, compare_models
from tapeout.report.comparison.sides import ReportJob, Side, read_known, side_of_report
from tapeout.report.evaluation.inputs import Step, TrainLog
from tapeout.report.page.markdown import cell

ROWS = 40
TASK = "instruction_answers/rtl"
JOB = {
    **{"resamples": 200, "permutations": 1_000, "models": [("base", "base"), ("sft", "sft/model")]},
    **{
        "adaptation": {"base": "base", "tuned": "sft"},
        "exported": "sft/model",
        "tasks": [(TASK, "instruction_answers", {"data": "instructions/rtl"})],
    },
    **{"not_evaluated": [], "not_searched": [], "trained_on": ["ibex"], "held_out": ["serv"], "general": []},
}
Make = Callable[..., Side]


def answers(right: Collection[int], rows: range = range(ROWS)) -> dict[str, Any]:
    """Return a result of instruction_answers with exact answers to some rows, and equal losses."""
    scores, found = [], []
    for index in rows:
        row = {"digest": f"{index:02}" * 32, "category": "width"}
        exact = index in right
        share = 1.0 if exact else 0.0
        scores.append({**row, "tokens": 10, "bytes": 30, "nats": 20.0})
        found.append(
            {
                **{**row, "source": "serv", "licence": "ISC", "prompt": f"How | wide is <a{index}>?", "expected": "4"},
                **{"accepted": ["4"], "generated": "4" if exact else "5", "exact": exact, "token_f1": share},
                **{"squad_exact": exact, "squad_f1": share, "rouge_l": share, "tokens": 2},
                **{"finished": True, "well_formed": True},
            }
        )
    result = {"template": "", "rows_in_test": ROWS, "left_out": 0, "expected_over_limit": 0, "turn_scores": []}
    return {**result, "answer_scores": scores, "answers": found}


def write_side(folder: Path, name: str, right: Collection[int] = (), rows: range = range(ROWS), **job: Any) -> Side:
    """Write the results of a report whose tuned model answers the rows ``right``."""
    files = {}
    for model in ("base", "sft"):
        files[model, TASK] = folder / f"{name}-{model}.json"
        result = answers(right if model == "sft" else (), rows)
        facts = {"context": 256, "vocabulary": 32_768, "parameters": 9_000_000}
        files[model, TASK].write_text(json.dumps({"model": facts, "result": result}))
    return side_of_report(name, ReportJob.model_validate({**JOB, **job}, extra="ignore"), files, {})


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(write_side, tmp_path)


def compared(before: Side, after: Side, *origins: Origin) -> ReportComparison:
    return ReportComparison(before.name, after.name, 0.95, origins, compare_models(before, after))


def test_equal_reports(make: Make) -> None:
    one = compared(make("@a", range(9)), make("@b", range(9)))
    assert one.headline == "All 3 headline numbers are the same."
    assert [(models.title, models.is_same, models.answers) for models in one.models] == [
        ("sft", True, []),
        ("base", True, []),
    ]
    assert "No result follows from a difference of the inputs." in markdown([one])
    assert "both reports have the same inputs" in page([one])


def test_twelve_more_right_answers_are_clear_and_two_are_not(make: Make) -> None:
    """McNemar's p of 12 to 0 is 2 / 2 ** 12; Holm multiplies the smallest of three by 3. That of 2 to 0 is 1 / 2."""
    before = make("@a", range(4))
    one = compared(before, make("@b", range(16)))
    shipped = one.shipped
    assert shipped is not None and shipped.title == "sft"
    change = shipped.comparisons["rtl.exact_match"].changes[BEFORE, AFTER]
    assert change.p == pytest.approx(2 / 2**12) and change.value == pytest.approx(0.3)
    assert [line.verdict for line in shipped.lines if line.measure == "rtl: exact match"] == ["better"]
    assert one.headline.startswith("2 of 3 headline numbers moved significantly – better: rtl: exact match")
    assert [answer.asked for answer in shipped.answers] == [f"How | wide is <a{index}>?" for index in range(4, 16)]
    assert all(answer.is_better for answer in shipped.answers) and shipped.became_right == 12
    sides = [side.answer for side in (shipped.answers[0].before, shipped.answers[0].after) if side is not None]
    assert sides == ["5", "4"]

    few = compared(before, make("@c", range(2)))
    assert few.headline == "No headline number moved significantly, of 3 compared."
    assert few.shipped is not None and [answer.is_better for answer in few.shipped.answers] == [False, False]
    assert few.shipped.comparisons["rtl.exact_match"].changes[BEFORE, AFTER].p == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (
            {"tasks": [(TASK, "instruction_answers", {"data": "instructions/rtl", "max_rows": 9})]},
            "its options differ: max_rows",
        ),
        ({"tasks": [(TASK, "multiple_choice", {})]}, "it is instruction_answers in @a and multiple_choice in @b"),
        ({"tasks": []}, "@b does not have it"),
    ],
)
def test_what_is_not_the_same_test_is_not_compared(make: Make, job: dict[str, Any], reason: str) -> None:
    one = compared(make("@a"), make("@b", **job))
    assert [dict(models.left_out) for models in one.models] == [{TASK: reason}] * 2
    assert one.headline == "No headline number can be compared."
    assert reason in markdown([one]).replace("\\", "") and reason in page([one])


def test_only_common_rows_count_and_their_number_is_stated(make: Make) -> None:
    """Of 40 rows of one report and 50 of the other both have 30."""
    half = compared(make("@a", range(4)), make("@b", range(16), rows=range(10, 60)))
    assert half.shipped is not None and half.shipped.comparisons["rtl.exact_match"].units == 30
    numbers = "30 rows that both have, of 40 and 50"
    assert [models.partial for models in half.models] == [[(TASK, numbers)]] * 2
    sentence = f"Compared in part: sft in {TASK}, on the {numbers}."
    assert sentence in notes(half.shipped) and sentence in page([half])
    assert sentence in markdown([half]).replace("\\", "")
    assert [row["units"] for row in rows_of(half.shipped)] == [numbers] * 3
    assert as_json([half])["comparisons"][0]["models"][0]["compared_in_part"] == {TASK: numbers}
    whole = compared(make("@a", range(4)), make("@b", range(16)))
    assert "in part" not in "".join([markdown([whole]), page([whole])])


def test_a_task_without_common_rows_is_one_sentence(make: Make) -> None:
    none = compared(make("@a"), make("@b", rows=range(50, 60)))
    assert none.headline == "No headline number can be compared."
    sentences = [
        f"Not compared: {model} in {TASK}, because @a and @b have no rows in common." for model in ("sft", "base")
    ]
    assert [notes(models) for models in none.models] == [[sentence] for sentence in sentences]
    text, html = markdown([none]).replace("\\", ""), page([none])
    for form in (text, html):
        assert all(form.count(sentence) == 1 for sentence in sentences)
        assert "numbers are the same" not in form
    assert "|" not in text and "<table" not in html


def test_measures_of_a_task_with_and_without_common_rows(make: Make) -> None:
    """The losses are of other rows, so only the answers are compared, which are of the same 40."""
    before, after = make("@a", range(4)), make("@b", range(16))
    file = after.evaluations["sft", TASK]
    value = json.loads(file.read_text())
    value["result"]["answer_scores"] = answers((), range(50, 60))["answer_scores"]
    file.write_text(json.dumps(value))
    shipped = compared(before, after).shipped
    assert shipped is not None and [line.measure for line in shipped.lines] == ["rtl: exact match", "rtl: ROUGE-L"]
    assert shipped.partial == [] and len(shipped.left_out) == 2
    assert shipped.left_out[f"{TASK}, rtl: bits per byte, expected answers"] == "@a and @b have no rows in common"


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ("@before", "results", ("@before", "results")),
        ("/tmp/old/results/eval_report", "results", ("old", "results")),
        ("/tmp/old/results/eval_report/report.json", "../new/eval_report", ("old", "new")),
        ("/a/same/results", "/b/same/results", ("before", "after")),
        ("../results", "@b", ("before", "after")),
        ("sweep/lr=1,rows=all", "sweep/lr=2@b", ("sweep/lr=1,rows=all", "sweep/lr=2@b")),
    ],
)
def test_short_names(before: str, after: str, names: tuple[str, str]) -> None:
    one = ReportComparison(before, after, 0.95, [], [])
    assert one.names == names
    assert one.legend == [(short, full) for short, full in zip(names, (before, after), strict=True) if short != full]
    assert f"<h1>{names[0]} → {names[1]}</h1>" in page([one]) and all(full in page([one]) for _, full in one.legend)


def test_better_and_worse_numbers_are_told_apart(make: Make) -> None:
    """Of two measures that moved, one is turned round: the headline is neither good nor bad."""
    one = compared(make("@a", range(4)), make("@b", range(16)))
    first, second = [f"{line.measure} {line.change}" for line in one.shipped.moved] if one.shipped is not None else []
    lines = sorted(one.models[0].lines, key=lambda line: line.outcome == "open")
    for outcomes, tone, ends in (
        (("good", "good"), "good", f"– better: {first}, {second}."),
        (("bad", "bad"), "bad", f"– worse: {first}, {second}."),
        (("bad", "good"), "part", f"– better: {second}; worse: {first}."),
        (("open", "open"), "open", "No headline number moved significantly, of 3 compared."),
    ):
        moved = [
            replace(line, outcome=outcome, verdict={"good": "better", "bad": "worse", "open": ""}[outcome])
            for line, outcome in zip(lines, outcomes, strict=False)
        ]
        other = replace(one, models=[replace(one.models[0], lines=[*moved, lines[2]])])
        assert other.tone == tone and f'<li class="{tone}">' in page([other]) and other.headline.endswith(ends)


def test_causes_are_ordered_and_code_is_counted_by_file() -> None:
    """Of 30 rows the count and three are shown; five definitions are in four files."""
    code = ["a.py: f", "a.py: g", "b.py", "c.py: h", "d.py"]
    rows = ["30 of 40 rows differ", *(f"row {index} added" for index in range(30))]
    reaching = Origin("sources/x", ["parameter lr: 1 → 2"], rows, [TASK], code)
    assert reaching.causes == [
        "parameter lr: 1 → 2",
        *rows[:4],
        "… and 27 more, which the JSON has",
        "code of 4 files: a.py, b.py, c.py, …",
    ]
    assert Origin("x", [], rows[:3], [], code[:2]).causes == [*rows[:3], "code of 1 file: a.py"]
    one = ReportComparison("@a", "@b", 0.95, [Origin("without", [], [], []), reaching], [])
    for form in (markdown([one]), page([one])):
        assert form.index("sources/x") < form.index("Changed too, without an effect") < form.rindex("without")


def test_other_names_of_the_shipped_model(make: Make) -> None:
    adaptation = {"base": "base", "pretrained": "base"}
    one = compared(make("@a", range(12)), make("@b", adaptation=adaptation, exported="base"))
    assert [(models.title, models.is_shipped) for models in one.models] == [
        ("sft → base", True),
        ("base", False),
        ("sft", False),
    ]


def test_all_forms_say_the_same_and_no_text_of_data_is_markup(make: Make) -> None:
    origin = Origin("sources/questions", ["parameter lr: 1 → 2"], ["row 3, response: <b>|a → c"], [TASK])
    one = compared(make("@a", range(4)), make("@b", range(16)), origin)
    text, html, value = markdown([one]), page([one]), as_json([one])
    assert value["comparisons"][0]["headline"] == one.headline
    assert value["comparisons"][0]["origins"][0]["rows"] == ["row 3, response: <b>|a → c"]
    measures = value["comparisons"][0]["models"][0]["measures"]
    assert [measures["rtl.exact_match"][side]["value"] for side in (BEFORE, AFTER)] == [0.1, 0.4]
    assert f"  - row 3, response: {cell('<b>|a')} → c" in text and "\\<b\\>\\|a" in text
    assert "&lt;b&gt;|a" in html and "&lt;a4&gt;" in html and "http" not in html.replace("http://www.w3.org", "")
    assert all("10.0 %" in form.replace("\N{NARROW NO-BREAK SPACE}", " ") for form in (text, html))
    assert as_json([one]) == as_json([compared(make("@a", range(4)), make("@b", range(16)), origin)])


@pytest.mark.parametrize(
    "name", ["./a|b`c", "./d\n<img src=x>", "./- [x](y) | `z", "results\n\n# *bold* _x_", "./1. one\\"]
)
def test_no_name_is_markdown(make: Make, name: str) -> None:
    """The summary has the blocks and marks that it has with plain names."""

    def types(name: str) -> list[str]:
        sides = (
            replace(make("before", range(4)), name=name),
            replace(make("after", rows=range(50, 60)), name=f"{name}2"),
        )
        origin = Origin(f"sources/{name}", [name], [name], [name])
        one = replace(compared(*sides, origin), only_before=[name])
        whole = compared(replace(make("a", range(4)), name=name), replace(make("b", range(16)), name=f"{name}2"))
        tokens = MarkdownIt("commonmark").enable("table").parse(markdown([one, whole]))
        inner = [
            [child.type for child in token.children or () if not child.type.startswith("text")] for token in tokens
        ]
        return [f"{token.type} {found}" for token, found in zip(tokens, inner, strict=True)]

    assert types(name) == types("./plain" if name.startswith("./") else "plain")


def test_a_report_of_another_version_is_named() -> None:
    with pytest.raises(UnusableResult, match="The report of @a was made by another version.*: resamples: "):
        read_known("The report of @a", {**JOB, "resamples": "many"}, ReportJob)


def with_more_fields(value: Any) -> Any:
    """Return JSON values with a field more in every object."""
    if isinstance(value, dict):
        return {**{name: with_more_fields(inner) for name, inner in value.items()}, "added_later": 1}
    return [with_more_fields(item) for item in value] if isinstance(value, list | tuple) else value


def test_fields_of_another_version_change_nothing(tmp_path: Path, make: Make) -> None:
    """Parameters, options, results and parts of them may all have fields that this version does not know."""
    before, known = make("@a", range(4)), make("@b", range(16))
    job = read_known("The report of @b", with_more_fields(JOB), ReportJob)
    files = {key: tmp_path / f"new-{key[0]}.json" for key in known.evaluations}
    for key, path in files.items():
        path.write_text(json.dumps(with_more_fields(json.loads(known.evaluations[key].read_text()))))
    tasks = [(name, module, {"data": "instructions/rtl"}) for name, module, _ in job.tasks]
    after = side_of_report("@b", job.model_copy(update={"tasks": tasks}), files, {})
    assert as_json([compared(before, after)]) == as_json([compared(before, known)])
    older = {**JOB["tasks"][0][2], "max_rows": known.options(TASK)["max_rows"]}
    assert compared(make("@a", tasks=[(TASK, "instruction_answers", older)]), known).models[0].left_out == {}
    assert after.scores("sft", TASK) == side_of_report("@b", job, files, {}).scores("sft", TASK)


def log(lower: float) -> TrainLog:
    """Return losses that fall from 4 to 2 in a hundred steps, each lower by some amount."""
    steps = [Step(step=step, loss=4 - 2 * (step - 1) / 99 - lower) for step in range(1, 101)]
    return TrainLog(steps=steps, validation=[], parameters=9, tokens=9)


def test_curves_of_trainings_that_differ(make: Make) -> None:
    """A point is the mean of two steps; in the other report each loss is lower by 1."""
    points = points_of(log(0).steps, 50)
    assert len(points) == 50 and points[0] == (1.5, pytest.approx(4 - 1 / 99)) and points[-1][1] < 2.02
    first, second = (replace(make(name), logs={"sft": log(lower)}) for name, lower in (("@a", 0.0), ("@b", 1.0)))
    assert page([compared(first, second)]).count("<polyline") == 2
    assert "@a from 4.000 to 2.000; @b from 3.000 to 1.000" in page([compared(first, second)])
    assert "<svg" not in page([compared(first, replace(second, logs=first.logs))])
