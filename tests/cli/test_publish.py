"""``tapeout publish`` against a real server that speaks the upload interface of the Hugging Face Hub."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.identity.action import Action
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.store import Store
from tests.provenance.upload_server import READER, TOKEN, Hub, upload_server
from tests.starter import run_module

ROOT = Path(__file__).parents[2]
CARD = "---\nlicense: apache-2.0\nlanguage:\n- en\n---\n\n# A model\n"
FILES = {
    "README.md": CARD.encode(),
    "NOTICE": b"The model was trained on text.\n",
    "config.json": b"{}\n",
    "model.safetensors": bytes(range(256)) * 40,
    "tokenizer.model": b"pieces" * 50,
}


@dataclass
class Place:
    """A project with a built export, and the hub."""

    root: Path
    hub: Hub
    home: Path

    def build(self, files: dict[str, bytes], artifact: str = "export/hf", certify: bool = True) -> str:
        """Write an artifact as a run leaves it, and a certificate of ``export/hf``; return the artifact's digest."""
        folder = self.root / "results" / artifact
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        manifest = self.seal(folder, artifact)
        if certify and artifact == "export/hf":
            self.certify({name: sha256(content).hexdigest() for name, content in files.items()})
        return manifest.digest()

    def certify(self, digests: dict[str, str], answers: dict[str, Any] | None = None) -> Path:
        """Write a certificate about files with those digests, and return its path."""
        path = self.root / "results" / "export" / "certificate.json"
        counts = answers or {"equal": 12, "tie": 0, "tie_limit": 0.1}
        path.write_text(json.dumps({"answers": counts, "files": digests}))
        self.seal(path, "export/certificate.json")
        return path

    def seal(self, path: Path, artifact: str) -> Manifest:
        """Put a copy of an artifact into the store, and its manifest beside it; return the manifest."""
        content = Manifest.of(path, artifact, "").digest()
        action = Action({"artifact": artifact, "schema": 2, "content": content, "inputs": {}})
        manifest = Manifest.of(path, artifact, action.digest)
        copy = self.root / "copy"
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, copy)
        Store(self.root / "store").seal(action, manifest, copy)
        shutil.rmtree(copy, ignore_errors=True)
        path.with_name(f"{path.name}.manifest.json").write_bytes(manifest.encode())
        return manifest

    def publish(
        self, *arguments: str, artifact: str = "export/hf", repo: str = "lab/model", **variables: str
    ) -> tuple[int, str]:
        """Return exit code and output of ``tapeout publish``."""
        given = {"PYTHONPATH": str(ROOT), "HF_ENDPOINT": self.hub.address, "HF_TOKEN": TOKEN, "COLUMNS": "100"}
        kept = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8"}
        command = [sys.executable, "-m", "tapeout.cli", "publish", artifact, "--repo", repo, *arguments]
        done = run_module(command, self.root, {**kept, **given, **variables}, timeout=300, own_server=True)
        text = done.stdout + done.stderr
        assert "Traceback" not in text and TOKEN not in text and READER not in text, text
        return done.returncode, " ".join(text.split())

    @property
    def records(self) -> list[Path]:
        return sorted(self.root.glob("results/.published/**/*.json"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home folder of the commands, one for all, so that one process can start them."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def place(tmp_path: Path, home: Path) -> Iterator[Place]:
    root = tmp_path / "project"
    (root / "envs").mkdir(parents=True)
    (root / "Snakefile").touch()
    shutil.copy(ROOT / "envs" / "serve.lock", root / "envs")
    (root / ".envs").symlink_to(ROOT / ".envs")
    with upload_server() as hub:
        made = Place(root, hub, home)
        made.build(FILES)
        yield made


def test_without_execute_nothing_is_sent(place: Place) -> None:
    code, text = place.publish(HF_TOKEN="")
    assert code == 0 and place.hub.requests == [] and place.records == []
    for part in ("5 files", "licence apache-2.0", f"To lab/model at {place.hub.address}, branch main", "private if"):
        assert part in text
    for name, content in FILES.items():
        assert name in text and sha256(content).hexdigest()[:16] in text
    assert "Nothing was sent." in text and not any((place.root / "results").glob(".published"))
    assert "export/certificate.json is about these files; 12 answers are the evaluated ones." in text


def test_an_upload_is_one_commit_that_is_verified_and_recorded(place: Place) -> None:
    digest = place.build(FILES)
    code, text = place.publish("--execute")
    repository = place.hub.repositories["lab/model"]
    commit = repository.branches["main"]
    assert code == 0 and f"Published as commit {commit}: 5 files sent." in text, text
    assert repository.private and len(repository.commits) == 2
    assert {**FILES, ".gitattributes": repository.commits[commit][".gitattributes"]} == repository.commits[commit]
    assert repository.messages[-1] == f"export/hf sha256:{digest}"
    (record,) = place.records
    content = json.loads(record.read_bytes())
    assert content["commit"] == commit and content["digest"] == digest and content["repository"] == "lab/model"
    assert {file["path"]: file["sha256"] for file in content["files"]} == {
        name: sha256(data).hexdigest() for name, data in FILES.items()
    }
    assert TOKEN not in record.read_text() and str(place.root) not in record.read_text()
    assert {token for method, _, token in place.hub.requests if method == "PUT"} == {""}, "storage gets no token"


def test_no_module_of_the_current_folder_is_imported_in_place_of_a_package(place: Place) -> None:
    for name in ("httpx2", "huggingface_hub"):
        (place.root / f"{name}.py").write_text("raise SystemExit('of the current folder')\n")
    code, text = place.publish("--execute")
    assert code == 0 and "Published as commit" in text, text


def test_a_second_upload_of_the_same_sends_nothing(place: Place) -> None:
    place.publish("--execute")
    commit = place.hub.repositories["lab/model"].branches["main"]
    (record,) = place.records
    before = record.read_bytes()
    place.hub.requests.clear()
    assert place.publish() == (0, place.publish()[1]) and place.hub.requests == []
    assert f"Already published as commit {commit}." in place.publish()[1]
    code, text = place.publish("--execute")
    assert code == 0 and f"Already published as commit {commit}." in text
    assert not place.hub.count("/commit/") and not place.hub.count("PUT") and record.read_bytes() == before
    shutil.rmtree(place.root / "results" / ".published")  # as make clean does
    code, text = place.publish("--execute")
    assert code == 0 and f"Already published as commit {commit}." in text and record.read_bytes() == before


def test_a_changed_artifact_replaces_its_former_files_and_no_others(place: Place) -> None:
    place.publish("--execute")
    repository = place.hub.repositories["lab/model"]
    place_files = {**repository.commits[repository.branches["main"]], "notes.txt": b"of a colleague"}
    repository.commit("main", place_files, "by hand")
    changed = {**FILES, "config.json": b'{"a": 1}\n', "model-00001-of-00001.safetensors": b"weights"}
    del changed["model.safetensors"]
    place.build(changed)
    code, text = place.publish("--execute", "--message", "Second release")
    files = repository.commits[repository.branches["main"]]
    assert (
        code == 0 and {name: files[name] for name in changed} == changed and repository.messages[-1] == "Second release"
    )
    assert "model.safetensors" not in files and files["notes.txt"] == b"of a colleague"
    assert "2 files sent" in text and "Deleted, because" in text and "The repository also has: notes.txt." in text


def test_a_branch_and_a_public_repository_are_created(place: Place) -> None:
    code, _ = place.publish("--execute", "--public", "--revision", "v1")
    repository = place.hub.repositories["lab/model"]
    assert code == 0 and not repository.private and repository.branches.keys() == {"main", "v1"}
    assert "NOTICE" in repository.commits[repository.branches["v1"]]
    assert "NOTICE" not in repository.commits[repository.branches["main"]]
    code, text = place.publish("--execute", "--json")
    value, end = json.JSONDecoder().raw_decode(text)
    assert (
        code == 0
        and value["commit"] == repository.branches["main"]
        and text[end:].startswith(" Uploading what lab/model")
    )


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no token": ({"HF_TOKEN": ""}, "HF_TOKEN is not set."),
    "wrong token": ({"HF_TOKEN": "hf_unknownToTheServer"}, "The hub does not accept the token in HF_TOKEN."),
    "read-only token": ({"HF_TOKEN": READER}, "The token in HF_TOKEN may not write to lab/model"),
    "owner": ({"repo": "others/model"}, "The token in HF_TOKEN may not write to others/model"),
    "name": ({"repo": "model"}, "'model' is not the name of a repository."),
    "doubled hyphen": ({"repo": "lab/a--b"}, "'lab/a--b' is not the name of a repository."),
    "offline": ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids requests to the hub."),
    "nobody answers": ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "The connection to the hub failed"),
    "password": ({"HF_ENDPOINT": "http://user:word@127.0.0.1:9"}, "HF_ENDPOINT contains a user or a password."),
    "artifact": ({"artifact": "export/other"}, "export/other"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_uploaded_is_a_named_error(case: str, place: Place) -> None:
    changes, message = REFUSED[case]
    code, text = place.publish("--execute", **changes)
    assert code == 3 and message in text and " fix: " in text, text
    assert place.records == [] and not place.hub.count("/commit/")


def test_a_hub_without_such_an_address_is_a_named_error(place: Place) -> None:
    place.hub.before = lambda path: 404
    code, text = place.publish("--execute")
    assert code == 3 and "The hub has no place for lab/model" in text


@pytest.mark.parametrize("change", ["bytes", "no card", "no notice", "no licence", "secret", "file"])
def test_what_may_not_be_published_is_refused_before_anything_is_sent(change: str, place: Place) -> None:
    message = {
        "bytes": "The files of export/hf are not those that were built.",
        "no card": "export/hf has no README.md.",
        "no notice": "export/hf has no NOTICE.",
        "no licence": "The model card of export/hf states no licence.",
        "secret": "would contain the secret in the variable HF_TOKEN",
        "file": "export/one.json is a single file",
    }[change]
    files, artifact = dict(FILES), "export/hf"
    if change in ("no card", "no notice"):
        del files["README.md" if change == "no card" else "NOTICE"]
    if change == "no licence":
        files["README.md"] = b"---\nlanguage: en\n---\n# A model\n"
    if change == "secret":
        files["config.json"] = TOKEN.encode()
    place.build(files)
    if change == "bytes":
        (place.root / "results/export/hf/config.json").write_bytes(b"[]\n")
    if change == "file":
        artifact = "export/one.json"
        path = place.root / "results" / artifact
        path.write_text("{}")
        place.seal(path, artifact)
    code, text = place.publish("--execute", artifact=artifact)
    assert code == 3 and message in text, text
    assert place.hub.requests == []


CERTIFICATES = {
    "none": "export/hf has no certificate.",
    "of other files": "export/certificate.json is about other files of export/hf.",
    "of fewer files": "export/certificate.json is about other files of export/hf.",
    "changed": "export/hf has no certificate.",
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_an_exported_model_without_its_certificate_is_not_uploaded(case: str, place: Place) -> None:
    digests = {name: sha256(content).hexdigest() for name, content in FILES.items()}
    path = place.root / "results" / "export" / "certificate.json"
    if case == "none":
        path.unlink()
        path.with_name("certificate.json.manifest.json").unlink()
    if case == "of other files":
        place.certify({**digests, "config.json": "0" * 64})
    if case == "of fewer files":
        place.certify({name: digests[name] for name in digests if name != "NOTICE"})
    if case == "changed":
        place.certify({**digests, "config.json": "0" * 64})
        path.write_text(json.dumps({"answers": None, "files": digests}))
    code, text = place.publish()
    assert code == 0 and f"Warning: {CERTIFICATES[case]} --execute will refuse it." in text, text
    code, text = place.publish("--execute")
    assert code == 3 and CERTIFICATES[case] in text and "fix: Run: snakemake export/certificate.json" in text, text
    assert place.hub.requests == [] and place.records == []


def test_answers_at_a_tie_and_artifacts_without_a_certificate_are_named(place: Place) -> None:
    place.certify(
        {name: sha256(content).hexdigest() for name, content in FILES.items()}, {"equal": 3, "tie": 2, "tie_limit": 0.1}
    )
    assert "3 answers are the evaluated ones, 2 differ at a tie." in place.publish()[1]
    place.build(FILES, "export/adapter")
    code, text = place.publish("--execute", artifact="export/adapter")
    assert code == 0 and "Certificate: none, only export/hf has one." in text and "5 files sent" in text


@pytest.mark.parametrize("moment", ["/api/models/lab/model", "/preupload/", "/storage/", "/commit/"])
def test_a_build_that_replaces_the_artifact_does_not_change_what_is_uploaded(moment: str, place: Place) -> None:
    digest = place.build(FILES)

    def rebuild(path: str) -> None:
        if moment in path:
            place.hub.before = lambda path: None
            place.build({name: content + b"of another build" for name, content in FILES.items()})

    place.hub.before = rebuild
    code, text = place.publish("--execute")
    repository = place.hub.repositories["lab/model"]
    files = repository.commits[repository.branches["main"]]
    assert code == 0 and {name: files[name] for name in FILES} == FILES, text
    assert json.loads(place.records[0].read_bytes())["digest"] == digest
    assert (place.root / "results/export/hf/config.json").read_bytes() == b"{}\nof another build"
    assert [path.name for path in (place.root / "results" / ".published").iterdir()] == ["export"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_changed_in_place_after_it_was_checked_is_not_committed(name: str, place: Place) -> None:
    def change(path: str) -> None:
        place.hub.before = lambda path: None
        with open(place.root / "results" / "export" / "hf" / name, "r+b") as file:
            file.write(b"?")

    place.hub.before = change
    code, text = place.publish("--execute")
    assert code == 3 and f"The file {name} was changed after it was checked." in text, text
    assert len(place.hub.repositories["lab/model"].commits) == 1 and place.records == []


def test_an_earlier_build_is_not_published(place: Place) -> None:
    code, text = place.publish(artifact="export/hf~1")
    assert code == 3 and (" is an earlier build, not" in text or "export/hf~1" in text), text


def test_a_branch_that_moves_during_the_upload_is_not_overwritten(place: Place) -> None:
    place.publish("--execute")
    repository = place.hub.repositories["lab/model"]
    place.build({**FILES, "config.json": b'{"new": 1}\n'})

    def colleague(path: str) -> None:
        if "/commit/" in path:
            place.hub.before = lambda path: None
            files = repository.commits[repository.branches["main"]]
            repository.commit("main", {**files, "config.json": b"by somebody else"}, "in between")

    place.hub.before = colleague
    code, text = place.publish("--execute")
    now = repository.branches["main"]
    assert code == 3 and "was changed by somebody else during the upload" in text and f"is at {now} now" in text
    assert repository.commits[now]["config.json"] == b"by somebody else"
    code, text = place.publish("--execute")
    assert code == 0 and repository.commits[repository.branches["main"]]["config.json"] == b'{"new": 1}\n'


def test_an_interrupted_upload_says_what_the_hub_has_and_can_be_repeated(place: Place) -> None:
    place.hub.before = lambda path: 400 if path.startswith("/storage/") else None
    code, text = place.publish("--execute")
    repository = place.hub.repositories["lab/model"]
    assert code == 3 and f"has none of this upload, it is still at {repository.branches['main']}" in text
    assert len(repository.commits) == 1 and place.records == []
    place.hub.before = lambda path: None
    code, _ = place.publish("--execute")
    assert code == 0 and len(repository.commits) == 2


def test_a_commit_whose_answer_is_lost_is_found_by_the_next_run(place: Place) -> None:
    place.publish("--execute")
    repository = place.hub.repositories["lab/model"]
    digest = place.build({**FILES, "config.json": b'{"new": 1}\n'})

    def lost(path: str) -> int | None:
        if "/commit/" in path:
            files = repository.commits[repository.branches["main"]]
            repository.commit("main", {**files, "config.json": b'{"new": 1}\n'}, "answer lost")
            return 0
        return None

    place.hub.before = lost
    code, text = place.publish("--execute")
    now = repository.branches["main"]
    assert code == 3 and "The connection to the hub failed" in text and f"is at {now} now" in text
    place.hub.before = lambda path: None
    code, text = place.publish("--execute")
    assert code == 0 and f"Already published as commit {now}." in text and repository.branches["main"] == now
    assert json.loads(place.records[0].read_bytes())["digest"] == digest


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_other_bytes_on_the_hub_are_found(name: str, place: Place) -> None:
    place.hub.corrupt.add(name)
    code, text = place.publish("--execute")
    assert code == 3 and f"the file {name} has the SHA-256 {sha256(b'other bytes').hexdigest()}" in text
    assert place.records == []
