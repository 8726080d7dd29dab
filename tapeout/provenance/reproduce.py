"""Reproduction of an export: check it, copy its code, build its graph from the sources, and compare."""

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tapeout.config.comparison import Bounds
from tapeout.graph.identity.digest import canonical
from tapeout.provenance import page
from tapeout.provenance.checking import CheckedExport, check_export
from tapeout.provenance.document import CONFIG, Document
from tapeout.provenance.errors import InvalidExport, ReproductionFailed
from tapeout.provenance.folder import opened
from tapeout.provenance.rebuild import install, lay_out, run, snakemake_target
from tapeout.provenance.signing import PublicKey
from tapeout.provenance.verdict import Judgement, judge

PAGE, RESULT = "verdict.html", "verdict.json"


@dataclass(frozen=True)
class Reproduction:
    """Result of a reproduction; ``machine`` is the platform of this machine."""

    checked: CheckedExport
    judgement: Judgement
    bounds: Bounds
    machine: str

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {
            **self.judgement.as_json(),
            **summary(self.checked),
            "bounds": self.bounds.identity(),
            "machine": self.machine,
        }


def summary(checked: CheckedExport) -> dict[str, Any]:
    """Return the facts about a checked export, as JSON values."""
    document = checked.document
    return {
        "target": document.target,
        "target_digest": document.manifests[document.target].digest(),
        "export_digest": checked.digest,
        "exported_on": document.machine,
        "files_checked": checked.files,
        "signed_by": list(checked.signed_by),
        "signature_verified": checked.verified,
        "carried": document.carried,
        "environments": {locked.name: locked.digest for locked in document.environments}
        | {image.image: image.digest for image in document.images},
        "sources": [
            {"artifact": source.artifact, "origin": source.origin, "licence": source.licence}
            for source in document.sources
        ],
    }


def _refuse_containers(document: Document) -> None:
    """Refuse an export with steps in a container: an export does not say how the site starts containers."""
    if document.images:
        raise ReproductionFailed(
            f"Steps of this export run in the container {document.images[0].image}.",
            "Copy its folder code/ to a site with apptainer or pyxis, set container.runtime in config/site.yaml there, "
            f"and run: snakemake {snakemake_target(document)} --configfile {CONFIG}",
        )


@contextmanager
def inspected(export: Path, key: PublicKey | None) -> Iterator[CheckedExport]:
    """Yield a folder or archive after ``check_export``. Nothing of it is run."""
    with opened(export) as folder:
        yield check_export(folder, key)


def reproduce(
    checked: CheckedExport, folder: Path, environments: Path | None, pip_options: str, report: Callable[[str], None]
) -> Reproduction:
    """Run the graph of a checked export in an empty folder, compare, and write the verdict there.

    ``environments`` is as in ``lay_out``; ``report`` is called with a message at the beginning of every phase.

    Raises:
        InvalidExport: the export has no valid bounds, or unsafe paths.
        ReproductionFailed: the folder is not empty, or environments, a container, a source or a step failed.
    """
    document, bounds = checked.document, bounds_of(checked.document)
    _refuse_containers(document)
    report(f"Copying {len(document.code)} files of code to {folder}")
    lay_out(checked.folder, document, folder, environments)
    report(f"Environments: {', '.join(locked.name for locked in document.environments)}")
    install(document, folder, pip_options)
    report(f"Building {document.target} from its sources, {len(document.artifacts)} artifacts")
    run(document, folder)
    report("Comparing")
    judgement = judge(document, checked.folder, folder, bounds)
    reproduction = Reproduction(checked, judgement, bounds, f"{sys.platform}-{platform.machine()}")
    (folder / RESULT).write_bytes(canonical(reproduction.as_json()) + b"\n")
    (folder / PAGE).write_text(page.render(reproduction.as_json(), document), encoding="utf-8")
    return reproduction


def bounds_of(document: Document) -> Bounds:
    """Return the bounds in the exported configuration; raise ``InvalidExport`` if they are invalid."""
    try:
        return Bounds.model_validate(document.configuration.get("comparison") or {})
    except ValidationError as error:
        raise InvalidExport(
            f"The section comparison of the exported configuration is invalid: {error.errors()[0]['msg']}.",
            "Export it again.",
        ) from error
