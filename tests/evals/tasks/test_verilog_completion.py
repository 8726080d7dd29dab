"""Completions of models whose continuation is known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tapeout.data.errors import NotEnoughData
from tapeout.evals.completion_points import points
from tapeout.evals.loaded_model import LoadedModel
from tapeout.evals.tasks.verilog_completion import TASK, Completion, complete, is_exact
from tests.evals.test_completion_points import FILE, row
from tests.toys.byte_encoder import ByteEncoder

pytestmark = pytest.mark.environment("nemo")

OPTIONS = TASK.options(max_points=4, max_line_tokens=30, max_item_tokens=40)


class Reader(torch.nn.Module):
    """Network that knows a file by heart: it continues the beginning that it was given, as bytes."""

    device = torch.device("cpu")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.read = text.encode(), b""
        self.lm_head = torch.nn.Identity()
        self.model = self

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        [ids] = input_ids.tolist()
        self.read = (self.read if len(ids) == 1 else b"") + bytes(ids)
        end = self.text.index(self.read) + len(self.read)
        following = self.text[end] if end < len(self.text) else ByteEncoder.eos
        hidden = torch.nn.functional.one_hot(torch.tensor([[following]]), ByteEncoder.size).float()
        return type("Output", (), {"last_hidden_state": hidden})


@pytest.fixture
def reader(model: LoadedModel) -> LoadedModel:
    """A model that has read the file; its context is shorter than the file."""
    network: Any = Reader(FILE)
    facts = model.facts.model_copy(update={"context": 200})
    return replace(model, network=network, encoder=ByteEncoder(), facts=facts)


def write(path: Path, *rows: dict[str, Any]) -> dict[str, Path]:
    path.write_text("".join(json.dumps({**one, "digest": f"{number}"}) + "\n" for number, one in enumerate(rows)))
    return {"domain": path}


def test_a_model_that_knows_the_file_completes_everything(reader: LoadedModel, tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"generation_batch_rows": 1})
    files = write(tmp_path / "rows", row(FILE), row("# text\n", "README.md"))
    result = TASK.score(reader, files, options)
    texts = TASK.texts(files, options)
    assert texts.keys() == {one.digest for one in (*result.lines, *result.ports, *result.items)}
    assert all(text in FILE or text.split()[-1] in FILE for text in texts.values())
    assert len(result.lines) == len(result.ports) == len(result.items) == 2
    assert all(map(is_exact, [*result.lines, *result.ports]))
    assert all(item.prefix + item.generated == FILE[: len(item.prefix) + len(item.generated)] for item in result.items)
    assert all(len(item.generated) == 40 or item.generated.endswith("endmodule\n") for item in result.items)
    assert {one.stratum for one in result.lines} == {""} and {one.source for one in result.ports} == {"core"}
    assert all(one.before and one.before in FILE for one in (*result.lines, *result.ports))


def test_completions_end_at_their_text_and_batches_do_not_matter(model: LoadedModel) -> None:
    """Real network: the same continuations one by one and in batches, each up to the first line end."""
    places = points([row(FILE), row(FILE.replace("module m", "module other"))], "line", 9, 10**6)
    one, three, many = (complete(model, places, "\n", 20, rows) for rows in (1, 3, 9))
    assert one == three == many and len(one) == 4
    assert all("\n" not in text for text in one)


@pytest.mark.parametrize(
    ("generated", "expected", "equal"),
    [
        (" b ", "b", True),
        ("wire  q;", "wire q;", True),
        ("wireq;", "wire q;", False),
        ("B", "b", False),
        ("", "b", False),
    ],
)
def test_whitespace_does_not_count(generated: str, expected: str, equal: bool) -> None:
    own = {"digest": "d", "source": "s", "stratum": "", "before": ""}
    assert is_exact(Completion(**own, generated=generated, expected=expected)) is equal


def test_data_without_verilog_and_a_short_context_are_named_errors(model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match="No test document of corpus/domain is Verilog"):
        TASK.score(model, write(tmp_path / "rows", row("# text\n", "README.md")), OPTIONS)
    with pytest.raises(NotEnoughData, match="no room for 64 new tokens"):
        TASK.score(model, write(tmp_path / "rows", row(FILE)), TASK.options())
