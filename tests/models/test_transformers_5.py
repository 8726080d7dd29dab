"""Models that transformers 4 and NeMo wrote, read with transformers 5: the same logits, and the same refusals."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import __version__

from tapeout.graph.identity.environment import read_environment
from tapeout.models.family import family_of
from tapeout.models.huggingface import architecture_of, checked_config, load_huggingface
from tapeout.models.tokenizer_file import UnusableModel
from tapeout.nemo.checkpoint import load_model
from tests.models.saved_by_4 import FAMILIES

pytestmark = [pytest.mark.environment("serve"), pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the models of transformers 4."""
    output = tmp_path_factory.mktemp("saved")
    python = ROOT / read_environment("nemo", ROOT).folder / "bin" / "python"
    command = [python, "-m", "tests.models.saved_by_4", output]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return output


def test_this_is_version_5() -> None:
    assert __version__.startswith("5.")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_has_the_logits_that_it_had(folder: Path, name: str) -> None:
    expected = load_file(folder / "logits.safetensors")[name]
    with torch.no_grad():
        logits = load_huggingface(folder / name)(torch.arange(48)[None]).logits[0]
    assert float((logits - expected).abs().max()) < 1e-5


def test_a_nemo_checkpoint_has_the_logits_that_it_had(folder: Path) -> None:
    expected = load_file(folder / "logits.safetensors")["llama"]
    with torch.no_grad():
        logits = load_model(folder / "checkpoint")(torch.arange(48)[None]).logits[0]
    assert float((logits - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("name", FAMILIES)
def test_a_configuration_gives_the_same_architecture_in_the_form_of_either_version(
    folder: Path, tmp_path: Path, name: str
) -> None:
    before = architecture_of(folder / name)
    assert (
        before.model_dump().items()
        >= {key: value for key, value in FAMILIES[name].items() if key != "rope_scaling"}.items()
    )
    checked_config(folder / name).save_pretrained(tmp_path)
    assert "rope_parameters" in json.loads((tmp_path / "config.json").read_text())
    assert architecture_of(tmp_path) == before
    assert family_of(tmp_path) is family_of(folder / name)


LOST: list[tuple[str, Any]] = [
    ("rope_scaling", {"rope_type": "linear", "factor": 2.0}),
    ("attention_bias", True),
    ("hidden_act", "gelu"),
    ("logit_scale", 0.25),
    ("rope_parameters", {"rope_type": "yarn", "factor": 2.0, "rope_theta": 5000.0}),
]


@pytest.mark.parametrize(("field", "value"), LOST, ids=[field for field, _ in LOST])
def test_an_option_that_would_be_lost_is_refused(folder: Path, tmp_path: Path, field: str, value: Any) -> None:
    content = json.loads((folder / "llama" / "config.json").read_text())
    for name in ("rope_scaling", "rope_theta") if field == "rope_parameters" else ():
        content.pop(name)
    (tmp_path / "config.json").write_text(json.dumps(content | {field: value}))
    with pytest.raises(UnusableModel, match=r"would lose|cannot be read|has "):
        checked_config(tmp_path)
