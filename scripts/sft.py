"""Fine-tune the adapted model on instruction rows, with loss on the answers only."""

import json
from pathlib import Path

from tapeout.config.sft import Sft
from tapeout.data.encode.prompt import TEMPLATE_FILE
from tapeout.program import step
from tapeout.train.launch import every_rank


@step(Sft)
def main(job: Sft, model: Path, encoded: list[Path], output: Path) -> None:
    """Write a NeMo 2 checkpoint folder with train_log.json and prompt_template.json.

    Args:
        model: NeMo checkpoint folder.
        encoded: folders of instruction data sets as token ids.
    """
    with every_rank(job.layout, job.threads) as rank:
        from tapeout.data.encode.encoded_rows import read_encoded
        from tapeout.nemo.process import prepare

        prepare(job.threads, gpu=job.layout.accelerator == "gpu")
        from tapeout.train import trainer
        from tapeout.train.samples import all_rows, row_samples

        rows = [row for folder in encoded for row in read_encoded(folder / "train.jsonl", job.seq_length)]
        held_out = [row for folder in encoded for row in read_encoded(folder / "validation.jsonl", job.seq_length)]
        log = trainer.train(
            model.resolve(),
            row_samples(rows, job),
            job,
            output,
            rank,
            "finetune",
            validation=all_rows(held_out, job.seq_length),
            validate_every=job.validate_every,
        )
        if rank.first:
            trainer.write_log(log, output)
            (output / TEMPLATE_FILE).write_text(json.dumps({"template": job.template}) + "\n")


if __name__ == "__main__":
    main()
