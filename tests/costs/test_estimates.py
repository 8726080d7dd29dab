"""FLOP, bytes and seconds of the steps of a configuration."""

import json
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.load import load
from tapeout.config.sources import downloads_folder
from tapeout.costs.estimates import Estimates


def estimates(**config: Any) -> Estimates:
    return Estimates(load(config))


def test_the_default_config_is_what_was_recorded() -> None:
    # train_log.json of base and of dapt/model
    result = estimates()
    assert (result.base_bytes, result.extended_parameters) == (4 * 8_979_584, 9_176_192)
    job = result.settings.dapt
    model = result.settings.base.architecture
    assert result.training_gflop(job) == round(model.training_flop(32_768, 614_400, 256) / 1e9)
    assert result.base_gflop == round(model.training_flop(32_000, 655_360, 256) / 1e9)
    assert result.extended_bytes == 36_704_768


def test_work_grows_with_the_configuration() -> None:
    small, wide = estimates(), estimates(base={"architecture": {"hidden_size": 256, "ffn_hidden_size": 768}})
    long = estimates(dapt={"max_steps": 600})
    assert long.training_gflop(long.settings.dapt) == pytest.approx(
        2 * small.training_gflop(small.settings.dapt), abs=1
    )
    assert long.base_gflop == small.base_gflop
    assert wide.base_gflop > 2 * small.base_gflop and all(
        wide.evaluation_gflop(task) > 2 * small.evaluation_gflop(task) for task in small.settings.evaluations
    )
    large = {"architecture": {"hidden_size": 4096, "num_layers": 32, "ffn_hidden_size": 11008}}
    assert estimates(base=large).copying_seconds(20) > 200 > small.copying_seconds(20) == 20


def test_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPEOUT_DOWNLOADS", raising=False)
    monkeypatch.setenv("TAPEOUT_USER_HOME", "/home/me")  # in a step, whose own home is another
    assert downloads_folder() == Path("/home/me/.cache/tapeout/downloads")
    monkeypatch.setenv("TAPEOUT_DOWNLOADS", str(tmp_path))
    assert downloads_folder() == tmp_path
    result = estimates()
    ibex = result.settings.sources["ibex"]
    assert ibex.kind == "pypi"
    assert result.download_bytes("ibex") == result.source_bytes("ibex") == 10_267_011
    assert result.download_seconds("ibex") == 2
    (tmp_path / f"{ibex.sha256}.part").write_bytes(bytes(1_000_000))
    assert result.download_bytes("ibex") == 9_267_011
    (tmp_path / f"{ibex.sha256}.part").rename(tmp_path / ibex.sha256)
    assert result.download_bytes("ibex") == 0 and result.download_seconds("ibex") == 1


def test_other_kinds_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEOUT_DOWNLOADS", str(tmp_path / "none"))
    (tmp_path / "core.v").write_text("module m; endmodule\n")
    hub = {"kind": "hf_model", "repository": "owner/name", "revision": "2" * 40}
    records = {
        "local": {"kind": "file", "path": f"{tmp_path}/core.v"},
        "gone": {"kind": "file", "path": f"{tmp_path}/gone.v"},
        "near": {"kind": "url", "url": f"file://{tmp_path}/core.v", "file": "core.v", "sha256": "0" * 64, "size": 20},
        "far": {"kind": "url", "url": "https://example.org/core.v", "file": "core.v", "sha256": "1" * 64},
        "hub": {**hub, "files": [{"path": str(size), "sha256": str(size) * 64, "size": size} for size in (5, 7)]},
    }
    (tmp_path / "sources.yaml").write_text(json.dumps({name: {**r, "licence": "MIT"} for name, r in records.items()}))
    result = estimates(sources=["config/sources.yaml", str(tmp_path / "sources.yaml")])
    assert [result.source_bytes(name) for name in records] == [20, None, 20, None, 12]
    assert [result.download_bytes(name) for name in records] == [0, 0, 0, None, 12]


def test_steps_of_a_corpus_in_shards_are_estimated_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    part = {"sources": ["django"], "weight": 1}
    made = estimates(pretraining={"shards": 200, "components": {"part": part}})
    assert made.corpus_bytes == made.source_bytes("django")
    # of 5 GB, within a factor of three of benchmarks/data_memory.md
    monkeypatch.setattr(Estimates, "source_bytes", lambda self, name: 5_000_000_000)
    assert 62 / 3 < made.sharding_seconds("django") < 62 * 3
    assert 2.5 / 3 < made.cleaning_seconds < 2.5 * 3
    assert 5.8 / 3 < made.tokenizing_seconds < 5.8 * 3
    assert 1.7 / 3 < made.comparing_seconds < 1.7 * 5
