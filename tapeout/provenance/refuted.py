"""Artifacts that a second build has refuted: this folder, or the journal of its store, knows other bytes of them."""

from tapeout.compare.file_comparison import Level
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store import second_builds
from tapeout.graph.store.trust import sha256
from tapeout.graph.workspace import Workspace

RANK = list(Level)
REFUTED = (
    "See whether it is: tapeout rebuild {name} --check. Then correct its code, which makes another action, and run "
    "again; or state which level is enough, such as for training on GPUs: tapeout rebuild {name} --check --level values"
)
"""Fix of an error about a refuted artifact."""


def refutation(workspace: Workspace, manifest: Manifest, journal: bool = True) -> str:
    """Return a sentence with both digests if another build of an artifact's action gave other bytes, else none.

    Other bytes that were compared count if they miss the level that the latest ``tapeout rebuild --check`` asked for
    (``--level``; bytes by default). Those that were not compared count unless that level is lower and a compared build
    with other bytes has reached it. What only a store's journal states does not count for an entry that a trusted key
    has signed.

    Args:
        workspace: the folder.
        manifest: manifest of the artifact.
        journal: read the journal of the store, which everybody who may write the store can forge.
    """
    builds, store = second_builds.read(workspace.work, manifest.action), workspace.store
    required = Level.BYTES
    for build in builds:
        required = Level(build.required) if build.required in RANK else required
    levels: dict[str, Level] = {}  # the worst that each other output has reached, where it was compared
    others = {build.second for build in builds}
    for build in builds:
        if build.differs and build.reached in RANK and manifest.digest() in (build.first, build.second):
            other = build.second if build.first == manifest.digest() else build.first
            levels[other] = max(Level(build.reached), levels.get(other, Level.BYTES), key=RANK.index)
    if store.trust is not None:
        others |= store.trust.outputs(manifest.action)
    if journal and not store.is_signed(manifest.action):
        others |= {line["digest"] for line in store.journal() if line["action"] == manifest.action and "digest" in line}
    reaches = any(RANK.index(level) <= RANK.index(required) for level in levels.values())
    accepted = reaches and required is not Level.BYTES
    for other in sorted(others - {manifest.digest()}):
        level = levels.get(other)
        if level is None and accepted:
            continue
        if level is None or RANK.index(level) > RANK.index(required):
            reached = {None: "", Level.NONE: ", which is different"}.get(level, f', which is equal in "{level}" only')
            known = f"{sha256(manifest.digest())} is in the store, and another build gave {sha256(other)}{reached}"
            return f"{manifest.artifact} is not reproducible, or forged: {known}."
    return ""
