"""One process that imports, trains and exports the tiny model in NeMo; test_nemo_round_trip.py reads its results."""

import json
import os
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

TEXT = "always @(posedge clk) data <= address; "
WORDS = ["always", "assign", "clk", "reset", "valid", "ready", "address", "data", "write", "<=", ";", "[7:0]", "\n"]
CURVE = 50
"""Steps of the trainings that are compared with a plain loop."""
ODD = json.dumps({"text": "valid ready enable write reset " * 3}) + "\n"


def main(folder: Path) -> None:
    """Import twice, train several times, export; write what was measured to ``results.json``."""
    import torch

    from tapeout.nemo.process import prepare

    compiled = torch.compile  # without a GPU the shim replaces it
    prepare(threads=1)
    import lightning.pytorch as lightning
    from megatron.core.num_microbatches_calculator import destroy_num_microbatches_calculator

    from tapeout.config.dapt import Dapt
    from tapeout.config.export import Attribution, CardFacts, ExportJob, Stage
    from tapeout.config.instructions import EncodeJob, Prompt
    from tapeout.config.sft import Sft
    from tapeout.deploy.huggingface import export_model, fixed_tokens, nemo_logits
    from tapeout.encoder.load import load_encoder
    from tapeout.guard.tar import unpack
    from tapeout.models.finite import NonFinite
    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.nemo.archive import pack
    from tapeout.nemo.checkpoint import load_model
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.nemo.forward import ForwardStep, LossReduction, megatron_model
    from tapeout.nemo.shim import omit_warnings_in_layers
    from tapeout.program import StepFailed
    from tapeout.train.batch_report import report
    from tapeout.train.launch import single_rank
    from tapeout.train.methods import dapt, sft
    from tapeout.train.samples import Samples, TrainingData
    from tapeout.train.trainer import train
    from tests.nemo.tiny_model import PIECES, TEMPLATE, instruction_set, tiny_model
    from tests.train.byte_level_round_trip import round_trip
    from tests.train.gradients import gradients_of
    from tests.train.plain_loop import train_plainly

    results: dict[str, Any] = {}
    source = tiny_model(folder / "source")
    for name in ("one", "two"):
        copy = folder / name
        copy.mkdir()
        import_checkpoint(source, copy / "imported", copy)
        pack(copy / "imported", copy / "base.nemo")
    base = folder / "unpacked"
    unpack(folder / "one" / "base.nemo", base)

    ids = fixed_tokens(PIECES, 48)
    with torch.no_grad():
        results["nemo"] = float((nemo_logits(base, ids) - load_model(base)(ids).logits).abs().max())
        results["source"] = float((load_model(source)(ids).logits - load_model(base)(ids).logits).abs().max())

    tokenizer = tokenizer_path(base)
    sets = instruction_set(folder, load_encoder(tokenizer))

    gradients: dict[str, dict[str, torch.Tensor]] = {}
    """Gradients of the first step of each training, after clipping, by Hugging Face name."""

    def watched(method: Any, name: str) -> Any:
        """Return a method that notes every sequence in ``results``, and the first step's gradients."""
        seen: list[Any] = []
        results[f"{name} seen"] = seen

        class FirstStep(lightning.Callback):  # type: ignore[misc]
            def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
                if name in gradients:
                    return
                gradients[name] = gradients_of(trainer, base)

        class Watching(ForwardStep):
            def __call__(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
                if torch.is_grad_enabled():
                    parts = [batch[part].tolist() for part in ("tokens", "labels", "loss_mask")]
                    seen.extend(zip(*parts, strict=True))
                return super().__call__(model, batch)

        return SimpleNamespace(
            KIND=method.KIND,
            files=method.files,
            callbacks=lambda _: [FirstStep()],
            loss=lambda _: (Watching(), LossReduction()),
        )

    def farthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
        """Return the largest difference of a number in two sets of tensors."""
        assert one.keys() == other.keys()
        return max(float((one[name] - other[name]).abs().max()) for name in one)

    def compare_plain(name: str, data: Any, job: Any, same_first_batch: list[str]) -> None:
        """Note in ``results`` how far a training is from a plain loop over the same samples."""
        curve = train_plainly(source, data.train, job)
        results[f"{name} plain"] = {
            "losses": curve.losses,
            "rates": curve.rates,
            "weights": farthest(curve.weights, dict(load_model(folder / name).state_dict())),
            "gradients": {other: farthest(curve.gradients, gradients[other]) for other in [name, *same_first_batch]},
            "largest_gradient": max(float(gradient.abs().max()) for gradient in curve.gradients.values()),
        }

    def shown(name: str, job: Any, inputs: dict[str, Any], model: Path) -> None:
        """Note the sequences that ``tapeout batch`` shows for the same training."""
        request = {"plugins": [f"tapeout.train.methods.{name}"], "params": json.loads(job.model_dump_json())}
        paths = {
            key: [str(v) for v in value] if isinstance(value, list) else str(value) for key, value in inputs.items()
        }
        batches = []
        for step in range(1, job.max_steps + 1):
            scratch = folder / f"{name} shown {step}"
            found = report({**request, "inputs": {"model": str(model), **paths}, "step": step, "rank": None}, scratch)
            batches += [[part[key] for key in ("tokens", "labels", "mask")] for part in found["sequences"]]
            results[f"{name} sources"] = [source for part in found["sequences"] for source in part["sources"]]
        results[f"{name} shown"] = batches

    def tune(name: str, micro_batch_size: int, unpacked: bool = False) -> None:
        job = Sft(
            max_steps=6,
            warmup_steps=1,
            seq_length=64,
            global_batch_size=4,
            micro_batch_size=micro_batch_size,
            threads=1,
            val_check_interval=3,
        )
        destroy_num_microbatches_calculator()  # a process normally trains once
        rank = single_rank(folder / name / "work")
        data = sft.data(job, tokenizer, {"encoded": [sets[1]]}, rank.once)
        if unpacked:
            data = TrainingData(data.train, OneRowEach(data.validation), job.val_check_interval)
        results[name] = train(base, data, job, watched(sft, name), folder / name / "model", rank)
        results[f"{name} threads"] = torch.get_num_threads()
        if name == "micro4":
            shown("sft", job, {"encoded": [sets[1]]}, base)

    class OneRowEach(Samples):
        """Samples with one row in each sequence, of the rows of other samples."""

        def __init__(self, samples: Any) -> None:
            self.rows, self.samples = samples.rows, samples

        def __len__(self) -> int:
            return len(self.rows)

        def __getitem__(self, index: int) -> Any:
            alone = type(self.samples)(self.rows, self.samples.seq_length)
            alone.members = lambda _: [index]
            return alone[0]

    tune("micro4", 4)
    os.environ["TAPEOUT_DATA_WORKERS"] = "two"
    try:
        tune("no number", 4)
    except StepFailed as error:
        results["no number"] = error.cause
    os.environ["TAPEOUT_DATA_WORKERS"] = "2"
    tune("again", 4)
    del os.environ["TAPEOUT_DATA_WORKERS"]
    forks: list[bool] = []
    os.register_at_fork(before=lambda: forks.append(True))
    tune("micro1", 1)
    results["forks"] = len(forks)
    tune("micro4 unpacked", 4, unpacked=True)

    texts = {name: folder / f"{name}.jsonl" for name in ("domain", "general")}

    class CompileLayers(lightning.Callback):  # type: ignore[misc]
        """Compile the layers as on a GPU, but for the last stage, which generates code."""

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            omit_warnings_in_layers()
            for layer in megatron_model(pl_module).decoder.layers:
                layer._compiled_call_impl = compiled(layer._call_impl, backend="aot_eager")

    job = Sft(
        **{"max_steps": 2, "warmup_steps": 1, "seq_length": 64, "global_batch_size": 4, "micro_batch_size": 4},
        **{"threads": 1, "val_check_interval": 2, "layout": {"recompute": "selective"}},
    )
    destroy_num_microbatches_calculator()
    members = {name: getattr(sft, name) for name in ("KIND", "loss", "files")}
    method = SimpleNamespace(**members, callbacks=lambda _: [CompileLayers()])
    rank = single_rank(folder / "compiled work")
    data = sft.data(job, tokenizer, {"encoded": [sets[1]]}, rank.once)
    results["compiled"] = train(base, data, job, method, folder / "compiled", rank)
    results["compiled graphs"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]

    draw = random.Random(5)
    for path in texts.values():
        path.write_text(json.dumps({"text": " ".join(draw.choices(WORDS, k=3000))}) + "\n")
    # with a rate of 0.02 a plain loop in 32 bits differs from one in 64 bits by 1e-3
    curve: dict[str, Any] = {
        **{"max_steps": CURVE, "warmup_steps": 5, "lr": 0.01, "seq_length": 64, "global_batch_size": 4},
        **{"micro_batch_size": 2, "threads": 1},
    }
    for name, method, job, inputs in (
        ("sft", sft, Sft(**curve, val_check_interval=CURVE), {"encoded": [sets[1]]}),
        ("dapt", dapt, Dapt(**curve), texts),
    ):
        destroy_num_microbatches_calculator()
        rank = single_rank(folder / f"{name} work")
        data = method.data(job, tokenizer, inputs, rank.once)
        results[name] = train(base, data, job, watched(method, name), folder / name, rank)
        compare_plain(name, data, job, ["micro1", "micro4"] if name == "sft" else [])
    shown("dapt", job, texts, folder / "one" / "base.nemo")

    # one document of other words, after enough steps with the same ones
    planted = folder / "planted.jsonl"
    planted.write_text("".join(json.dumps({"text": TEXT * 2}) + "\n" for _ in range(240)) + ODD)
    sizes = {"max_steps": 90, "warmup_steps": 2, "seq_length": 16, "global_batch_size": 2, "micro_batch_size": 1}
    job = Dapt(**sizes, lr=0.02, threads=1, general_fraction=0, seed=9)
    rank = single_rank(folder / "planted work")
    data = dapt.data(job, tokenizer, {"domain": planted, "general": planted}, rank.once)
    names = {step: data.names(range(2 * step - 2, 2 * step)) for step in range(1, 91)}
    results["planted steps"] = [step for step, found in names.items() if any(n.endswith(":241") for n in found)]
    destroy_num_microbatches_calculator()
    results["planted"] = train(base, data, job, dapt, folder / "planted", rank)

    diverging: dict[str, dict[str, Any]] = {
        "loss": {"max_steps": 4, "lr": 1e20, "val_check_interval": 4},
        "last step": {"max_steps": 1, "lr": 1e30, "val_check_interval": 1},
    }
    for name, values in diverging.items():
        sizes = {"warmup_steps": 0, "seq_length": 64, "global_batch_size": 4, "micro_batch_size": 4, "threads": 1}
        tuning = Sft(**{**sizes, **values})
        destroy_num_microbatches_calculator()
        rank = single_rank(folder / name / "work")
        data = sft.data(tuning, tokenizer, {"encoded": [sets[1]]}, rank.once)
        try:
            train(base, data, tuning, sft, folder / name / "model", rank)
        except NonFinite as error:
            results[name] = error.cause

    model = folder / "micro4" / "model"
    for name, content in sft.files(Sft(), {}).items():
        (model / name).write_text(content)
    stage = Stage(max_steps=4, global_batch_size=4, seq_length=64)
    source_of = Attribution(origin="package example 1.0", licence="Apache-2.0")
    encoding = EncodeJob(prompt=Prompt(), chat_template=None, template=TEMPLATE, seq_length=64)
    export = ExportJob(
        tolerance=1e-4,
        parity_tokens=48,
        encoding=encoding,
        systems=(),
        tokenizer=source_of,
        trained_on={"example": source_of},
        card=CardFacts(licence="Apache-2.0", new_pieces=0, model="sft/model", stages={"dapt": stage, "sft": stage}),
    )
    export_model(model, folder / "export", export, [sets], [texts["domain"]], {})
    (folder / "byte_level").mkdir()
    results["byte_level"] = round_trip(folder / "byte_level")
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
