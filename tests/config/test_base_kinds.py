"""The key ``base``: kinds of base models, their keys, and what follows from a model that comes from a source."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.root import Settings
from tapeout.costs.estimates import Estimates

ROOT = Path(__file__).parents[2]
FOREIGN = {"kind": "huggingface", "source": "serv", "vocab_size": 256, "architecture": {"hidden_size": 64}}
VOCABULARY = {"model_file": "tokenizer.model"}


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources files are named relative to the repository."""
    monkeypatch.chdir(ROOT)


def configured(base: dict[str, Any], **tokenizer: Any) -> Settings:
    default = yaml.safe_load((ROOT / "config/default.yaml").read_text())
    return load({**default, "base": base, "tokenizer": {**default["tokenizer"], **tokenizer}})


def test_keys_without_a_kind_are_those_of_the_tiny_model() -> None:
    base = {"max_steps": 120, "architecture": {"hidden_size": 64}}
    assert configured(base).base.identity() == configured({"kind": "tiny", **base}).base.identity()
    assert configured(base).base.rule == "base_tiny"
    assert "mistral-common" in configured(base).used_sources


def test_a_model_from_a_source_has_its_own_vocabulary() -> None:
    settings = configured({**FOREIGN, "source": "questions"}, **VOCABULARY)
    assert settings.base.rule == "base_huggingface" and settings.base.sources == ("questions",)
    assert "mistral-common" not in settings.used_sources and "questions" in settings.used_sources
    assert Estimates(settings).extended_pieces == 256 + 768
    assert settings.tokenizer.file_name == "tokenizer.model"
    assert configured(FOREIGN | {"source": "questions"}, model_file="tokenizer.json").tokenizer.base_file_name == (
        "base.json"
    )


def test_a_kind_from_outside_brings_its_keys_and_names_its_rule() -> None:
    settings = configured({"kind": "tests.toys.toy_base", "folder": "left", "architecture": {"hidden_size": 64}})
    assert settings.base.identity()["folder"] == "left" and settings.base.rule == "base_toy_base"
    with pytest.raises(InvalidConfig, match=r"base\.foldr is unknown; did you mean folder\?"):
        configured({"kind": "tests.toys.toy_base", "foldr": "left"})


def test_a_trained_model_cannot_be_given_a_longer_context() -> None:
    architecture = {"hidden_size": 64, "seq_length": 128}
    with pytest.raises(InvalidConfig, match=r"(?s)dapt\.seq_length is 256, more than .* 128\..*at most 128\.\n"):
        configured({**FOREIGN, "source": "questions", "architecture": architecture}, **VOCABULARY)


@pytest.mark.parametrize(
    ("base", "tokenizer", "message"),
    [
        ({"kind": "hugingface"}, {}, "kind hugingface is unknown; did you mean huggingface?"),
        ({"kind": 3}, {}, "kind must name one of gguf, huggingface, nemo, tiny"),
        ({**FOREIGN, "max_steps": 9}, VOCABULARY, "base: max_steps is a key of kind tiny, and kind is huggingface."),
        ({"source": "serv"}, {}, "base: source is a key of kind gguf or huggingface or nemo, and kind is tiny."),
        ({**FOREIGN, "sorce": "serv"}, VOCABULARY, "the key base.sorce is unknown; did you mean source?"),
        ({"kind": "huggingface", "source": "serv"}, VOCABULARY, "base.vocab_size is missing"),
        ({**FOREIGN, "source": "gone"}, VOCABULARY, "base.source names the source gone"),
        ({**FOREIGN, "path": "../x"}, VOCABULARY, "base.path: '../x' is not a plain relative path"),
        (FOREIGN, {}, "tokenizer.model_file is mistral_common/data/tokenizer.model.v1, which is no name"),
        (FOREIGN, {**VOCABULARY, "source": "mistral-common"}, "tokenizer.source would have no effect"),
    ],
)
def test_what_makes_no_sense_is_refused(base: dict[str, Any], tokenizer: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig) as error:
        configured(base, **tokenizer)
    assert message in str(error.value)


def test_the_models_own_chat_template_needs_a_model_that_may_have_one() -> None:
    default = yaml.safe_load((ROOT / "config/default.yaml").read_text())
    own = {"instructions": {"prompt": {"tokens": "template", "chat_template": "model"}}}
    with pytest.raises(InvalidConfig, match=r"chat_template is model, but base\.kind tiny has none"):
        load({**default, **own})
    foreign = {"base": {**FOREIGN, "source": "questions"}, "tokenizer": {**default["tokenizer"], **VOCABULARY}}
    encoding = load({**default, **foreign, **own}).encoding()
    assert encoding.prompt.for_questions and encoding.chat_template is None
    with pytest.raises(InvalidConfig, match=r"sft\.template would have no effect"):
        load({**default, **foreign, **own, "sft": {"template": "{input} {output}"}})
