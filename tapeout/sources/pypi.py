"""Archives of Python packages, found by exact file name in a package index; as data, never installed or built.

``pip download`` would run a source archive's build to read its metadata; the index itself gives us the address.
"""

import os

import requests
from pypi_simple import NoSuchProjectError, PyPISimple

from tapeout.config.sources import PypiSource
from tapeout.sources.download import Patience, Remote, Transient, check_status, reason_of, retrying
from tapeout.sources.errors import SourceMissing, SourceUnreachable, WrongHash


def locate(source: PypiSource, patience: Patience | None = None) -> Remote:
    """Ask the index (PIP_INDEX_URL, or the client's own default) where the archive is.

    Raises:
        SourceMissing: no such package, or no such file; similar names are told.
        WrongHash: the index itself announces another hash than the pinned one.
        SourceUnreachable, AccessDenied: as named.
    """
    try:
        return retrying(patience or Patience())(ask, source)
    except Transient as error:
        raise error.named(f"The package index (for {source.package})") from error


def ask(source: PypiSource) -> Remote:
    """One try of ``locate``."""
    endpoint = os.environ.get("PIP_INDEX_URL")
    try:
        with PyPISimple(endpoint) if endpoint else PyPISimple() as client:
            page = client.get_project_page(source.package, timeout=60)
    except NoSuchProjectError as error:
        raise SourceMissing(f"The package {source.package}", " in the index") from error
    except requests.HTTPError as error:
        if error.response is not None:
            check_status(error.response, f"the package index (for {source.package})")
        raise
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise SourceUnreachable("The package index", "PIP_INDEX_URL must be an http or https address") from error
    except requests.RequestException as error:
        raise Transient(reason_of(error)) from error
    found = next((each for each in page.packages if each.filename == source.file), None)
    if found is None:
        same = sorted(each.filename for each in page.packages if each.version == source.version)
        known = f" in the index; it has {', '.join(same[:4])} of version {source.version}" if same else " in the index"
        raise SourceMissing(f"The file {source.file} of package {source.package}", known)
    announced = found.digests.get("sha256")
    if announced is not None and announced != source.sha256:
        raise WrongHash(f"{source.file}, as the index announces it,", source.sha256, announced)
    return Remote(found.url, source.file, source.sha256, source.size)
