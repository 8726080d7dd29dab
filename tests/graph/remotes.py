"""Remotes for the tests, each behind a way that can be cut, and stores to push from and pull into."""

import contextlib
import json
import os
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import fsspec.config
import pytest
from moto.server import ThreadedMotoServer

from tapeout.graph.identity.action import Action
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.remote.remote_store import Remote
from tapeout.graph.store.store import Store, action_key
from tests.graph.servers import Way, know, sftp, way_to

BIG = 3_000_000


@dataclass
class Place:
    """A remote as its owner sees it, beside how users reach it."""

    url: str
    names: Callable[[], list[str]]
    get: Callable[[str], bytes]
    put: Callable[[str, bytes], None]
    way: Way | None = None
    variables: dict[str, str] = field(default_factory=dict)
    """What programs started by a test need to reach it."""


def folder(root: Path, url: str) -> Place:
    """A place that is a folder of this machine."""

    def put(key: str, data: bytes) -> None:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def names() -> list[str]:
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    root.mkdir()
    return Place(url, names, lambda key: (root / key).read_bytes(), put)


def bucket(port: int, name: str) -> Place:
    """A bucket of the S3 server at ``port``."""
    owner = client(port, "s3")
    owner.create_bucket(Bucket=name)

    def names() -> list[str]:
        found = owner.list_objects_v2(Bucket=name, Prefix="store/").get("Contents", [])
        return [item["Key"].removeprefix("store/") for item in found]

    return Place(
        f"s3://{name}/store",
        names,
        lambda key: owner.get_object(Bucket=name, Key=f"store/{key}")["Body"].read(),
        lambda key, data: owner.put_object(Bucket=name, Key=f"store/{key}", Body=data),
    )


@pytest.fixture(scope="session")
def moto() -> Iterator[int]:
    """A real S3 server; its port."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


def client(port: int, service: str) -> Any:
    """The owner's client of one of the server's services."""
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )


def reader(port: int) -> dict[str, str]:
    """Credentials of a user who may read all buckets and write none."""
    iam = client(port, "iam")
    iam.create_user(UserName="reader")
    policy = {"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}]}
    iam.put_user_policy(
        UserName="reader", PolicyName="read", PolicyDocument=json.dumps(policy | {"Version": "2012-10-17"})
    )
    made = iam.create_access_key(UserName="reader")["AccessKey"]
    return {"key": made["AccessKeyId"], "secret": made["SecretAccessKey"]}


@contextlib.contextmanager
def enforced(port: int) -> Iterator[None]:
    """Within, the server asks for permissions; otherwise it lets everybody do everything."""

    def unchecked_requests(count: str) -> None:
        url, headers = f"http://127.0.0.1:{port}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, count.encode(), headers)).close()

    unchecked_requests("0")
    yield
    unchecked_requests("inf")


@pytest.fixture
def s3(moto: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A new bucket behind a way that can be cut."""
    with way_to(moto) as (way, port):
        place = bucket(moto, f"b{abs(hash(tmp_path))}")
        place.way = way
        options = {"endpoint_url": f"http://127.0.0.1:{port}", "key": "key", "secret": "secret"}
        place.variables = {"FSSPEC_S3": json.dumps(options)}
        monkeypatch.setitem(fsspec.config.conf, "s3", options)
        yield place


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A folder behind an SFTP server, whose key the user knows, behind a way that can be cut."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with sftp() as (port, key), way_to(port) as (way, begin):
        know(tmp_path / "home", begin, key)
        place = folder(tmp_path / "far", f"ssh://ann:sesame@127.0.0.1:{begin}{tmp_path}/far")
        place.way = way
        yield place


@pytest.fixture
def file(tmp_path: Path) -> Place:
    """A folder on this machine."""
    return folder(tmp_path / "far", f"file://{tmp_path}/far")


@pytest.fixture(params=["file", "s3", "ssh"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind of remote."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["s3", "ssh"])
def distant(request: pytest.FixtureRequest) -> tuple[Place, Way]:
    """Each kind of remote that is reached by a way that can be cut."""
    found: Place = request.getfixturevalue(request.param)
    assert found.way is not None
    return found, found.way


@dataclass
class Here:
    """A local store, and the remote as a process that uses it sees it."""

    store: Store
    remote: Remote

    def seal(self, name: str, files: dict[str, bytes], number: int = 0) -> Action:
        """Let a step have made an artifact."""
        action = Action({"schema": 1, "artifact": name, "params": {"number": number}})
        output = self.store.root.parent / f"{self.store.root.name}.output"
        for path, data in files.items():
            (output / path).parent.mkdir(parents=True, exist_ok=True)
            (output / path).write_bytes(data)
            (output / path).chmod(0o755 if path.endswith(".sh") else 0o644)
        self.store.seal(action, Manifest.of(output, name, action.digest), output)
        shutil.rmtree(output)
        return action

    def files(self, action: Action) -> dict[str, bytes] | None:
        """Files of an action's output, as the store has them; None if it has not."""
        manifest = self.store.find(action.digest)
        if manifest is None or not self.store.verify_objects(manifest):
            return None
        return {entry.path: self.store.object_path(entry).read_bytes() for entry in manifest.entries}

    def owed(self) -> list[str]:
        return self.remote.queued()


def here(root: Path, place: Place, mode: str = "read-write") -> Here:
    """A process with the store at ``root``; the same root again is another process."""
    store = Store(root)
    return Here(store, Remote(store, place.url, mode, root.parent / f"{root.name}.marks"))


def largest(manifest: Manifest) -> Entry:
    """The largest file of an artifact."""
    return max(manifest.entries, key=lambda entry: entry.size)


def entry_key(action: Action) -> str:
    return action_key(action.digest)


FILES = {"weights": os.urandom(BIG), "sub/a.txt": b"a\n", "run.sh": b"#!/bin/sh\n", "empty": b"", "twin": b"a\n"}
__all__ = ["distant", "file", "moto", "place", "s3", "ssh"]
