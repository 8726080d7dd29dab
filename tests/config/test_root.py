"""The whole configuration: complete, checked, and documented by its schema."""

import os
from pathlib import Path

import pytest
import yaml

from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.root import Settings
from tapeout.config.schema import schema
from tapeout.config.wiring import Wiring
from tapeout.config.yaml_files import merge
from tapeout.graph.identity.digest import DigestCache
from tapeout.sources.errors import SourceMissing

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources file is named relative to the repository."""
    monkeypatch.chdir(ROOT)


def default() -> dict:
    return yaml.safe_load((ROOT / "config" / "default.yaml").read_text())


def overlaid(config: dict) -> dict:
    """Return the default configuration merged with another one, as Snakemake merges them."""
    return merge(default(), config)


def test_every_config_of_the_project_is_valid() -> None:
    for path in sorted(ROOT.glob("config/*.yaml")):
        if path.name not in ("sources.yaml", "site.yaml"):
            settings = load(overlaid(yaml.safe_load(path.read_text())))
            assert set(settings.used_sources) <= set(settings.sources)


def test_the_schema_is_the_models() -> None:
    assert (ROOT / "config" / "schema.json").read_text() == schema(), "run: make schema"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learning": 1}, "the key learning is unknown."),
        ({"dapt": {"max_stepz": 3}}, "the key dapt.max_stepz is unknown; did you mean max_steps?"),
        ({"dpat": {}}, "the key dpat is unknown; did you mean dapt?"),
        (
            {"dapt": {"max_steps": "many"}},
            'dapt.max_steps must be a whole number, not "many".\n  fix: Correct the value (max_steps: Optimizer ',
        ),
        ({"dapt": {"max_steps": 10, "warmup_steps": 9}}, "dapt: warmup_steps is 9, more than half of max_steps, 10"),
        (
            {"dapt": {"layout": {"num_nodes": 2}}},
            "dapt: global_batch_size is 8, which is not a multiple of 16",
        ),
        (
            {"dapt": {"layout": {"devices": 3, "tensor_model_parallel_size": 2}}},
            "devices is 3, which is not a multiple of",
        ),
        ({"base": {"family": "lama"}}, "base.family: there is no family lama; name one of llama"),
        (
            {"base": {"architecture": {"hiden_size": 64}}},
            "the key base.architecture.hiden_size is unknown; did you mean hidden_size?",
        ),
        ({"sft": {"precision": "bf16-mixed"}}, "precision bf16-mixed needs layout.accelerator gpu"),
        (
            {"corpus": {"domain": {"train": ["ibex"], "test": ["ibex"]}}},
            "the core ibex is named twice, in train and test",
        ),
        (
            {"corpus": {"general": {"names": ["wikipedia"]}}},
            "corpus.general.names names the source wikipedia",
        ),
        (
            {"instructions": {"sets": {"serv": {"format": "messages"}}, "train": ["serv"]}},
            "instructions.sets.serv names serv, which is held out",
        ),
        (
            {"instructions": {"train": ["dolly"]}},
            "instructions: train names dolly, which is not in sets",
        ),
        (
            {"instructions": {"sets": {"dolly": {"format": "squad", "templat": "x"}}}},
            "the key instructions.sets.dolly.templat is unknown; did you mean template?",
        ),
        (
            {"instructions": {"sets": {"dolly": {"format": "squat"}}}},
            "instructions.sets.dolly: format squat is unknown; did you mean squad?\n",
        ),
        ({"methods": {"dapt": {}}}, "methods.dapt would have no effect: its parameters are the section dapt"),
        ({"methods": {"tapeout.train.methods.sft": {}}}, "its parameters are the section sft"),
        ({"methods": {"tapeout.train.methods.dpo": {"sources": ["questions"]}}}, "is named by its last part"),
        ({"methods": {"dpo": {"sources": ["questoins"]}}}, "methods.dpo.sources names the source questoins, which no"),
        ({"methods": {"dpo": {"sources": ["serv"]}}}, "methods.dpo.sources names serv, which is held out"),
        ({"methods": {"dpo": {}}}, "methods.dpo.sources"),
        (
            {
                "methods": {"dpo": {"sources": ["questions"]}},
                "instructions": {"prompt": {"tokens": "template", "chat_template": "model"}},
            },
            "methods.dpo encodes questions with sft.template, but the model's own chat template renders them",
        ),
        (
            {"methods": {"dpo": {"sources": ["questions"], "layout": {"devices": 2, "context_parallel_size": 2}}}},
            "layout.context_parallel_size divides sequences, and this method needs the whole answers of a pair",
        ),
        (
            {
                "methods": {
                    "dpo": {
                        **{"sources": ["questions"], "precision": "fp8"},
                        "layout": {"accelerator": "gpu", "gpu_model": "NVIDIA H200"},
                    }
                }
            },
            "precision fp8 is not supported for this method",
        ),
        ({"dapt": {"reads": "pretraining"}}, "dapt.reads is pretraining, but"),
        ({"sources": 3}, "sources must be the path of a sources file, or a list of paths"),
        ({"sources": "config/none.yaml"}, "There is no sources file config/none.yaml"),
    ],
)
def test_what_is_wrong_is_named(change: dict, words: str) -> None:
    with pytest.raises(InvalidConfig, match="fix: ") as found:
        load(merge(default(), change))
    assert words in str(found.value)


def test_several_sources_files_are_laid_over_each_other(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("ibex: {kind: file, path: x.zip, licence: own}\n")
    settings = load({**default(), "sources": ["config/sources.yaml", str(own)]})
    assert settings.sources["ibex"].kind == "file" and settings.sources["serv"].kind == "pypi"
    own.write_text("ibex: {kind: file, path: x.zip, license: own}\n")
    with pytest.raises(
        InvalidConfig,
        match=r"own.yaml, line 1: the key sources\.ibex\.license is unknown; did",
    ):
        load({**default(), "sources": ["config/sources.yaml", str(own)]})


def test_identities_are_json_and_hold_nothing_of_the_machine() -> None:
    settings = load(default())
    text = yaml.safe_dump(Settings.identity(settings))
    assert str(ROOT) not in text


def test_the_notice_of_a_model_names_what_it_was_trained_on() -> None:
    chats = {"sets": {"chats": {"format": "messages", "sources": ["questions"]}, "cores": {"format": "rtl"}}}
    sharded = {"components": {"text": {"sources": ["cv32e40p"], "weight": 1}}}
    corpora = ["blackparrot", "cv32e40p", "django", "ibex"]
    for change, names in (
        ({}, [*corpora, "questions"]),
        ({"instructions": {**chats, "train": ["cores"]}}, corpora),
        ({"export": {"model": "dapt/model"}}, corpora),
        ({"dapt": {"reads": "pretraining"}, "pretraining": sharded}, [*corpora, "questions"]),  # rows about the cores
        (
            {"dapt": {"reads": "pretraining"}, "pretraining": sharded, "instructions": {**chats, "train": ["chats"]}},
            ["cv32e40p", "django", "questions"],
        ),
    ):
        assert load({**default(), **change}).trained_sources == names


def test_the_card_of_a_model_states_licence_base_model_and_stages() -> None:
    given = {**default(), "export": {"licence": "Apache-2.0"}, "sft": {"max_steps": 500}}
    facts = Wiring(load(given), lambda *names: names).card
    assert facts["licence"] == "Apache-2.0" and facts["base_model"] is None and facts["new_pieces"] == 768
    assert list(facts["stages"]) == ["dapt", "sft"]
    assert facts["pretraining"] == {"max_steps": 640, "global_batch_size": 4, "seq_length": 256}
    assert facts["stages"]["sft"] == {"max_steps": 500, "global_batch_size": 16, "seq_length": 256}
    llama = overlaid(yaml.safe_load((ROOT / "config/models/llama2-7b.yaml").read_text()))
    facts = Wiring(load(llama), lambda *names: names).card
    assert facts["base_model"] == "meta-llama/Llama-2-7b-hf" and facts["pretraining"] is None


def test_a_local_source_is_pinned_to_what_it_is_now(tmp_path: Path) -> None:
    core = tmp_path / "core.zip"
    sources = yaml.safe_load((ROOT / "config" / "sources.yaml").read_text())
    sources["ibex"] = {"kind": "file", "path": str(core), "licence": "own"}
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump(sources))
    settings = load({**default(), "sources": str(tmp_path / "sources.yaml")})
    digests = DigestCache(tmp_path / "memory.json")
    with pytest.raises(SourceMissing, match="does not exist"):
        settings.pinned(digests.digests)
    core.write_bytes(b"one")
    first = settings.pinned(digests.digests).sources["ibex"].identity()
    core.write_bytes(b"two")
    second = settings.pinned(digests.digests).sources["ibex"].identity()
    assert first["sha256"] != second["sha256"] and first["sha256"] is not None


def test_a_local_folder_is_pinned_to_what_it_is_now(tmp_path: Path) -> None:
    folder = tmp_path / "core"
    sources = yaml.safe_load((ROOT / "config" / "sources.yaml").read_text())
    sources["ibex"] = {"kind": "folder", "path": str(folder), "licence": "own"}
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump(sources))
    settings = load({**default(), "sources": str(tmp_path / "sources.yaml")})
    digests = DigestCache(tmp_path / "memory.json")
    with pytest.raises(SourceMissing, match="There is no folder"):
        settings.pinned(digests.digests)
    folder.mkdir()
    (folder / "a.v").write_text("one")
    (folder / "b.v").write_text("two")

    def pinned() -> str | None:
        sha256: str | None = settings.pinned(digests.digests).sources["ibex"].identity()["sha256"]
        return sha256

    first = pinned()
    os.utime(folder / "b.v", (1, 1))
    assert first is not None and pinned() == first
    (folder / "b.v").write_text("other")
    assert pinned() != first
    (folder / "b.v").write_text("two")
    assert pinned() == first
