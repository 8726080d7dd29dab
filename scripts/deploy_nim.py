"""Write what NVIDIA NIM needs to serve the exported model."""

from pathlib import Path

from tapeout.config.export import Deploy
from tapeout.program import step


@step(Deploy)
def main(job: Deploy, model: Path, certificate: Path, output: Path, adapter: Path | None = None) -> None:
    """Write settings, start scripts and the digests of the model's files.

    Inputs:
        model: exported folder.
        certificate: its certificate.
        adapter: exported adapter, if the model is a merged one.
    """
    from tapeout.deploy.nim.folder import write_nim

    write_nim(output, model, certificate, job, adapter)


if __name__ == "__main__":
    main()
