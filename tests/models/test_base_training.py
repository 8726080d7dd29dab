"""Training of the base model: exact loss, deterministic bits, unused rows unchanged."""

import json
import re
from itertools import islice
from pathlib import Path

import pytest
import torch

from tapeout.config.bases.tiny import Base
from tapeout.data.errors import NotEnoughData
from tapeout.models.base_training import (
    UsedRows,
    batches,
    lr_fraction,
    make_deterministic,
    pack,
    read_documents,
    train,
)
from tapeout.models.finite import NonFinite
from tapeout.models.huggingface import new_model
from tests.models.small_llama import ARCHITECTURE
from tests.tokenizer.material import BASE, PROSE

pytestmark = pytest.mark.environment("nemo")

JOB = Base(
    architecture=ARCHITECTURE,
    max_steps=12,
    global_batch_size=2,
    warmup_steps=3,
)

TIED = Base(
    **{
        **JOB.model_dump(),
        "architecture": {**JOB.architecture.model_dump(), "share_embeddings_and_output_weights": True},
    }
)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    path = tmp_path / "base.model"
    path.write_bytes(BASE)
    return path


@pytest.fixture
def documents(tmp_path: Path, tokenizer: Path) -> list[list[int]]:
    corpus = tmp_path / "train.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in PROSE[:3] * 2))
    return read_documents(corpus, tokenizer)


def test_documents_are_framed_by_bos_and_eos(documents: list[list[int]]) -> None:
    assert len(documents) == 6
    assert all(document[0] == 1 and document[-1] == 2 for document in documents)


def test_packing_predicts_every_token_once(documents: list[list[int]]) -> None:
    windows = pack(documents, 16, torch.Generator().manual_seed(3))
    again = pack(documents, 16, torch.Generator().manual_seed(3))
    other = pack(documents, 16, torch.Generator().manual_seed(4))
    assert torch.equal(windows, again) and not torch.equal(windows, other)
    total = sum(map(len, documents))
    assert windows.shape == ((total - 1) // 16, 17)
    counts = torch.bincount(windows[:, 1:].flatten(), minlength=500)
    available = torch.bincount(torch.tensor([token for document in documents for token in document]), minlength=500)
    assert (counts <= available).all() and available.sum() - counts.sum() <= 16


def test_too_little_text_is_an_error(tokenizer: Path) -> None:
    with pytest.raises(NotEnoughData, match="3 tokens"):
        pack([[1, 5, 2]], 16, torch.Generator())
    with pytest.raises(NotEnoughData, match="fewer than a batch"):
        train(new_model(JOB, tokenizer), [[1] * 20], JOB)


@pytest.mark.parametrize("job", [JOB, TIED])
def test_loss_over_the_used_rows_is_the_loss_of_the_whole_model(
    tokenizer: Path, documents: list[list[int]], job: Base
) -> None:
    model = new_model(job, tokenizer)
    rows = UsedRows(model, documents)
    assert 0 < len(rows.unused) < model.config.vocab_size
    rows.write_back()
    windows = pack(documents, 16, torch.Generator().manual_seed(0))
    logits = model(windows[:, :-1]).logits
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    torch.testing.assert_close(rows.loss(windows), expected)


def test_training_learns_and_does_not_change_unused_input_rows(tokenizer: Path, documents: list[list[int]]) -> None:
    model = new_model(JOB, tokenizer)
    before = model.model.embed_tokens.weight.detach().clone()
    log = train(model, documents, JOB)
    unused = UsedRows(model, documents).unused
    assert [step["step"] for step in log["steps"]] == list(range(1, 13))
    assert log["steps"][-1]["loss"] < log["steps"][0]["loss"] - 0.3
    assert log["tokens"] == 12 * 2 * 16 and log["validation"] == []
    assert log["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert torch.equal(before[unused], model.model.embed_tokens.weight[unused])
    assert (model.lm_head.weight[unused] == model.lm_head.weight[unused[0]]).all()


def test_tied_rows_are_trained_as_one_matrix(tokenizer: Path, documents: list[list[int]]) -> None:
    model = new_model(TIED, tokenizer)
    log = train(model, documents, TIED)
    assert log["steps"][-1]["loss"] < log["steps"][0]["loss"] - 0.3
    weight, unused = model.lm_head.weight, UsedRows(model, documents).unused
    assert weight is model.model.embed_tokens.weight and (weight[unused] == weight[unused[0]]).all()
    assert log["parameters"] == TIED.architecture.parameter_count(len(weight))


def test_two_trainings_give_the_same_bits(tokenizer: Path, documents: list[list[int]]) -> None:
    make_deterministic(2)
    first, second = new_model(JOB, tokenizer), new_model(JOB, tokenizer)
    assert train(first, documents, JOB) == train(second, documents, JOB)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name]), name


def test_a_stopped_training_resumes_and_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Path, documents: list[list[int]]
) -> None:
    make_deterministic(2)
    undisturbed = new_model(JOB, tokenizer)
    log = train(undisturbed, documents, JOB)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the tests can still be ended
    monkeypatch.setenv("TAPEOUT_STATE", str(tmp_path))
    monkeypatch.setenv("TAPEOUT_STOP", str(tmp_path / "stop"))
    (tmp_path / "stop").touch()
    for steps in (1, 2):
        with pytest.raises(SystemExit, match="75"):
            train(new_model(JOB, tokenizer), documents, JOB)
        assert len(torch.load(tmp_path / "base.pt", weights_only=True)["log"]) == steps
    (tmp_path / "stop").unlink()
    monkeypatch.setenv("TAPEOUT_CHECKPOINT_SECONDS", "0")  # saved after every step but the last, and not stopped
    resumed = new_model(JOB, tokenizer)
    assert train(resumed, documents, JOB) == log
    assert len(torch.load(tmp_path / "base.pt", weights_only=True)["log"]) == JOB.max_steps - 1
    for name, weight in undisturbed.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_number_that_is_not_finite_stops_the_training(tokenizer: Path, documents: list[list[int]]) -> None:
    """Fault 06: the step and the lines of its batch are named."""
    rates = dict.fromkeys(("lr", "embedding_lr", "output_lr"), 1e30)
    with pytest.raises(
        NonFinite, match=r"The (loss|gradient norm) of step 2 is (nan|inf); its batch has line \d"
    ) as stop:
        train(new_model(JOB, tokenizer), documents, Base(**{**JOB.model_dump(), **rates, "warmup_steps": 0}))
    tokens = {token for window in list(islice(batches(documents, JOB), 2))[1] for token in window.tolist()}
    lines = [int(line) for line in re.findall(r"line (\d+)", stop.value.cause)]
    assert tokens <= {token for line in lines for token in documents[line - 1]} and len(lines) < len(documents)
    with pytest.raises(NonFinite, match="After step 1, the last one, the weights"):
        train(
            new_model(JOB, tokenizer),
            documents,
            Base(**{**JOB.model_dump(), "max_steps": 1, "lr": 1e39, "warmup_steps": 0}),
        )


def test_learning_rate_rises_to_the_peak_and_falls_to_its_end() -> None:
    fractions = [lr_fraction(step, JOB) for step in range(1, 13)]
    assert fractions[:3] == [1 / 3, 2 / 3, 1]
    assert fractions[2:] == sorted(fractions[2:], reverse=True)
    assert fractions[-1] == pytest.approx(JOB.min_lr_fraction)
