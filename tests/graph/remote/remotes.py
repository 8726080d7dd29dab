"""Remotes for the tests, reached through a proxy whose connections can be cut, and clients of them."""

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
from tests.graph.remote.servers import Proxy, proxy_to, sftp, trust_host

BIG = 3_000_000


@dataclass
class RemoteServer:
    """A remote as its owner sees it, and how users reach it."""

    url: str
    names: Callable[[], list[str]]
    get: Callable[[str], bytes]
    put: Callable[[str, bytes], None]
    proxy: Proxy | None = None
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables that programs need to reach it."""


def folder(root: Path, url: str) -> RemoteServer:
    """Return a remote that is a folder of this machine."""

    def put(key: str, data: bytes) -> None:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def names() -> list[str]:
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    root.mkdir()
    return RemoteServer(url, names, lambda key: (root / key).read_bytes(), put)


def bucket(port: int, name: str) -> RemoteServer:
    """Create a bucket on the S3 server at ``port``."""
    owner = aws_client(port, "s3")
    owner.create_bucket(Bucket=name)

    def names() -> list[str]:
        found = owner.list_objects_v2(Bucket=name, Prefix="store/").get("Contents", [])
        return [item["Key"].removeprefix("store/") for item in found]

    return RemoteServer(
        f"s3://{name}/store",
        names,
        lambda key: owner.get_object(Bucket=name, Key=f"store/{key}")["Body"].read(),
        lambda key, data: owner.put_object(Bucket=name, Key=f"store/{key}", Body=data),
    )


@pytest.fixture(scope="session")
def moto() -> Iterator[int]:
    """Port of an S3 server (moto)."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


def aws_client(port: int, service: str) -> Any:
    """Return the client of the owner for one of the server's services."""
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )


def reader(port: int) -> dict[str, str]:
    """Return the credentials of a user who may read all buckets and write none."""
    iam = aws_client(port, "iam")
    iam.create_user(UserName="reader")
    policy = {"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}]}
    iam.put_user_policy(
        UserName="reader", PolicyName="read", PolicyDocument=json.dumps(policy | {"Version": "2012-10-17"})
    )
    made = iam.create_access_key(UserName="reader")["AccessKey"]
    return {"key": made["AccessKeyId"], "secret": made["SecretAccessKey"]}


@contextlib.contextmanager
def enforced(port: int) -> Iterator[None]:
    """Let the server check permissions, which it does not do otherwise."""

    def unchecked_requests(count: str) -> None:
        url, headers = f"http://127.0.0.1:{port}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, count.encode(), headers)).close()

    unchecked_requests("0")
    yield
    unchecked_requests("inf")


@pytest.fixture
def s3(moto: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteServer]:
    """A new bucket, reached through a proxy."""
    with proxy_to(moto) as (proxy, port):
        server = bucket(moto, f"b{abs(hash(tmp_path))}")
        server.proxy = proxy
        options = {"endpoint_url": f"http://127.0.0.1:{port}", "key": "key", "secret": "secret"}
        server.variables = {"FSSPEC_S3": json.dumps(options)}
        monkeypatch.setitem(fsspec.config.conf, "s3", options)
        yield server


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteServer]:
    """A folder of an SFTP server whose key is known, reached through a proxy."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with sftp() as (port, key), proxy_to(port) as (proxy, begin):
        trust_host(tmp_path / "home", begin, key)
        server = folder(tmp_path / "far", f"ssh://ann:sesame@127.0.0.1:{begin}{tmp_path}/far")
        server.proxy = proxy
        yield server


@pytest.fixture
def file(tmp_path: Path) -> RemoteServer:
    """A folder on this machine."""
    return folder(tmp_path / "far", f"file://{tmp_path}/far")


@pytest.fixture(params=["file", "s3", "ssh"])
def server(request: pytest.FixtureRequest) -> RemoteServer:
    """Each kind of remote."""
    found: RemoteServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["s3", "ssh"])
def proxied(request: pytest.FixtureRequest) -> tuple[RemoteServer, Proxy]:
    """Each kind of remote that is reached through a proxy."""
    found: RemoteServer = request.getfixturevalue(request.param)
    assert found.proxy is not None
    return found, found.proxy


@dataclass
class Client:
    """A process with a local store and a remote."""

    store: Store
    remote: Remote

    def seal(self, name: str, files: dict[str, bytes], number: int = 0) -> Action:
        """Seal an artifact."""
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
        """Return the files of an action's output from the store, or None if it does not have them."""
        manifest = self.store.find(action.digest)
        if manifest is None or not self.store.verify_objects(manifest):
            return None
        return {entry.path: self.store.object_path(entry).read_bytes() for entry in manifest.entries}

    def queued(self) -> list[str]:
        return self.remote.queued()


def client_at(root: Path, server: RemoteServer, mode: str = "read-write") -> Client:
    """Return a process with the store at ``root``; the same root again is another process of the same run."""
    store = Store(root)
    return Client(store, Remote(store, server.url, mode, root.parent / f"{root.name}.marks"))


def largest(manifest: Manifest) -> Entry:
    """Return the largest file of an artifact."""
    return max(manifest.entries, key=lambda entry: entry.size)


def entry_key(action: Action) -> str:
    return action_key(action.digest)


FILES = {"weights": os.urandom(BIG), "sub/a.txt": b"a\n", "run.sh": b"#!/bin/sh\n", "empty": b"", "twin": b"a\n"}
__all__ = ["file", "moto", "proxied", "s3", "server", "ssh"]
