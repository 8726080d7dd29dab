"""The model of parameters, FLOP and bytes against figures that others published."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.root import load
from tapeout.costs.estimates import Estimates, Llama, downloads_folder, state_bytes
from tapeout.graph.plan.rates import GPUS
from tapeout.sources import download

LLAMA_2 = {
    "7B": Llama(4096, 32, 32, 32, 11008, 32000),
    "13B": Llama(5120, 40, 40, 40, 13824, 32000),
    "70B": Llama(8192, 80, 64, 8, 28672, 32000),
}
PARAMETERS = {"7B": 6_738_415_616, "13B": 13_015_864_320, "70B": 68_976_648_192}
"""Of the published checkpoints."""

CHIPNEMO_DAPT = {"7B": 2_620, "13B": 4_940, "70B": 20_500}
"""A100 GPU hours for 24.1 billion tokens in sequences of 4,096 (arXiv 2311.00176; with SFT 2,710, 5,100 and 21,340)."""


def estimates(**config: Any) -> Estimates:
    return Estimates(load(config))


@pytest.mark.parametrize("name", LLAMA_2)
def test_parameters_of_llama_2(name: str) -> None:
    assert LLAMA_2[name].parameters == PARAMETERS[name]


def test_flop_of_a_token_are_those_of_a_published_pair() -> None:
    # NeMo 24.09: Llama 2 7B, sequences of 4,096: 16,934 tokens/s and 780 TFLOP/s a GPU
    assert LLAMA_2["7B"].training(16_934, 4096) == pytest.approx(780e12, rel=0.001)


@pytest.mark.parametrize("name", LLAMA_2)
def test_gpu_hours_of_chipnemo(name: str) -> None:
    model, a100 = LLAMA_2[name], GPUS["a100"]
    found = model.training(24_100_000_000, 4096) / (a100.peak * a100.utilisation) / 3600
    assert CHIPNEMO_DAPT[name] / 1.2 < found < CHIPNEMO_DAPT[name] * 1.2


def test_utilisation_on_hopper_is_a_published_one() -> None:
    # torchtitan, Llama 3.1 8B, 8 H100, BF16, sequences of 8,192: 5,762 tokens/s a GPU, compiled 6,667
    model = Llama(4096, 32, 32, 8, 14336, 128256)
    assert model.parameters == 8_030_261_248
    plain, compiled = (model.training(rate, 8192) / GPUS["h100"].peak for rate in (5_762, 6_667))
    assert plain < GPUS["h100"].utilisation < compiled


def test_memory_of_weights_gradients_and_optimiser() -> None:
    # bytes a parameter in Megatron-core's guide: 18 alone, 6 + 12 / d over d replicas
    assert state_bytes(PARAMETERS["7B"]) == 18 * PARAMETERS["7B"]
    assert state_bytes(PARAMETERS["7B"], data=8) == 7.5 * PARAMETERS["7B"]  # 51 GB: fits one GPU of 80 GB
    assert state_bytes(PARAMETERS["70B"], tensor=8, pipeline=4, data=2) == pytest.approx(12 * 68_976_648_192 / 32)


def test_the_default_config_is_what_was_recorded() -> None:
    # train_log.json of base and of dapt/model
    found = estimates()
    assert (found.base.parameters, found.extended.parameters) == (8_979_584, 9_176_192)
    job = found.settings.dapt
    assert found.training_gflop(job) == round(found.extended.training(614_400, 256) / 1e9)
    assert found.base_gflop == round(found.base.training(655_360, 256) / 1e9)
    assert found.extended_bytes == 36_704_768


def test_work_grows_with_the_configuration() -> None:
    small, wide = estimates(), estimates(base={"hidden": 256, "feed_forward": 768})
    long = estimates(dapt={"steps": 600})
    assert long.training_gflop(long.settings.dapt) == pytest.approx(
        2 * small.training_gflop(small.settings.dapt), abs=1
    )
    assert long.base_gflop == small.base_gflop
    assert wide.base_gflop > 2 * small.base_gflop and all(
        wide.evaluation_gflop(task) > 2 * small.evaluation_gflop(task) for task in small.settings.evaluation.tasks
    )
    llama = {"hidden": 4096, "layers": 32, "heads": 32, "key_value_heads": 32, "feed_forward": 11008}
    assert estimates(base=llama).copying_seconds(20) > 200 > small.copying_seconds(20) == 20
    assert replace(LLAMA_2["7B"], vocabulary=32768).parameters == estimates(base=llama).extended.parameters


def test_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEOUT_DOWNLOADS", str(tmp_path))
    assert downloads_folder() == download.downloads_folder() == tmp_path
    found = estimates()
    ibex = found.settings.sources["ibex"]
    assert ibex.kind == "pypi"
    assert found.download_bytes("ibex") == found.source_bytes("ibex") == 10_267_011
    assert found.download_seconds("ibex") == 2
    (tmp_path / f"{ibex.sha256}.part").write_bytes(bytes(1_000_000))
    assert found.download_bytes("ibex") == 9_267_011
    (tmp_path / f"{ibex.sha256}.part").rename(tmp_path / ibex.sha256)
    assert found.download_bytes("ibex") == 0 and found.download_seconds("ibex") == 1
    monkeypatch.delenv("TAPEOUT_DOWNLOADS")
    assert downloads_folder() == download.downloads_folder()


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
    found = estimates(sources=["config/sources.yaml", str(tmp_path / "sources.yaml")])
    assert [found.source_bytes(name) for name in records] == [20, None, 20, None, 12]
    assert [found.download_bytes(name) for name in records] == [0, 0, 0, None, 12]


def test_steps_of_a_corpus_in_shards_are_told_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    part = {"sources": ["django"], "weight": 1}
    made = estimates(pretraining={"shards": 200, "components": {"part": part}})
    assert made.corpus_bytes == made.source_bytes("django")
    # of 5 GB, within a factor of three of benchmarks/data_memory.md
    monkeypatch.setattr(Estimates, "source_bytes", lambda self, name: 5_000_000_000)
    assert 62 / 3 < made.reading_seconds("django") < 62 * 3
    assert 2.5 / 3 < made.cleaning_seconds < 2.5 * 3
    assert 5.8 / 3 < made.tokenizing_seconds < 5.8 * 3
    assert 1.7 / 3 < made.comparing_seconds < 1.7 * 5
