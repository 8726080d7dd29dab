"""Train the fine-tuned model on preference pairs."""

from pathlib import Path

from tapeout.program import step
from tapeout.train.methods.dpo import Parameters
from tapeout.train.run import run_method


@step(Parameters)
def main(job: Parameters, model: Path, template: Path, pairs: list[Path], output: Path) -> None:
    """Write a NeMo 2 checkpoint folder with train_log.json and prompt_template.json.

    Inputs:
        model: NeMo checkpoint folder, which is also the reference.
        template: JSON file with the prompt template of the model.
        pairs: folders of sources with preference pairs.
    """
    run_method("dpo", job, model, output, {"template": template, "pairs": pairs})


if __name__ == "__main__":
    main()
