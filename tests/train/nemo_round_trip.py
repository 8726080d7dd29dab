"""One process that takes the tiny model through real NeMo and writes down what came out; run by test_journey.py."""

import json
import sys
from pathlib import Path
from typing import Any

TEMPLATE = "{input}\n### Answer: {output}"
TEXT = "always @(posedge clk) data <= address; "


def main(place: Path) -> None:
    """Import twice, train four times, export; results in ``place/results.json``."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    import torch
    from megatron.core.num_microbatches_calculator import destroy_num_microbatches_calculator
    from tapeout.nemo.read import load_llama, tokenizer_path

    from tapeout.config.dapt import Dapt
    from tapeout.config.sft import Sft
    from tapeout.nemo.archive import pack, unpack
    from tapeout.nemo.convert import export_checkpoint, fixed_tokens, import_checkpoint, nemo_logits
    from tapeout.train.launch import alone
    from tapeout.train.samples import Samples, all_rows, packed, read_rows, row_samples, text_samples
    from tapeout.train.trainer import train, write_log
    from tests.nemo.material import PIECES, llama, rows_file

    results: dict[str, Any] = {}
    source = llama(place / "source")
    for name in ("one", "two"):
        folder = place / name
        folder.mkdir()
        import_checkpoint(source, folder / "imported", folder)
        pack(folder / "imported", folder / "base.nemo")
    base = place / "unpacked"
    unpack(place / "one" / "base.nemo", base)

    ids = fixed_tokens(PIECES, 48)
    with torch.no_grad():
        results["read"] = float((nemo_logits(base, ids) - load_llama(base)(ids).logits).abs().max())
        results["source"] = float((load_llama(source)(ids).logits - load_llama(base)(ids).logits).abs().max())

    tokenizer = tokenizer_path(base)
    rows, _ = read_rows(rows_file(place / "rows.jsonl"), tokenizer, TEMPLATE, 64)
    together = all_rows(rows, 64)
    apart = packed(rows, [[row] for row in range(len(rows))], 64)

    def tune(name: str, micro: int, validation: Samples) -> None:
        job = Sft(steps=6, warm_up=1, seq_length=64, global_batch=4, micro_batch=micro, threads=1, validate_every=3)
        folder = place / name
        destroy_num_microbatches_calculator()  # one process trains once, as a rule
        rank = alone(folder / "work")
        log = train(base, row_samples(rows, job), job, folder / "model", rank, "finetune", validation, 3)
        write_log(log, folder / "model")
        results[name] = log
        results[f"{name} threads"] = torch.get_num_threads()

    tune("micro4", 4, together)
    tune("again", 4, together)
    tune("micro1", 1, together)
    tune("micro4 alone", 4, apart)

    for corpus in ("domain", "general"):
        (place / f"{corpus}.jsonl").write_text(json.dumps({"text": TEXT * 40}) + "\n")
    job = Dapt(steps=20, warm_up=2, learning_rate=0.02, seq_length=64, global_batch=4, micro_batch=4, threads=1)
    samples = text_samples(place / "domain.jsonl", place / "general.jsonl", tokenizer, job)
    results["dapt"] = train(base, samples, job, place / "dapt", alone(place / "dapt work"), "pretrain")

    model = place / "micro4" / "model"
    (model / "prompt_template.json").write_text(json.dumps({"template": TEMPLATE}))
    export_checkpoint(model, place / "export", tolerance=1e-4, tokens=48)
    (place / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
