"""Model families in the configuration: one from outside of the package needs no edit of a file in it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.root import Settings
from tapeout.costs.estimates import Estimates
from tapeout.graph.identity.code import closure
from tapeout.models.family import Family
from tests.toys import toy_family

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the default configuration with the toy family."""
    monkeypatch.chdir(ROOT)
    return configure(family="tests.toys.toy_family", architecture={"width": 32})


def configure(**base: Any) -> Settings:
    default = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())
    return load({**default, "base": base})


def test_the_toy_implements_the_interface() -> None:
    family: Family = toy_family  # mypy compares the members
    assert family.MODEL_TYPE == "gpt2"


def test_the_configuration_takes_the_options_of_the_family(settings: Settings) -> None:
    assert settings.base.identity()["architecture"] == {"width": 32, "seq_length": 256}
    with pytest.raises(InvalidConfig, match=r"base\.architecture\.widht is unknown; did you mean width\?"):
        configure(family="tests.toys.toy_family", architecture={"widht": 32})
    with pytest.raises(InvalidConfig, match=r"base\.architecture\.width is unknown"):
        configure(architecture={"width": 32})
    with pytest.raises(InvalidConfig, match="there is no family lama; name one of llama"):
        configure(family="lama")


def test_costs_are_those_of_the_family(settings: Settings) -> None:
    costs, toy = Estimates(settings), toy_family.Architecture(width=32)
    assert costs.base_bytes == 4 * toy.parameter_count(32_000)
    assert costs.base_gflop == round(toy.training_flop(32_000, 640 * 4 * 256, 256) / 1e9)


def test_only_steps_that_open_a_model_depend_on_its_family(settings: Settings) -> None:
    module = "tests/toys/toy_family.py"
    assert settings.base.family_module == "tests.toys.toy_family"
    code = closure(ROOT / "scripts/base_extended.py", ROOT, [settings.base.family_module])
    assert module in code and "tapeout/models/llama/__init__.py" not in code
    for method, other in (("dapt", "sft"), ("sft", "dapt")):
        code = closure(ROOT / f"scripts/{method}.py", ROOT, [f"tapeout.train.methods.{method}"])
        assert {f"tapeout/config/{method}.py", f"tapeout/train/methods/{method}.py"} <= code.keys()
        forbidden = ("tapeout/models/llama", f"tapeout/config/{other}.py", f"tapeout/train/methods/{other}.py")
        assert not [name for name in code if name.startswith(forbidden)]
