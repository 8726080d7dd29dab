"""Every kind of damage to every kind of file, then every command: healed or a named error, and the right bytes.

The damage is done to copies of a folder with three artifacts. What starts Snakemake is tested for each kind of file
with the kinds of damage in turn, the rest for each pair.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tapeout.errors import TapeoutError
from tapeout.graph.address import locate
from tapeout.graph.files import MAX_SIZE, report_disk_errors
from tapeout.graph.named_runs import list_runs, save, summarize
from tapeout.graph.store.action_index import ActionIndex
from tapeout.graph.upkeep.gc import GcOptions, collect
from tapeout.graph.upkeep.repair import repair
from tapeout.graph.upkeep.verify import artifact_addresses, verify
from tapeout.graph.workspace import State, Workspace
from tests.graph.conftest import Project
from tests.graph.folders import folder, make

NOW = 2e9
TEXTS = {"raw": "raw\n" * 9, "made": "made\n" * 9, "last": "last\n" * 9}


def clear(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)


def no_bytes(path: Path) -> None:
    clear(path)
    path.write_bytes(b"")


def too_long(path: Path) -> None:
    data = path.read_bytes() if path.is_file() else b""
    clear(path)
    path.write_bytes(data + b"\xff\0 more")


def folder_instead(path: Path) -> None:
    clear(path)
    (path / "inside").mkdir(parents=True)


def pipe(path: Path) -> None:
    clear(path)
    os.mkfifo(path)


def link_to_copy(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    copy = path.parent.parent / f"elsewhere.{path.name}"
    shutil.copy2(path, copy) if path.is_file() else copy.write_bytes(b"")
    clear(path)
    path.symlink_to(copy)


def link_to_itself(path: Path) -> None:
    clear(path)
    path.symlink_to(path.name)


def nested(path: Path) -> None:
    clear(path)
    path.write_bytes(b"[" * 100_000)


def sparse(path: Path) -> None:
    clear(path)
    with open(path, "wb") as file:
        file.truncate(MAX_SIZE + 1)


DAMAGES = (no_bytes, too_long, folder_instead, pipe, link_to_copy, link_to_itself, nested)


def objects_of(here: Workspace, name: str) -> Path:
    manifest = here.manifest(name)
    assert manifest is not None
    return here.store.object_path(manifest.entries[0])


FILES: dict[str, Callable[[Workspace], Path]] = {
    "object": lambda here: objects_of(here, "made"),
    "entry": lambda here: here.store.action_path(here.action("made").digest),
    "signature": lambda here: here.store.signature_path(here.action("made").digest),
    "journal": lambda here: here.store.root / "journal.jsonl",
    "lock": lambda here: here.store.lock_path(here.action("made").digest),
    "collector's lock": lambda here: here.store.root / "collector.lock",
    "description": lambda here: here.store.root / "definitions/00" / f"{'0' * 64}.json",
    "artifact": lambda here: here.artifact_path("made"),
    "manifest": lambda here: here.manifest_path("made"),
    "action": lambda here: here.action_path("made"),
    "record of builds": lambda here: here.work / "built",
}


def run(here: Workspace, name: str) -> None:
    """Do what a run does for an artifact: restore it, or build it."""
    action = here.action(name)
    if here.restore(action) is State.BUILD:
        with here.store.lock_action(action.digest):
            make(here, name, TEXTS[name], *{"made": ["raw"], "last": ["made"]}.get(name, []))
    here.store.append_journal({"artifact": name, "action": action.digest, "finished": "2026-01-01T00:00:00+00:00"})
    assert here.artifact_path(name).read_text() == TEXTS[name]
    assert here.state(action)[0] is State.CURRENT


READ_WHOLE = {"entry", "signature", "journal", "description", "manifest", "record of builds"}
"""Files of which a large one is refused before it is read."""
COMMANDS: dict[str, Callable[[Workspace], object]] = {
    "run": lambda here: [run(here, name) for name in TEXTS],
    "verify": lambda here: verify(here, [], deep=True),
    "repair": lambda here: repair(here, artifact_addresses(here)),
    "diff": lambda here: [locate(here, name) for name in (*TEXTS, "made@run")],
    "why": lambda here: [ActionIndex(here.store), here.store.load_description("definitions", "0" * 64)],
    "runs": lambda here: [summarize(here), save(here, "second", pinned=False), list_runs(here)],
    "gc": lambda here: collect(here, GcOptions(), dry_run=False, now=NOW),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "folder"
    here = folder(root, root / "store")
    make(here, "raw", TEXTS["raw"])
    make(here, "made", TEXTS["made"], "raw")
    make(here, "last", TEXTS["last"], "made")
    save(here, "run", pinned=True)
    return root


def copies(whole: Path, tmp_path: Path) -> Iterator[Workspace]:
    number = 0
    while True:
        number += 1
        shutil.copytree(whole, tmp_path / str(number), copy_function=shutil.copy2)
        yield folder(tmp_path / str(number), tmp_path / str(number) / "store")


@pytest.mark.parametrize("file", FILES)
def test_library(whole: Path, tmp_path: Path, file: str) -> None:
    new = copies(whole, tmp_path)
    for damage in (*DAMAGES, *([sparse] if file in READ_WHOLE else [])):
        for name, command in COMMANDS.items():
            here = next(new)
            damage(FILES[file](here))
            try:
                with report_disk_errors():
                    command(folder(here.results.parent, here.store.root))
            except TapeoutError as error:
                assert error.cause and error.fix
            if file == "record of builds":
                clear(FILES[file](here))  # as its error advises
            again = folder(here.results.parent, here.store.root)
            for artifact in TEXTS:  # whatever is called current is right
                manifest = again.manifest(artifact)
                if manifest is not None and manifest.matches(again.artifact_path(artifact)):
                    assert again.artifact_path(artifact).read_text() == TEXTS[artifact], (damage, name)


SNAKEMAKE = (["run"], ["status"], ["verify"], ["verify", "--deep", "--repair"], ["diff", "@before", "results"], ["gc"])
PLACES = {
    "object": lambda here: objects_of(here, "model"),
    "entry": lambda here: here.store.action_path(here.action("model").digest),
    "journal": FILES["journal"],
    "lock": lambda here: here.store.lock_path(here.action("model").digest),
    "manifest": lambda here: here.manifest_path("model"),
    "action": lambda here: here.action_path("model"),
}


@pytest.mark.parametrize("place", PLACES)
def test_commands(built: Project, place: str) -> None:
    before = built.digests()
    assert built.tapeout("runs", "save", "before")[0] == 0
    commands = cycle(SNAKEMAKE[list(PLACES).index(place) % 2 :: 2])
    for damage in (folder_instead, pipe, link_to_copy):
        damage(PLACES[place](folder(built.root, built.path("store"))))
        command = next(commands)
        if command == ["run"]:
            done = built.run(ok=place != "action")
            assert "Traceback" not in done.text and ("fix: " in done.text or done.status == 0)
        else:
            assert built.tapeout(*command)[0] in (0, 1, 3)  # no traceback
        if place == "action":
            clear(built.path("results/.graph/model.action.json"))
        assert "Traceback" not in built.run().text
        assert built.digests() == before
