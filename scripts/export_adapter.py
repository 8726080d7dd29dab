"""Export an adapter for servers that add it to its base model, and verify that both are the exported merged model."""

from pathlib import Path

from tapeout.config.export import ExportAdapterJob
from tapeout.program import step


@step(ExportAdapterJob)
def main(job: ExportAdapterJob, adapter: Path, base: Path, merged: Path, output: Path) -> None:
    """Write a folder in PEFT's layout with the tokenizer and the chat template of the merged model.

    Inputs:
        adapter: folder of the trained adapter.
        base: Hugging Face folder of the model that it was trained on.
        merged: exported folder of the merged model.
    """
    from tapeout.deploy.adapter import export_adapter
    from tapeout.models.base_training import make_deterministic

    make_deterministic(threads=1)
    export_adapter(adapter, base, merged, output, job)


if __name__ == "__main__":
    main()
