"""Models of every kind that the graph makes, and those that are refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tapeout.config.serving import Sampling, ServedModel
from tapeout.deploy.served_tokenizer import write_tokenizer
from tapeout.guard.errors import UnusableModel
from tapeout.models import llama
from tapeout.models.adapter import Adapter, merge_adapter, write_adapter
from tapeout.serve.errors import RequestFailed
from tapeout.serve.model import Model, load
from tapeout.serve.session import Answer, Conversation, Question
from tests.serve.material import prompts, write_model

pytestmark = pytest.mark.environment("serve")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny", context=128)


def exported(folder: Path, output: Path) -> Path:
    """Return a folder with the files of an export."""
    shutil.copytree(folder, output)
    write_tokenizer(folder / "tokenizer.model", output, llama, prompts(), ["question"], 128)
    (output / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 9], "stop_strings": ["STOP"]}))
    return output


def ask(model: Model, text: str = "What is a mux?", **sampling: object) -> Answer:
    answer = Conversation(model, None, None).ask(text, Sampling.model_validate({"max_tokens": 30, **sampling}))
    for _ in answer:
        pass
    return answer


def test_an_export_is_served_with_its_own_files(folder: Path, tmp_path: Path) -> None:
    own = load(ServedModel(name="m", folder=str(exported(folder, tmp_path / "export"))))
    built = load(ServedModel(name="m", folder=str(folder), prompts=prompts()))
    assert (own.ends, own.stops, own.context) == ({2, 9}, ("STOP",), 128)
    assert built.ends == {2}
    assert ask(own).prompt == ask(built).prompt


def test_an_adapter_is_served_as_its_merged_model(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = "model.layers.1.self_attn.q_proj"
    adapter = Adapter(2, 16, {layer: (torch.randn(2, 16), torch.randn(16, 2))})
    (tmp_path / "adapter").mkdir()
    write_adapter(adapter, folder, tmp_path / "adapter")
    merge_adapter(folder, tmp_path / "adapter", tmp_path / "merged")
    one = load(ServedModel(name="m", folder=str(tmp_path / "adapter"), base=str(folder), prompts=prompts()))
    other = load(ServedModel(name="m", folder=str(tmp_path / "merged"), prompts=prompts()))
    plain = load(ServedModel(name="m", folder=str(folder), prompts=prompts()))
    assert ask(one).ids == ask(other).ids != ask(plain).ids


def test_sampling(folder: Path) -> None:
    model = load(ServedModel(name="m", folder=str(folder), prompts=prompts()))
    greedy = ask(model).ids
    assert ask(model, temperature=1.0, top_p=1e-6, seed=1).ids == greedy
    assert ask(model, temperature=1e-300, seed=1).ids == greedy
    drawn = [ask(model, temperature=1.5, seed=seed).ids for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_answer_ends_with_the_context(folder: Path) -> None:
    model = load(ServedModel(name="m", folder=str(folder), prompts=prompts()))
    answer = ask(model, max_tokens=1000)
    assert len(answer.prompt) + len(answer.ids) <= 128 and answer.finish == "length"
    with pytest.raises(RequestFailed, match=r"The prompt has [\d]+ tokens, and the model has a context of 128"):
        ask(model, "字" * 60)


def test_a_cancelled_answer_ends_at_once(folder: Path) -> None:
    model = load(ServedModel(name="m", folder=str(folder), prompts=prompts()))
    done: list[str] = []
    prompt = Conversation(model, None, None).prompts.chat([{"role": "user", "content": "a"}])
    answer = Answer(model, prompt, Sampling(max_tokens=90), cancelled=lambda: "".join(done) != "")
    for piece in answer:
        done += [piece]
    assert answer.finish is None and len(answer.ids) < 20


def test_weights_that_are_not_finite_are_named(folder: Path) -> None:
    model = load(ServedModel(name="m", folder=str(folder), prompts=prompts()))
    with torch.no_grad():
        model.network.lm_head.weight[3, 3] = float("nan")
    with pytest.raises(RequestFailed, match="not finite"):
        ask(model)


@pytest.mark.parametrize("kind", ["code", "pickle", "no template", "no adapter"])
def test_what_is_not_a_model_to_serve_is_a_named_error(folder: Path, tmp_path: Path, kind: str) -> None:
    output = exported(folder, tmp_path / "export")
    served = ServedModel(name="m", folder=str(output))
    settings = output / "tokenizer_config.json"
    if kind == "code":
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "auto_map": {"AutoTokenizer": "x.Y"}}))
    elif kind == "pickle":
        (output / "pytorch_model.bin").write_bytes(b"x")
    elif kind == "no template":
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "chat_template": None}))
    else:
        served = ServedModel(name="m", folder=str(tmp_path), base=str(output))
    with pytest.raises(UnusableModel):
        load(served)


def test_a_question_can_be_changed_before_it_is_rendered(folder: Path) -> None:
    """The seam of retrieval."""
    model = load(ServedModel(name="m", folder=str(folder), prompts=prompts()))
    changed = Conversation(model, None, None, lambda text: Question(f"context\n{text}"))
    assert changed.ask("a", Sampling()).prompt == ask(model, "context\na").prompt
