"""Local Hugging Face hub, as far as its client uses one: a server for the hub, and one for its large files.

It serves what huggingface_hub reads: ``/api/models|datasets/NAME/revision/COMMIT``, ``.../paths-info/COMMIT`` and
``NAME/resolve/COMMIT/FILE`` with ETag, X-Repo-Commit, X-Linked-Etag and X-Linked-Size, X-Error-Code, Range, and a
redirect of large files to another port. Standard library alone: tests of every environment may start it.
"""

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT, OLDER = "0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"
TOKEN, STRANGER = "hf_member", "hf_stranger"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """One repository: files by path, at ``COMMIT`` (branch main); those in ``large`` are in large-file storage."""

    files: dict[str, bytes]
    large: set[str] = field(default_factory=set)
    gated: bool = False
    private: bool = False
    licence: str = "apache-2.0"

    def description(self, path: str) -> dict[str, Any]:
        content = self.files[path]
        found: dict[str, Any] = {"size": len(content), "oid": git_blob(content)}
        if path in self.large:
            found["lfs"] = {"oid": sha256(content), "sha256": sha256(content), "size": len(content), "pointerSize": 130}
        return found


@dataclass(frozen=True)
class Request:
    """One request to one of the two servers."""

    server: str
    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Hub:
    """State and behaviour of the two servers.

    Attributes:
        address: of the hub.
        repositories: by ``models/NAME`` or ``datasets/NAME``.
        plans: by path (of either server), what to do with the next requests, one entry each: ``(status, headers)`` to
            refuse, or ``n`` to break off after n bytes of the body.
        requests: every request so far.
        commit: sent as X-Repo-Commit.
        corrupt: paths whose bytes differ from the announced ones.
        storage_headers: sent by the file storage, which is not the hub.
    """

    address: str = ""
    storage: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    plans: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    requests: list[Request] = field(default_factory=list)
    commit: str | None = COMMIT
    corrupt: set[str] = field(default_factory=set)
    storage_headers: dict[str, str] = field(default_factory=dict)

    def tokens(self, server: str) -> set[str | None]:
        return {request.token for request in self.requests if request.server == server}


class Refused(Exception):
    """Send status and headers of a refusal."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status = status
        self.headers = {"X-Error-Code": code, "X-Error-Message": message}


def handler(hub: Hub, server: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(
                Request(server, self.command, path, self.headers.get("Range"), self.headers.get("Authorization"))
            )
            cut = None
            if hub.plans[path]:
                plan = hub.plans[path].pop(0)
                if isinstance(plan, tuple):
                    self.answer(plan[0], b"", plan[1])
                    return
                cut = plan
            try:
                self.site(path, cut) if server == "hub" else self.storage(path, cut)
            except Refused as refused:
                body = json.dumps({"error": refused.headers["X-Error-Message"]}).encode()
                self.answer(refused.status, body, {key: value for key, value in refused.headers.items() if value})

        do_POST = do_GET
        do_HEAD = do_GET

        def storage(self, path: str, cut: int | None) -> None:
            contents = [content for repository in hub.repositories.values() for content in repository.files.values()]
            content = next(content for content in contents if path == f"/{sha256(content)}")
            self.content(path, content, hub.storage_headers, cut)

        def site(self, path: str, cut: int | None) -> None:
            if path.startswith("/api/"):
                _, _, kind, owner, name, what, revision = path.split("/")
                repository = self.repository(f"{kind}/{owner}/{name}")
                self.at(revision)
                if what == "revision":
                    self.json(self.info(repository, f"{owner}/{name}"))
                else:
                    body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                    wanted = [name for name in parse_qs(body)["paths"] if name in repository.files]
                    self.json([{"type": "file", "path": name, **repository.description(name)} for name in wanted])
            else:
                full, rest = path.lstrip("/").split("/resolve/")
                repository = self.repository(full if full.startswith("datasets/") else f"models/{full}", gate=True)
                self.resolve(path, repository, *rest.split("/", 1), cut)

        def resolve(self, path: str, repository: Repository, revision: str, file: str, cut: int | None) -> None:
            self.at(revision)
            if file not in repository.files:
                raise Refused(404, "EntryNotFound", "Entry not found")
            content, commit = repository.files[file], {"X-Repo-Commit": hub.commit} if hub.commit else {}
            if file in repository.large:
                headers = {"Location": f"{hub.storage}/{sha256(content)}", "X-Linked-Etag": f'"{sha256(content)}"'}
                self.answer(302, b"", {**commit, **headers, "X-Linked-Size": str(len(content))})
            else:
                self.content(path, content, {**commit, "ETag": f'"{git_blob(content)}"'}, cut)

        def repository(self, name: str, gate: bool = False) -> Repository:
            """Check access as the hub does."""
            given = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if given not in ("", TOKEN, STRANGER):
                raise Refused(401, "", "Invalid credentials in Authorization header")
            found = hub.repositories.get(name)
            if found is None or (found.private and given != TOKEN):
                raise Refused(404 if given else 401, "RepoNotFound", "Repository not found")
            if gate and found.gated and given != TOKEN:
                raise Refused(403 if given else 401, "GatedRepo", "Access to it is restricted.")
            return found

        def at(self, revision: str) -> None:
            if revision not in (COMMIT, "main"):
                raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")

        def info(self, repository: Repository, name: str) -> dict[str, Any]:
            files = [{"rfilename": path, **repository.description(path)} for path in sorted(repository.files)]
            siblings = [{**file, "blobId": file.pop("oid")} for file in files]
            return {
                **{"_id": "1", "id": name, "sha": COMMIT, "private": repository.private, "disabled": False},
                **{"gated": "manual" if repository.gated else False, "downloads": 0, "likes": 0, "tags": []},
                **{"cardData": {"license": repository.licence}, "siblings": siblings},
            }

        def json(self, value: Any) -> None:
            self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def content(self, path: str, content: bytes, headers: dict[str, str], cut: int | None) -> None:
            """Send a file from the requested offset."""
            if path in hub.corrupt:
                content = content[:-1] + bytes([content[-1] ^ 1])
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
            if start and start >= len(content):
                self.answer(416, b"", {})
            elif start:
                headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
                self.answer(206, content[start:], headers, cut)
            else:
                self.answer(200, content, headers, cut)

        def answer(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body if cut is None else body[:cut])
            self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:
            """Print nothing."""

    return Handler


@contextmanager
def listening(kind: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Run both servers for as long as the context lasts."""
    hub = Hub()
    with ExitStack() as stack:
        hub.address = stack.enter_context(listening(handler(hub, "hub")))
        hub.storage = stack.enter_context(listening(handler(hub, "storage")))
        yield hub
