"""Held-out rows in training text stop every training, and the report shows them."""

import zipfile

import pytest
import yaml

from tests.end_to_end.conftest import Clone

pytestmark = pytest.mark.end_to_end


def contaminate(clone: Clone) -> None:
    """Add a page with whole modules of the held-out core to the domain's training text."""
    with zipfile.ZipFile(clone.root / "tiny/gamma.zip") as opened:
        modules = [opened.read(name).decode() for name in sorted(opened.namelist())[:10]]
    path = clone.root / "tiny/alpha.zip"
    with zipfile.ZipFile(path) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    files["docs/vendored.md"] = "\n".join(["Copied from gamma:", *modules]).encode()
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in sorted(files.items()):
            opened.writestr(zipfile.ZipInfo(name), content)


def set_limit(clone: Clone, fraction: float) -> None:
    path = clone.root / "tiny/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["data_report"] = {"gates": {"contaminated": fraction}}
    path.write_text(yaml.safe_dump(config))


@pytest.mark.usefixtures("shared_store")
def test_contamination_stops_training_and_a_higher_limit_lets_it_start(fresh: Clone) -> None:
    contaminate(fresh)
    run = fresh.run("dapt", ok=False)
    assert "GateFailed: The data exceeds its limits." in run.text
    assert "contaminated: test rows of corpus/domain in corpus/domain: 10 of 30 (33.3 %, limit 10 %)" in run.text
    assert "Traceback" not in run.text
    assert "dapt/model" not in run.built and "data_report" in run.built
    assert not (fresh.root / "results/gates.json").exists()
    page = (fresh.root / "results/data_report/report.html").read_text()
    assert "docs/vendored.md" in page and "gamma_unit_0" in page
    set_limit(fresh, 0.4)
    assert fresh.run("gates").built == ["data_report", "gates.json"]
    digest = fresh.digests()["gates.json"]
    set_limit(fresh, 0.5)
    assert fresh.run("gates").built == ["data_report", "gates.json"]
    assert fresh.digests()["gates.json"] == digest  # independent of limits and figures: no training reruns
