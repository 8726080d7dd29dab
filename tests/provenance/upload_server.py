"""Local Hugging Face hub to which a client uploads: repositories with branches, commits and large-file storage.

It serves what huggingface_hub asks for when it creates repositories and branches, validates a card, uploads large files
(LFS batch, PUT, verify), commits, lists and downloads. Standard library alone: tests of every environment may start it.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN, READER = "hf_writerSecretOfTheTests", "hf_readerSecretOfTheTests"
OWNER = "lab"
LARGE = (".safetensors", ".model")
"""Ends of the names of files that go into the large-file storage, as .gitattributes of a repository says."""


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """Commits, each with its files by path, and the commit of each branch."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        names = [*sorted(files), *(git_blob(files[name]) for name in sorted(files)), str(len(self.commits)), message]
        digest = hashlib.sha1("\0".join(names).encode()).hexdigest()
        self.commits[digest] = files
        self.branches[branch] = digest
        self.messages.append(message)
        return digest


@dataclass
class Hub:
    """State and behaviour of the server.

    Attributes:
        address: its own.
        repositories: by ``owner/name``.
        stored: content of large files by SHA-256.
        requests: method, path and token of every request.
        before: called with the path of a request before it is answered; it may change the state, or return a status
            that refuses the request, or 0 to close the connection.
        corrupt: names of files of which a commit keeps other bytes.
    """

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    before: Callable[[str], int | None] = lambda path: None
    corrupt: set[str] = field(default_factory=set)

    def count(self, part: str) -> int:
        """Return the number of requests with ``part`` in their method and path."""
        return sum(part in f"{method} {path}" for method, path, _ in self.requests)


class Refused(Exception):
    """Send a refusal."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            hub.requests.append((self.command, path, token))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                status = hub.before(path)
                if status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                if status:
                    raise Refused(status, message="The server says no")
                self.answer(200, self.route(path, body, token))
            except Refused as refused:
                headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
                self.answer(refused.status, {"error": refused.message}, headers)

        do_POST = do_PUT = do_HEAD = do_GET

        def route(self, path: str, body: bytes, token: str) -> Any:
            if path.startswith("/storage/"):
                digest = path.removeprefix("/storage/")
                if hashlib.sha256(body).hexdigest() != digest:
                    raise Refused(400, message="other bytes")
                hub.stored[digest] = body
                return {}
            if token not in (TOKEN, READER):
                raise Refused(401, message="Invalid credentials in Authorization header")
            if path == "/api/repos/create":
                return self.create(json.loads(body), token)
            if path == "/api/validate-yaml":
                return {"errors": [], "warnings": []}
            if path.endswith("/verify"):
                return {}
            if ".git/info/lfs" in path:
                return self.batch(json.loads(body))
            if "/resolve/" in path:
                return self.resolve(path)
            _, _, _, owner, name, what, revision, *_ = [*map(unquote, path.split("/")), "revision", "main"]
            repository = hub.repositories.get(f"{owner}/{name}")
            if repository is None:
                raise Refused(404, "RepoNotFound", "Repository not found")
            if what == "branch":
                repository.branches[revision] = repository.branches["main"]
                return {}
            commit = repository.branches.get(revision, revision)
            if commit not in repository.commits:
                raise Refused(404, "RevisionNotFound", "Revision not found")
            if what == "revision":
                return {"id": f"{owner}/{name}", "sha": commit, "private": repository.private, "siblings": []}
            if what == "tree":
                return [describe(path, content) for path, content in repository.commits[commit].items()]
            if token != TOKEN:
                raise Refused(403, message="Read-only token")
            if what == "preupload":
                files = [file["path"] for file in json.loads(body)["files"]]
                modes = {file: "lfs" if file.endswith(LARGE) else "regular" for file in files}
                return {"files": [{"path": file, "uploadMode": modes[file], "shouldIgnore": False} for file in files]}
            assert what == "commit", path
            return self.commit(f"{owner}/{name}", revision, [json.loads(line) for line in body.splitlines()])

        def create(self, request: dict[str, Any], token: str) -> dict[str, str]:
            name = f"{request['organization']}/{request['name']}"
            if request["organization"] != OWNER or token != TOKEN:
                raise Refused(403, message="No write access to this namespace")
            if name in hub.repositories:
                raise Refused(409, message="You already created this model repo")
            repository = hub.repositories[name] = Repository(request.get("visibility") == "private")
            repository.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"}, "initial commit")
            return {"url": f"{hub.address}/{name}"}

        def batch(self, request: dict[str, Any]) -> dict[str, Any]:
            objects = []
            for item in request["objects"]:
                upload = {"href": f"{hub.address}/storage/{item['oid']}"}
                actions = {"upload": upload, "verify": {"href": f"{hub.address}/verify"}}
                objects.append({**item, **({} if item["oid"] in hub.stored else {"actions": actions})})
            return {"transfer": "basic", "objects": objects}

        def commit(self, name: str, branch: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
            repository = hub.repositories[name]
            header = lines[0]["value"]
            if header.get("parentCommit") not in (None, repository.branches[branch]):
                raise Refused(412, message="A commit has happened since. Please refresh and try again.")
            files = dict(repository.commits[repository.branches[branch]])
            for line in lines[1:]:
                file = line["value"]["path"]
                if line["key"] == "deletedFile":
                    del files[file]
                elif line["key"] == "lfsFile":
                    files[file] = hub.stored[line["value"]["oid"]]
                else:
                    files[file] = base64.b64decode(line["value"]["content"])
                if file in hub.corrupt:
                    files[file] = b"other bytes"
            digest = repository.commit(branch, files, header["summary"])
            return {"success": True, "commitOid": digest, "commitUrl": f"{hub.address}/{name}/commit/{digest}"}

        def resolve(self, path: str) -> bytes:
            full, rest = path.lstrip("/").split("/resolve/")
            commit, file = rest.split("/", 1)
            repository = hub.repositories[full]
            self.extra = {"X-Repo-Commit": commit, "ETag": f'"{git_blob(repository.commits[commit][file])}"'}
            return repository.commits[commit][file]

        extra: dict[str, str] = {}

        def answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in {**self.extra, **(headers or {})}.items():
                if text:
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            """Print nothing."""

    return Handler


def describe(path: str, content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_blob(content)}
    if path.endswith(LARGE):
        digest = hashlib.sha256(content).hexdigest()
        found["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
    return found


@contextmanager
def upload_server() -> Iterator[Hub]:
    """Run the hub."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
