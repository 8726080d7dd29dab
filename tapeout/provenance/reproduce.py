"""Reproducing an export: check it, lay its code out, run its graph from the sources on, compare."""

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tapeout.config.comparison import Bounds
from tapeout.errors import TapeoutError
from tapeout.graph.identity.digest import canonical
from tapeout.provenance import page
from tapeout.provenance.checking import Checked, checked
from tapeout.provenance.document import CONFIG, Document
from tapeout.provenance.folder import NotAnExport, opened
from tapeout.provenance.rebuild import install, lay_out, mark_of, run
from tapeout.provenance.signing import PublicKey
from tapeout.provenance.verdict import Judgement, judge

PAGE, RESULT = "verdict.html", "verdict.json"


class NeedsContainer(TapeoutError):
    """Steps of an export run in a container, and this command starts none."""


@dataclass(frozen=True)
class Reproduction:
    """What was checked, and what came out of rebuilding it; ``machine`` is the kind of this machine."""

    checked: Checked
    judgement: Judgement
    bounds: Bounds
    machine: str

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        return {
            **self.judgement.as_json(),
            **summary(self.checked),
            "bounds": self.bounds.identity(),
            "machine": self.machine,
        }


def summary(found: Checked) -> dict[str, Any]:
    """What is known of an export after it was checked, as JSON values."""
    document = found.document
    return {
        "target": document.target,
        "target_digest": document.manifests[document.target].digest(),
        "export_digest": found.digest,
        "exported_on": document.machine,
        "files_checked": found.files,
        "signed_by": list(found.signed_by),
        "signature_verified": found.verified,
        "carried": document.carried,
        "environments": {locked.name: locked.digest for locked in document.environments}
        | {image.image: image.digest for image in document.images},
        "sources": [
            {"artifact": source.artifact, "origin": source.origin, "licence": source.licence}
            for source in document.sources
        ],
    }


def _bare(document: Document) -> None:
    """Raises ``NeedsContainer`` if a step runs in a container: nothing here says how one is started."""
    if document.images:
        raise NeedsContainer(
            f"Steps of this export run in the container {document.images[0].image}.",
            "Copy its folder code/ to a site with apptainer or pyxis, set container.runtime in config/site.yaml there, "
            f"and run: snakemake {mark_of(document)} --configfile {CONFIG}",
        )


@contextmanager
def inspected(export: Path, key: PublicKey | None) -> Iterator[Checked]:
    """An export that was checked; see ``checking.checked`` for what is raised. Nothing of it is run."""
    with opened(export) as folder:
        yield checked(folder, key)


def reproduce(
    found: Checked, folder: Path, environments: Path | None, pip_options: str, say: Callable[[str], None]
) -> Reproduction:
    """Run the graph of a checked export in an empty folder and compare; the verdict is written there as two files.

    Args:
        found: the export.
        folder: an empty or new folder.
        environments: installed environments to use; None installs the locked ones.
        pip_options: more arguments for pip.
        say: told of each phase.

    Raises:
        OutputExists: the folder is not empty.
        NeedsContainer: a step runs in a container.
        SourceRefused: a source is not what the export pins, or cannot be had.
        RebuildFailed: the environments or a step failed.
    """
    document, bounds = found.document, bounds_of(found.document)
    _bare(document)
    say(f"Laying out {len(document.code)} files of code in {folder}")
    lay_out(found.folder, document, folder, environments)
    say(f"Environments: {', '.join(locked.name for locked in document.environments)}")
    install(document, folder, pip_options)
    say(f"Building {document.target} from the sources on, {len(document.artifacts)} artifacts")
    run(document, folder)
    say("Comparing")
    judgement = judge(document, found.folder, folder, bounds)
    made = Reproduction(found, judgement, bounds, f"{sys.platform}-{platform.machine()}")
    (folder / RESULT).write_bytes(canonical(made.as_json()) + b"\n")
    (folder / PAGE).write_text(page.render(made.as_json(), document), encoding="utf-8")
    return made


def bounds_of(document: Document) -> Bounds:
    """The bounds in the exported configuration; raises ``NotAnExport`` if they are none."""
    try:
        return Bounds.model_validate(document.configuration.get("comparison") or {})
    except ValidationError as error:
        raise NotAnExport(
            f"The section comparison of its configuration is wrong: {error.errors()[0]['msg']}.", "Export it again."
        ) from error
