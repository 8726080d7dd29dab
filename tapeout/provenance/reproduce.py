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
from tapeout.graph.deletion import delete
from tapeout.graph.files import write_atomically
from tapeout.graph.identity.digest import canonical
from tapeout.graph.store.keys import read_public_key
from tapeout.provenance import page
from tapeout.provenance.checking import CheckedExport, check_export
from tapeout.provenance.document import CONFIG, Document
from tapeout.provenance.errors import InvalidExport, ReproductionFailed
from tapeout.provenance.folder import opened
from tapeout.provenance.isolation import Isolation, downloads
from tapeout.provenance.rebuild import fetch_sources, install, lay_out, run, snakemake_target
from tapeout.provenance.trusted import trusted_key
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
def inspected(export: Path, public_key: Path | None) -> Iterator[CheckedExport]:
    """Yield a folder or archive after ``check_export``, with the key of ``trusted_key``. Nothing of it is run."""
    key = read_public_key(public_key) if public_key is not None else None
    with opened(export) as folder:
        yield check_export(folder, trusted_key(folder, key))


def reproduce(
    checked: CheckedExport, isolation: Isolation, pip_options: str, report: Callable[[str], None]
) -> Reproduction:
    """Run the graph of a checked export in an empty folder, compare, and write the verdict there.

    ``report`` is called with a message at the beginning of every phase.

    Raises:
        InvalidExport: the export has no valid bounds, or unsafe paths.
        NotIsolated: this system cannot isolate its code.
        ReproductionFailed: the folder is not empty, or environments, a container, a source or a step failed.
    """
    document, bounds, folder = checked.document, bounds_of(checked.document), isolation.folder
    _refuse_containers(document)
    report(f"Copying {len(document.code)} files of code to {folder}")
    lay_out(checked.folder, document, folder, isolation.environments)
    isolation.require()
    if not isolation.network:
        report("Fetching the sources by their digests, with the code of this project")
        fetch_sources(document, folder, isolation.environments)
    report(f"Environments: {', '.join(locked.name for locked in document.environments)}")
    install(document, isolation, pip_options)
    report(f"Building {document.target} from its sources, {len(document.artifacts)} artifacts; {isolation.sentence}")
    run(document, isolation)
    delete(downloads(folder), ignore_errors=True)
    report("Comparing")
    judgement = judge(document, checked.folder, folder, bounds)
    reproduction = Reproduction(checked, judgement, bounds, f"{sys.platform}-{platform.machine()}")
    # atomically, because the code of the export may have left links of these names
    write_atomically(folder / RESULT, canonical(reproduction.as_json()) + b"\n")
    write_atomically(folder / PAGE, page.render(reproduction.as_json(), document).encode("utf-8"))
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
