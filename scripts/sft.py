"""Fine-tune the adapted model on instruction rows, with loss on the answers only."""

from pathlib import Path

from tapeout.config.sft import Sft
from tapeout.program import step
from tapeout.train.run import run_method


@step(Sft)
def main(job: Sft, model: Path, encoded: list[Path], output: Path) -> None:
    """Write a NeMo 2 checkpoint folder with train_log.json and prompt_template.json.

    Inputs:
        model: NeMo checkpoint folder.
        encoded: folders of instruction data sets as token ids.
    """
    run_method("sft", job, model, output, {"encoded": encoded})


if __name__ == "__main__":
    main()
