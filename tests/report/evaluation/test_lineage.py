"""Provenance graph of the page: every artifact is drawn once, and every box links to a line of the table."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.report.evaluation.lineage import GAP, HEIGHT, WIDTH, draw
from tests.report.evaluation.conftest import Make, Write

pytestmark = pytest.mark.environment("data")


@st.composite
def graphs(make: st.DrawFn) -> dict[str, list[str]]:
    """Return artifacts of a few kinds, each built from earlier ones."""
    names = [
        f"{make(st.sampled_from(['sources', 'encoded', 'evaluation']))}/{n}" for n in range(make(st.integers(1, 20)))
    ]
    return {name: make(st.lists(st.sampled_from(names[:n]), unique=True)) if n else [] for n, name in enumerate(names)}


@given(graphs())
@settings(max_examples=50, deadline=None)
def test_every_artifact_is_in_one_box_below_all_that_it_is_built_from(lineage: dict[str, list[str]]) -> None:
    drawing = draw(lineage, [])
    assert drawing is not None
    assert sorted(member for box in drawing.boxes for member in box.members) == sorted([*lineage, "eval_report"])
    box_of = {member: box for box in drawing.boxes for member in box.members}
    assert all(box_of[one].y + HEIGHT < box_of[name].y for name, origins in lineage.items() for one in origins)
    places = [(box.x, box.y) for box in drawing.boxes]
    for number, (x, y) in enumerate(places):
        assert 0 <= x <= drawing.width - WIDTH and y <= drawing.height - HEIGHT
        assert all(abs(x - u) >= WIDTH + GAP or abs(y - v) >= HEIGHT + GAP for u, v in places[number + 1 :])
    assert draw(dict(reversed(lineage.items())), []) == drawing, "the order of the parameters has no effect"
    assert list(TopologicalSorter(lineage).static_order()), "the lineage has no cycle"


def test_results_of_different_models_have_different_boxes() -> None:
    lineage = {"base": [], "sft/model": ["base"], "sources/a": []}
    lineage |= {f"evaluation/{m}/{t}.json": [a] for m, a in (("base", "base"), ("sft", "sft/model")) for t in "xy"}
    drawing = draw(lineage, ["base", "sft/model"])
    assert drawing is not None
    names = {box.name for box in drawing.boxes}
    assert names == {"base", "sft/model", "sources/a", "evaluation/base (2)", "evaluation/sft (2)", "eval_report"}
    assert len(drawing.paths) == 6, "without what longer paths imply, such as base to the report"


def test_boxes_and_figures_link_to_the_table(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    lineage = {"base": ["corpus/domain"], "corpus/domain": [], "dapt/model": ["base"], "sft/model": ["dapt/model"]}
    files = make_inputs(lineage=lineage, licences={"sources/multiple_choice": "Apache-2.0"})
    page = (write_report(files, tmp_path / "report") / "report.html").read_text()
    drawing = page.split('<svg class="lineage"')[1].split("</svg>")[0]
    linked = re.findall(r'<a href="#(artifact-[^"]+)">', drawing)
    assert linked == ["artifact-corpus-domain", "artifact-base", "artifact-dapt-model", "artifact-sft-model"]
    assert all(f'<tr id="{name}">' in page for name in re.findall(r'href="#(artifact-[^"]+)"', page))
    assert '<td class="text">Apache-2.0</td>' in page
    figure = page.split("<figcaption>Bits per byte on held-out text")[1].split("</figure>")[0]
    assert 'href="#artifact-evaluation-sft-bits-per-byte-json"' in figure
