"""One process that imports, trains and exports the tiny model in NeMo; test_nemo_round_trip.py reads its results."""

import json
import sys
from pathlib import Path
from typing import Any

TEXT = "always @(posedge clk) data <= address; "


def main(folder: Path) -> None:
    """Import twice, train five times, export; write what was measured to ``results.json``."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    import torch
    from megatron.core.num_microbatches_calculator import destroy_num_microbatches_calculator

    from tapeout.config.dapt import Dapt
    from tapeout.config.export import Attribution, ExportJob
    from tapeout.config.instructions import EncodeJob, Prompt
    from tapeout.config.sft import Sft
    from tapeout.data.encode.encoded_rows import read_encoded
    from tapeout.encoder.load import load_encoder
    from tapeout.guard.tar import unpack
    from tapeout.models.finite import NonFinite
    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.nemo.archive import pack
    from tapeout.nemo.checkpoint import load_model
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.nemo.export import export_checkpoint, fixed_tokens, nemo_logits
    from tapeout.train.launch import single_rank
    from tapeout.train.methods import dapt, sft
    from tapeout.train.row_samples import all_rows, lay_out, row_samples
    from tapeout.train.samples import Samples, TrainingData
    from tapeout.train.trainer import train
    from tests.nemo.tiny_model import PIECES, TEMPLATE, instruction_set, tiny_model
    from tests.train.byte_level_round_trip import round_trip

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
    rows = read_encoded(sets[1] / "train.jsonl", 64)
    packed = all_rows(rows, 64)
    unpacked = lay_out(rows, [[row] for row in range(len(rows))], 64)

    def tune(name: str, micro_batch_size: int, validation: Samples) -> None:
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
        data = TrainingData(row_samples(rows, job), validation, job.val_check_interval)
        results[name] = train(base, data, job, sft, folder / name / "model", rank)
        results[f"{name} threads"] = torch.get_num_threads()

    tune("micro4", 4, packed)
    tune("again", 4, packed)
    tune("micro1", 1, packed)
    tune("micro4 unpacked", 4, unpacked)

    texts = {name: folder / f"{name}.jsonl" for name in ("domain", "general")}
    for path in texts.values():
        path.write_text(json.dumps({"text": TEXT * 40}) + "\n")
    job = Dapt(max_steps=20, warmup_steps=2, lr=0.02, seq_length=64, global_batch_size=4, micro_batch_size=4, threads=1)
    destroy_num_microbatches_calculator()
    data = dapt.data(job, tokenizer, texts)
    results["dapt"] = train(base, data, job, dapt, folder / "dapt", single_rank(folder / "dapt work"))

    diverging: dict[str, dict[str, Any]] = {
        "loss": {"max_steps": 4, "lr": 1e20, "val_check_interval": 4},
        "last step": {"max_steps": 1, "lr": 1e39, "val_check_interval": 1},
    }
    for name, values in diverging.items():
        sizes = {"warmup_steps": 0, "seq_length": 64, "global_batch_size": 4, "micro_batch_size": 4, "threads": 1}
        tuning = Sft(**{**sizes, **values})
        destroy_num_microbatches_calculator()
        data = sft.data(tuning, tokenizer, {"encoded": [sets[1]]})
        try:
            train(base, data, tuning, sft, folder / name / "model", single_rank(folder / name / "work"))
        except NonFinite as error:
            results[name] = error.cause

    model = folder / "micro4" / "model"
    for name, content in sft.files(Sft()).items():
        (model / name).write_text(content)
    source_of = Attribution(origin="package example 1.0", licence="Apache-2.0")
    encoding = EncodeJob(prompt=Prompt(), chat_template=None, template=TEMPLATE, seq_length=64)
    export = ExportJob(
        tolerance=1e-4,
        parity_tokens=48,
        encoding=encoding,
        systems=(),
        tokenizer=source_of,
        trained_on={"example": source_of},
    )
    export_checkpoint(model, folder / "export", export, [sets], [texts["domain"]])
    (folder / "byte_level").mkdir()
    results["byte_level"] = round_trip(folder / "byte_level")
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
