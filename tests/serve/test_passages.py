"""Passages in front of a question: known ones, within half of the context, in the program as a whole."""

import json
import subprocess
from pathlib import Path

import pytest

from tapeout.config.passages import DenseJob, PassagesJob
from tapeout.config.serving import ChatJob, Sampling, ServedModel
from tapeout.retrieval import bm25, dense
from tapeout.retrieval.passages import Passage, passages_of
from tapeout.serve.model import Model, load
from tapeout.serve.passages import with_passages
from tapeout.serve.prompts import Prompts
from tapeout.serve.session import Conversation
from tests.retrieval.material import CACHE, FIFO, UART, row, tiny_embedder
from tests.serve.material import prompts, start, write_model

pytestmark = [pytest.mark.environment("serve"), pytest.mark.timeout(600)]
QUESTION = "How wide is in_data of the fifo?"


def passages() -> list[Passage]:
    texts = {"fifo.v": FIFO, "uart.v": UART, "cache.v": CACHE}
    return [found for path, text in texts.items() for found in passages_of(row("core", path, text), PassagesJob())]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "bm25"
    bm25.build(passages(), folder)
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    folder = write_model(tmp_path_factory.mktemp("model") / "tiny")
    return ServedModel(name="tiny", folder=str(folder), prompts=prompts())


@pytest.fixture(scope="module")
def model(served: ServedModel) -> Model:
    return load(served)


def test_a_question_gets_the_passages_that_were_found(model: Model, index: Path) -> None:
    text, shown = with_passages(index, 1, 1)(Prompts(model))(QUESTION)
    assert [passage.title for passage in shown] == ["core/fifo.v"]
    assert text.endswith(f"\n\n{QUESTION}") and FIFO.strip() in text and "module uart" not in text
    assert "module uart" in with_passages(index, 3, 1)(Prompts(model))(QUESTION).text
    conversation = Conversation(model, None, None)
    bare = conversation.ask(QUESTION, Sampling())
    conversation.question = with_passages(index, 1, 1)(Prompts(model))
    answer = conversation.ask(QUESTION, Sampling())
    assert "counter c (.clk(clk));" in model.encoder.decode(answer.prompt)
    assert len(answer.prompt) > len(bare.prompt) + 50


def test_passages_take_at_most_half_of_the_context(
    tmp_path: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_model(tmp_path / "small", context=128)
    model = load(ServedModel(name="small", folder=str(folder), prompts=prompts()))
    question = with_passages(index, 3, 1)(Prompts(model))
    capsys.readouterr()  # the progress of libraries
    assert question(QUESTION) == question(QUESTION) == (QUESTION, ())
    assert capsys.readouterr().err == "small: no passage fits into half of its context of 128 tokens.\n"
    longer = write_model(tmp_path / "longer", context=640)
    model = load(ServedModel(name="longer", folder=str(longer), prompts=prompts()))
    text, _ = with_passages(index, 3, 1)(Prompts(model))(QUESTION)
    assert FIFO.strip() in text and len(model.encoder.encode(text)) <= 320


def test_a_passage_with_the_name_of_a_control_token_is_left_out(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [Passage(FIFO.replace("module", "// </s>\nmodule"), "d" * 64, "core", path, 0, 9, "MIT") for path in "ab"]
    for extra, expected in ((passages(), "core/fifo.v"), ([], None)):
        folder = tmp_path / str(len(extra))
        bm25.build([*bad, *extra], folder)
        text, shown = with_passages(folder, 3, 1)(Prompts(model))(QUESTION)
        assert [passage.title for passage in shown] == [expected] * bool(extra) and "</s>" not in text
        assert Prompts(model).chat([{"role": "user", "content": text}])
    assert "every passage that was found has a name that the prompt reserves" in capsys.readouterr().err


def test_the_program_answers_with_passages_of_both_kinds_of_indexes(
    served: ServedModel, index: Path, tmp_path: Path
) -> None:
    embedder = tiny_embedder(tmp_path / "embedder")
    dense.build(passages(), embedder, DenseJob(splits=("test",), threads=1), tmp_path / "dense")
    counts = []
    for folder in (None, index, tmp_path / "dense"):
        job = ChatJob(
            models=(served,),
            index=folder and str(folder),
            passages=1,
            sampling=Sampling(max_tokens=2),
            as_json=True,
            threads=1,
        )
        with start(job.model_dump_json(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            output, _ = process.communicate(f"{QUESTION}\n".encode(), timeout=300)
        value = json.loads(output)
        assert process.returncode == 0 and value["prompt"] == QUESTION
        counts.append(value["prompt_tokens"])
        origins = value.get("passages")
        assert origins is None if folder is None else len(origins) == 1 and origins[0]["path"].endswith(".v")
    assert counts[0] + 50 < min(counts[1:])


def test_what_is_no_index_is_a_named_error(served: ServedModel, tmp_path: Path) -> None:
    job = ChatJob(models=(served,), index=str(tmp_path), as_json=True, threads=1)
    with start(job.model_dump_json(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        output, errors = process.communicate(b"x\n", timeout=300)
    assert (process.returncode, output) == (3, b"") and b"is not an index of passages" in errors
