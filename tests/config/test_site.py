"""The site file: validated, and converted to resources of rules."""

import json
from pathlib import Path

import pytest

from tapeout.config.computation import Computation
from tapeout.config.load import load_files, load_site
from tapeout.config.problems import InvalidConfig
from tapeout.config.site import Site
from tapeout.config.training import Training

ROOT = Path(__file__).parents[2]
GPUS = {"accelerator": "gpu", "gpu_model": "NVIDIA H100 80GB HBM3"}


def site(tmp_path: Path, text: str) -> Site:
    (tmp_path / "site.yaml").write_text(text)
    return load_site(str(tmp_path / "site.yaml"))


def test_the_projects_file_shows_every_key_with_its_default() -> None:
    assert load_site(str(ROOT / "config" / "site.yaml")) == Site()
    text = (ROOT / "config" / "site.yaml").read_text()
    assert all(f"{name}:" in text for section in Site().model_dump().values() for name in section)


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert site(tmp_path, "") == Site()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slurm: {acount: lab}", "did you mean account?"),
        ("slurm: {gpu: {gpus_per_node: 0}}", "slurm.gpu.gpus_per_node"),
        ("slurm: {gpu: {per_node: 4}}", "site.slurm.gpu.per_node is now site.slurm.gpu.gpus_per_node"),
        ("container: {runtime: docker}", "container.runtime"),
        ("slurm: {gpu: {extra: --time=3}}", "slurm.gpu.extra: --time is not allowed"),
        ("slurm: {cpu: {extra: --array=1-3}}", "slurm.cpu.extra: --array is not allowed"),
        ("slurm: {cpu: {extra: --exclude=$(id)}}", "is not an option"),
        ("slurm: {cpu: {extra: -p other}}", "is not an option"),
        ("slurm: [", "this is not YAML"),
        ("tracking: {csv: ''}", "tracking.csv"),
        ("tracking: {wandb: {project: chips, folder: out, mode: disabled}}", "tracking.wandb.mode"),
        ("tracking: {wandb: {project: chips}}", "tracking.wandb.folder"),
        ("tracking: {mlflow: {uri: 'https://me:secret@host', experiment: x}}", "contains a user or a password"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message.replace("?", r"\?")):
        site(tmp_path, text)


def test_trackers_reach_the_processes_of_a_run_without_secrets(tmp_path: Path) -> None:
    assert "TAPEOUT_TRACKING" not in Site().variables
    text = "tracking: {csv: out, tensorboard: events, wandb: {project: chips, folder: runs}, "
    found = site(tmp_path, text + "mlflow: {uri: 'https://host/ml', experiment: chips}}")
    assert json.loads(found.variables["TAPEOUT_TRACKING"]) == {
        "csv": {"folder": "out"},
        "tensorboard": {"folder": "events"},
        "wandb": {"project": "chips", "mode": "online", "folder": "runs"},
        "mlflow": {"uri": "https://host/ml", "experiment": "chips"},
    }


def test_an_export_has_no_site_and_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_site("config/site.yaml") == Site()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="There is no site file"):
        load_site(str(tmp_path / "none.yaml"))


def test_trainings_get_whole_nodes_and_never_pieces(tmp_path: Path) -> None:
    found = site(
        tmp_path, "slurm: {account: lab, gpu: {model: h100, gpus_per_node: 8, qos: long, extra: --exclude=n7}}"
    )
    two = Training(global_batch_size=16, micro_batch_size=1, layout={"num_nodes": 2, "devices": 8, **GPUS})
    asked = found.gpu_nodes(two)
    assert (asked["gres"], asked["nodes"], asked["device"]) == ("gpu:h100:8", 2, "gpu")
    assert (asked["slurm_account"], asked["qos"], asked["runtime"]) == ("lab", "long", 240)
    assert asked["slurm_extra"] == "--open-mode=append --exclude=n7" and "constraint" not in asked
    assert "gres" not in found.cpu and found.cpu["slurm_partition"] == "cpu"


def test_an_evaluation_gets_one_gpu_and_its_share_of_a_node(tmp_path: Path) -> None:
    found = site(tmp_path, "slurm: {gpu: {model: h100, gpus_per_node: 8, cpus: 64, memory_gb: 400}}")
    asked = found.evaluation(Computation(gpu_model="NVIDIA H100 80GB HBM3"))
    assert (asked["gres"], asked["nodes"], asked["device"]) == ("gpu:h100:1", 1, "gpu")
    assert (asked["cpus_per_task"], asked["mem_mb"], asked["slurm_partition"]) == (8, 50 * 1024, "gpu")
    assert found.evaluation(Computation()) == found.cpu


def test_a_layout_that_no_node_can_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    own = tmp_path / "own.yaml"
    own.write_text(
        "dapt:\n  global_batch_size: 16\n  micro_batch_size: 1\n"
        "  layout: {devices: 16, accelerator: gpu, gpu_model: NVIDIA H200}\n"
    )
    with pytest.raises(InvalidConfig, match=r"own.yaml, line 4: dapt.layout.devices is 16, and config/site.yaml has "):
        load_files(["config/default.yaml", own])


def test_short_steps_stay_on_the_submit_node() -> None:
    assert Site().short(9) and not Site().short(10)
