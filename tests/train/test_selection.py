"""Selection of the best weights, the early end, and the validation loss by category."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tapeout.config.sft import Sft
from tapeout.data.encode.encoded_rows import read_categories
from tapeout.data.errors import BadRow
from tapeout.nemo.checkpoint import checkpoint_tensors, load_model
from tapeout.tracking.journal import Journal
from tapeout.train.selection import Selection, UnknownMetric
from tests.nemo.tiny_model import folder_content
from tests.train.interrupted_trainings import last_checkpoint
from tests.train.sft_trainings import CATEGORY, INTERVAL, LAYOUTS, MEASURED, PATIENCE, STEPS

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]


def log_of(folder: Path) -> dict[str, Any]:
    """Return the log of a training."""
    log: dict[str, Any] = json.loads((folder / "train_log.json").read_text())
    return log


def same_weights(one: Path, other: Path) -> bool:
    """Return whether two trained models have the same weights, to the bit."""
    first, second = checkpoint_tensors(one), checkpoint_tensors(other)
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_last_weights_are_the_default(sft_trainings: Path) -> None:
    log = log_of(sft_trainings / "all steps")
    assert log.keys() == {"steps", "validation", "tokens", "parameters"}
    assert [entry["step"] for entry in log["validation"]] == list(range(INTERVAL, STEPS + 1, INTERVAL))
    assert all(entry.keys() == {"step", "loss"} for entry in log["validation"])


def test_the_model_has_the_weights_of_the_best_step(sft_trainings: Path) -> None:
    """Known answer: a training that ends after that step, at the same constant rate."""
    log, whole = log_of(sft_trainings / "best"), log_of(sft_trainings / "all steps")
    assert log["steps"] == whole["steps"] and log["validation"] == whole["validation"]
    best = min(whole["validation"], key=lambda entry: entry["loss"])
    assert 0 < best["step"] < STEPS, "the last step is not the best one"
    assert log["selection"] == {
        **{"step": best["step"], "value": best["loss"]},
        **{"monitor": "validation_loss", "ended_by": "max_steps"},
    }
    assert len(log_of(sft_trainings / "until the best")["steps"]) == best["step"]
    assert same_weights(sft_trainings / "best", sft_trainings / "until the best")
    assert not same_weights(sft_trainings / "best", sft_trainings / "all steps")


@pytest.mark.parametrize(
    ("name", "chosen", "reference"), [("best ended", 0, "until the best ended"), ("last ended", 1, "until the end")]
)
def test_a_training_ends_without_an_improvement(sft_trainings: Path, name: str, chosen: int, reference: str) -> None:
    whole = log_of(sft_trainings / "all steps")["validation"]
    rising = next(n for n in range(1, len(whole)) if whole[n]["loss"] >= whole[n - 1]["loss"])
    assert PATIENCE == 1 and 1 < rising < len(whole) - 1
    log = log_of(sft_trainings / name)
    assert log["validation"] == whole[: rising + 1] and len(log["steps"]) == whole[rising]["step"]
    selected = whole[rising - 1 + chosen]
    assert log["selection"] == {
        **{"step": selected["step"], "value": selected["loss"]},
        **{"monitor": "validation_loss", "ended_by": "patience"},
    }
    assert same_weights(sft_trainings / name, sft_trainings / reference)
    common = [torch.load(sft_trainings / each / "weights/common.pt", weights_only=False) for each in (name, reference)]
    assert common[0].keys() == common[1].keys() and "optimizer_states" not in common[0], "no state of the training"
    assert not same_weights(sft_trainings / name, sft_trainings / "all steps")


def test_stops_and_kills_change_no_byte(sft_trainings: Path) -> None:
    """Before and after the first validation, at the best step, after it, and at the end."""
    attempts = json.loads((sft_trainings / "results.json").read_text())["attempts"]["interrupted"]
    killed, stopped = -9, 75
    assert [attempt["status"] for attempt in attempts] == [
        *(killed, stopped, stopped, killed),
        *(killed, stopped, killed, stopped, killed, 0),
    ]
    last_checkpoint([attempt["output"] for attempt in attempts])
    best = log_of(sft_trainings / "best ended")["selection"]["step"]
    assert f"resuming from step {best} " in "".join(attempt["output"] for attempt in attempts)
    expected, actual = folder_content(sft_trainings / "best ended"), folder_content(sft_trainings / "interrupted")
    assert len(expected) > 8 and expected.keys() == actual.keys()
    for path, data in expected.items():
        assert actual[path] == data, path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_selects_the_same_step(sft_trainings: Path, layout: str) -> None:
    alone, log = log_of(sft_trainings / "category"), log_of(sft_trainings / layout)
    assert log["selection"] == {**alone["selection"], "value": pytest.approx(alone["selection"]["value"], abs=1e-4)}
    assert log["selection"]["ended_by"] == "patience"
    assert len(log["steps"]) == len(alone["steps"])
    for one, other in zip(alone["validation"], log["validation"], strict=True):
        for name, measured in one["categories"].items():
            assert other["categories"][name]["tokens"] == measured["tokens"]
            assert other["categories"][name]["loss"] == pytest.approx(measured["loss"], abs=1e-4)
    assert same_weights(sft_trainings / layout, sft_trainings / f"{layout} until the best")
    attempts = json.loads((sft_trainings / "results.json").read_text())["ranks"][f"{layout} stopped"]
    assert [attempt["statuses"] for attempt in attempts] == [[75, 75], [0, 0]]
    assert folder_content(sft_trainings / f"{layout} stopped") == folder_content(sft_trainings / layout)


def test_categories_are_measured_exactly(sft_trainings: Path) -> None:
    """Known answer: each row alone in transformers, with the weights of the last step."""
    whole, log = log_of(sft_trainings / "all steps"), log_of(sft_trainings / "categories")
    assert log["steps"] == whole["steps"][:MEASURED], "the measurement does not change the training"
    measured_at = range(INTERVAL, MEASURED + 1, INTERVAL)
    assert [entry["step"] for entry in log["validation"]] == list(measured_at)
    for entry, expected in zip(log["validation"], whole["validation"], strict=False):
        parts = entry["categories"].values()
        tokens = sum(part["tokens"] for part in parts)
        assert entry["loss"] == pytest.approx(sum(part["loss"] * part["tokens"] for part in parts) / tokens, rel=1e-14)
        assert entry["loss"] == pytest.approx(expected["loss"], abs=1e-6)
    model = load_model(sft_trainings / "categories")
    path = sft_trainings / "encoded" / "validation.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    measured = log["validation"][-1]["categories"]
    assert measured.keys() == {row["category"] for row in rows} and len(measured) == 2
    for name, part in measured.items():
        losses = []
        for row in rows:
            if row["category"] == name:
                ids, mask = torch.tensor(row["ids"]), torch.tensor(row["mask"][1:], dtype=torch.bool)
                with torch.no_grad():
                    logits = model(ids[None, :-1]).logits[0]
                losses.append(cross_entropy(logits, ids[1:], reduction="none")[mask])
        assert part["tokens"] == len(torch.cat(losses))
        assert part["loss"] == pytest.approx(float(torch.cat(losses).double().mean()), abs=1e-5)


def test_the_loss_of_a_category_can_be_monitored(sft_trainings: Path) -> None:
    log = log_of(sft_trainings / "category")
    values = {entry["step"]: entry["categories"][CATEGORY]["loss"] for entry in log["validation"]}
    assert log["selection"]["monitor"] == f"validation_loss/{CATEGORY}"
    assert (log["selection"]["step"], log["selection"]["value"]) == min(values.items(), key=lambda item: item[1])


def test_the_journal_has_the_categories_and_the_early_end(sft_trainings: Path) -> None:
    journal, log = Journal(sft_trainings / "metrics.jsonl"), log_of(sft_trainings / "category")
    journal.update()
    assert journal.complete and journal.total == len(log["steps"]) < STEPS
    for entry in log["validation"]:
        values = {name: part["loss"] for name, part in entry["categories"].items()}
        metrics = journal.steps[entry["step"]]
        assert {name: metrics[f"validation_loss/{name}"] for name in values} == values
        assert metrics["validation_loss"] == entry["loss"]


def test_a_category_without_rows_cannot_be_monitored() -> None:
    job = Sft(validation_by_category=True, selection="best", monitor="validation_loss/swaped")
    with pytest.raises(UnknownMetric, match=r"category swaped .*; did you mean swapped\?") as found:
        Selection(job, ["same", "swapped"])
    assert found.value.fix == "Name one of same, swapped."


def test_a_row_without_a_category_is_named(tmp_path: Path) -> None:
    path = tmp_path / "validation.jsonl"
    path.write_text('{"category": "same"}\n{"ids": [1]}\n')
    with pytest.raises(BadRow, match="line 2: the row has no category"):
        read_categories(path)


def test_the_first_of_equal_losses_is_kept_and_is_no_improvement() -> None:
    selection = Selection(Sft(selection="best", patience=2, val_check_interval=1), [])
    validation: list[dict[str, Any]] = []
    ended = []
    for step, loss in enumerate([3.0, 2.0, 2.5, 1.5, 1.5, 1.5], start=1):
        validation.append({"step": step, "loss": loss})
        selection.update(validation, {"weight": torch.tensor([float(step)])})
        ended.append(selection.exhausted(validation))
    assert ended == [False, False, False, False, False, True]
    assert selection.weights["weight"].tolist() == [4.0]
    assert selection.report(validation) == {
        **{"step": 4, "value": 1.5, "monitor": "validation_loss", "ended_by": "patience"}
    }
