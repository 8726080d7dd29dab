"""Questions about the default cores: enough rows, and every answer that regular expressions can check is right."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from tapeout.config.corpus import DomainCorpus
from tapeout.config.sources import downloads_folder
from tapeout.data.corpus.corpus import read_sources
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.rtl_questions import select_questions
from tapeout.data.rtl.limits import Limits
from tapeout.sources.kinds.pypi import Source as PypiSource
from tests.data.rtl.second_opinion import opinion
from tests.sources.fetching import fetch_source

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Fetch the default cores; downloads of an earlier ``make report`` are reused."""
    records = yaml.safe_load((ROOT / "config" / "sources.yaml").read_text())
    folders = {}
    for name in DomainCorpus().sources:
        folders[name] = tmp_path_factory.mktemp("sources") / name
        fetch_source(PypiSource.model_validate(records[name]), folders[name], downloads_folder())
    return folders


def test_questions_of_the_default_config(archives: dict[str, Path]) -> None:
    domain = DomainCorpus()
    documents, tallies = read_sources(domain.sources, [archives[name] for name in domain.sources], domain)
    assert tallies["blackparrot"].dropped["too large"] == 1
    assert tallies["ibex"].dropped["excluded"] > 0
    report = ImportReport("stop")
    rows = select_questions(documents, domain.test, Limits(), report)
    train = Counter(row.question.category for row in rows if row.source in domain.train)
    test = Counter(row.question.category for row in rows if row.source in domain.test)
    assert train.total() >= 6000
    assert min(train.values()) >= 300
    assert len(train) == len(test) == 8
    assert test.total() >= 400
    checked = Counter(
        second == "".join(row.question.response.split())
        for row in rows
        if (second := opinion(vars(row.question))) is not None
    )
    assert checked[False] == 0
    assert checked[True] > 0.8 * len(rows)
    assert "question whose answer is not legal Verilog" not in report.dropped
