"""Train LoRA adapters of the base model in NeMo on instruction rows, with loss on the answers only."""

from pathlib import Path

from tapeout.program import step
from tapeout.train.methods.lora import Parameters
from tapeout.train.run_adapter import run_adapter


@step(Parameters)
def main(job: Parameters, model: Path, base: Path, encoded: list[Path], output: Path) -> None:
    """Write an adapter in PEFT's layout with train_log.json and prompt_template.json.

    Inputs:
        model: NeMo checkpoint of the base model.
        base: Hugging Face folder of the same model.
        encoded: folders of instruction data sets as token ids.
    """
    run_adapter("lora", job, model, base, output, {"encoded": encoded})


if __name__ == "__main__":
    main()
