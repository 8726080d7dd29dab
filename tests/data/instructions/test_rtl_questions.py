"""Questions about RTL: balanced, no context in two splits, and the same whatever the order of files."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tapeout.config.corpus import Corpus, DomainCorpus
from tapeout.config.instructions import InstructionSetJob
from tapeout.data.corpus.documents import Document
from tapeout.data.errors import NotEnoughData
from tapeout.data.instructions.formats.rtl import Options
from tapeout.data.instructions.instruction_set import write_set
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.rtl_questions import SourcedQuestion, select_questions
from tapeout.data.io import isolated
from tapeout.data.rtl.limits import Limits
from tests.data.rtl.second_opinion import opinion

pytestmark = pytest.mark.environment("data")

CATEGORIES = {
    "complete_declaration",
    "instantiated_modules",
    "list_ports",
    "module_header",
    "module_name",
    "parameter_default",
    "port_direction",
    "signal_width",
}


def core(name: str, modules: int) -> list[Document]:
    """Files of a core, one module each, all different."""
    random = Random(name)
    documents = []
    for number in range(modules):
        width, depth = random.randint(1, 64), random.randint(2, 9)
        text = (
            f"module {name}_{number} (\n  input logic clk_i, // clock\n  input logic [{width}:0] data_{number}_i,\n"
            f"  output logic [{depth}:0] {name}_o\n);\n"
            f"  localparam DEPTH_{number} = {depth};\n  logic [{width}:0] {name}_q;\n  logic state_{number};\n"
            f"  assign {name}_o = '0;\n"
            f"  {name}_fifo #(.D({depth})) u_fifo (.clk_i);\n  {name}_{number + 1} u_next (.clk_i);\nendmodule\n"
        )
        documents.append(Document(text, name, f"rtl/{number}.sv"))
    return documents


def questions(
    documents: Sequence[Document], held_out: Sequence[str], limits: Limits, report: ImportReport | None = None
) -> list[SourcedQuestion]:
    return select_questions(documents, held_out, limits, report or ImportReport("stop"))


def contexts(rows: list[SourcedQuestion], sources: set[str]) -> set[str]:
    return {row.question.context for row in rows if row.source in sources}


def test_every_category_has_right_answers() -> None:
    rows = questions([*core("alpha", 20), *core("gamma", 10)], ["gamma"], Limits())
    for source in ("alpha", "gamma"):
        assert {row.question.category for row in rows if row.source == source} == CATEGORIES
    assert {row.group for row in rows if row.source == "alpha"} == {f"alpha_{number}" for number in range(20)}
    opinions = [(opinion(vars(row.question)), "".join(row.question.response.split())) for row in rows]
    assert all(second in (None, answer) for second, answer in opinions)
    assert sum(second is not None for second, _ in opinions) > 0.9 * len(rows)


def test_limits_hold() -> None:
    limits = Limits(
        max_context_characters=150,
        max_row_characters=200,
        max_rows_per_category=17,
        max_test_rows_per_category=5,
        max_rows_per_module=1,
        max_rows_per_excerpt=1,
    )
    rows = questions([*core("alpha", 40), *core("gamma", 40)], ["gamma"], limits)
    counts = Counter((row.source, row.question.category) for row in rows)
    assert counts["alpha", "port_direction"] == 17
    assert counts["gamma", "port_direction"] == 5
    assert max(Counter((row.group, row.question.category) for row in rows).values()) == 1
    for question in (row.question for row in rows):
        assert len(question.instruction + question.context + question.response) <= 200
    directions = Counter(row.question.response for row in rows if row.question.category == "port_direction")
    assert abs(directions["input"] - directions["output"]) <= 2


def test_suffixes_in_upper_case_and_of_compressed_files_are_those_of_rtl() -> None:
    documents = [*core("a", 4), *core("b", 2)]
    renamed = [
        replace(document, path=document.path.upper() if document.source == "a" else f"{document.path}.gz")
        for document in documents
    ]
    assert questions(renamed, ["b"], Limits()) == questions(documents, ["b"], Limits())


def test_order_of_files_does_not_matter() -> None:
    documents = [*core("alpha", 15), *core("beta", 15), *core("gamma", 15)]
    shuffled = list(documents)
    Random(1).shuffle(shuffled)
    first, second = (questions(order, ["gamma"], Limits()) for order in (documents, shuffled))
    assert first == second
    assert [row.digest for row in first] == sorted(row.digest for row in first)


def test_a_context_of_a_held_out_core_is_never_trained_on() -> None:
    borrowed = [
        Document(each.text.replace("// clock", "/* edited */"), "alpha", f"vendor/{each.path}")
        for each in core("gamma", 9)
    ]
    rows = questions([*borrowed, *core("alpha", 9), *core("gamma", 9)], ["gamma"], Limits())
    assert not contexts(rows, {"alpha"}) & contexts(rows, {"gamma"})
    assert not {row.group for row in rows if row.source == "alpha"} & {f"gamma_{number}" for number in range(9)}


def test_no_question_has_two_answers() -> None:
    rows = questions([*core("alpha", 30), *core("gamma", 9)], ["gamma"], Limits())
    asked = Counter((row.question.instruction, row.question.context) for row in rows)
    assert max(asked.values()) == 1


def test_interfaces_are_not_modules() -> None:
    bus = Document("interface bus_if; endinterface", "alpha", "bus.sv")
    user = Document("module user (input a);\nassign b = a;\nbus_if bus ();\nendmodule", "alpha", "user.sv")
    rows = questions([bus, user, *core("alpha", 3), *core("gamma", 3)], ["gamma"], Limits())
    answers = [row.question.response for row in rows if row.question.category == "instantiated_modules"]
    assert answers
    assert not any("bus_if" in answer for answer in answers)


@pytest.mark.parametrize(("held_out", "cores"), [("nobody", "held-out cores"), ("alpha", "training cores")])
def test_cores_without_a_question(held_out: str, cores: str) -> None:
    with pytest.raises(NotEnoughData, match=cores):
        questions(core("alpha", 5), [held_out], Limits())


def test_documentation_gives_no_question() -> None:
    prose = [Document(document.text, document.source, "guide.md") for document in core("alpha", 5)]
    with pytest.raises(NotEnoughData, match="training cores"):
        questions([*prose, *core("gamma", 5)], ["gamma"], Limits())


def test_a_set_of_questions_holds_out_cores_and_states_licences(tmp_path: Path) -> None:
    for document in [*core("alpha", 90), *core("gamma", 4)]:
        path = tmp_path / document.source / document.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document.text)
    (tmp_path / "alpha" / "rtl" / "pointer.v").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1")
    corpus = Corpus(domain=DomainCorpus(train=("alpha",), test=("gamma",)))
    options = Options(format="rtl").resolved("rtl", corpus)
    assert options.sources == ("alpha", "gamma") and options.held_out == ("gamma",)
    job = InstructionSetJob(name="rtl", licences={"alpha": "MIT", "gamma": "ISC"}, options=options)
    folders = {name: tmp_path / name for name in options.sources}
    counts = write_set(folders, InstructionSetJob.model_validate_json(job.model_dump_json()), tmp_path / "out")
    assert min(counts.values()) > 0
    dropped = json.loads((tmp_path / "out" / "report.json").read_bytes())["dropped"]
    assert dropped == {"file: Git LFS pointer": {"count": 1, "first": ["alpha/rtl/pointer.v"]}}
    for split, origin in (("train", ("alpha", "MIT")), ("validation", ("alpha", "MIT")), ("test", ("gamma", "ISC"))):
        rows = [json.loads(line) for line in (tmp_path / "out" / f"{split}.jsonl").open()]
        assert {(row["source"], row["licence"]) for row in rows} == {origin}
        assert set(rows[0]) == {"input", "output", "category", "source", "licence", "group", "digest"}


def nested(kind: str, depth: int) -> Document:
    """A file of generated RTL that is legal and nested deeply."""
    body = {
        "conditions": "wire y = " + "".join(f"s[{n}] ? d[{n}] : " for n in range(depth)) + "0;",
        "brackets": f"wire y = {'(' * depth}a{')' * depth};",
        "else": "reg y;\nalways @* " + "".join(f"if (s[{n}]) y = d[{n}]; else " for n in range(depth)) + "y = 0;",
        "generate": "".join(f"if (P > {n}) begin\n" for n in range(depth)) + "wire y;\n" + "end " * depth,
        "chain": "wire y = " + " ^ ".join(f"a[{n}]" for n in range(depth)) + ";",
        "macros": "".join(f"`define M{n + 1} `M{n} `M{n}\n" for n in range(depth))
        + f"`define M0 + a\nwire y = 0 `M{depth};",
    }[kind]
    return Document(f"module deep (input a);\n{body}\nendmodule\n", "alpha", f"{kind}.v")


def test_a_file_that_the_parser_cannot_take_is_counted_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "STACK_BYTES", 2**20)  # smaller ones suffice for the test
    monkeypatch.setattr(isolated, "MEMORY_BYTES", 2**26)
    kinds = {"conditions": 1100, "brackets": 40_000, "else": 1100, "generate": 20_000, "chain": 20_000, "macros": 24}
    report = ImportReport("stop")
    others = [*core("alpha", 9), *core("gamma", 4)]
    rows = questions([*(nested(kind, depth) for kind, depth in kinds.items()), *others], ["gamma"], Limits(), report)
    assert [row for row in rows if row.group != "deep"] == questions(others, ["gamma"], Limits())
    assert report.as_json()["dropped"] == {
        "file that is nested too deeply": {
            "count": 3,
            "first": ["alpha/conditions.v", "alpha/brackets.v", "alpha/else.v"],
        },
        "file that exhausts memory or stack": {"count": 2, "first": ["alpha/generate.v", "alpha/macros.v"]},
    }
