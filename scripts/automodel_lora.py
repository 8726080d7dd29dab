"""Train LoRA adapters of the base model with NeMo AutoModel on instruction rows, with loss on the answers only."""

from pathlib import Path

from tapeout.config.automodel_lora import AutomodelLora
from tapeout.program import step
from tapeout.train.run_automodel import run_automodel


@step(AutomodelLora)
def main(job: AutomodelLora, model: Path, encoded: list[Path], output: Path) -> None:
    """Write an adapter in PEFT's layout with train_log.json and prompt_template.json.

    Inputs:
        model: Hugging Face folder of the base model.
        encoded: folders of instruction data sets as token ids.
    """
    run_automodel("automodel_lora", job, model, output, {"encoded": encoded})


if __name__ == "__main__":
    main()
