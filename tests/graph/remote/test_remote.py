"""Remote stores: what was pushed is pulled completely, whatever breaks, and nothing unverified is accepted."""

import contextlib
import os
import threading
from pathlib import Path

import fsspec.config
import pytest

from tapeout.graph.errors import RemoteError, RemoteUnavailable
from tapeout.graph.files import write_atomically
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import canonical, digest_bytes
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.remote.push import Outcome
from tapeout.graph.store.store import object_key
from tests.graph.remote.remotes import *  # noqa: F403 - fixtures
from tests.graph.remote.remotes import BIG, FILES, RemoteServer, client_at, enforced, entry_key, largest, reader
from tests.graph.remote.servers import Proxy, listening

Text = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry almost immediately, and wait for a server of these tests, which a busy machine may delay."""
    monkeypatch.setattr("tapeout.graph.remote.transport.RETRY_PAUSES", (0.01, 0.02, 0.05))
    monkeypatch.setattr("tapeout.graph.remote.transport.FIRST_RESPONSE_TIMEOUT", 120.0)


def test_pull_returns_what_was_pushed(server: RemoteServer, tmp_path: Path) -> None:
    one, two = client_at(tmp_path / "one", server), client_at(tmp_path / "two", server, "read-only")
    actions = [one.seal("model", FILES), one.seal("notes", {"a": b"a\n"}), one.seal("other", {"b": b"b\n"})]
    assert {done.outcome for done in one.remote.push([action.digest for action in actions])} == {Outcome.PUSHED}
    absent = Action({"schema": 1, "artifact": "absent"})
    found = two.remote.find([*actions, absent])
    assert list(found) == [action.digest for action in actions]
    assert not (tmp_path / "two").exists()  # nothing has been fetched yet
    assert two.remote.missing_bytes(found[actions[0].digest]) == BIG + len("a\n") + len("#!/bin/sh\n")
    assert two.remote.fetch(found) == {action.digest for action in actions}
    for action in actions:
        assert two.files(action) == one.files(action)
        assert two.store.read_entry(action.digest) == one.store.read_entry(action.digest)
    again = one.remote.push([action.digest for action in actions])
    assert [(done.outcome, done.sent) for done in again] == [(Outcome.PRESENT, 0)] * 3


def test_interrupted_download_is_resumed(proxied: tuple[RemoteServer, Proxy], tmp_path: Path) -> None:
    server, proxy = proxied
    action = client_at(tmp_path / "one", server).seal("model", FILES)
    client_at(tmp_path / "one", server).remote.push([action.digest])
    two = client_at(tmp_path / "two", server)
    proxy.down, proxy.cuts, proxy.cut_down = 0, 2, BIG // 3
    assert two.remote.pull(action) is not None
    assert proxy.cuts == 0 and two.files(action) == FILES
    assert list((tmp_path / "two" / "incoming").iterdir()) == []


def test_download_is_resumed_by_a_later_run(proxied: tuple[RemoteServer, Proxy], tmp_path: Path, capfd: Text) -> None:
    server, proxy = proxied
    action = client_at(tmp_path / "one", server).seal("model", {"weights": FILES["weights"] * 4})
    client_at(tmp_path / "one", server).remote.push([action.digest])
    proxy.down, proxy.last = 0, 2 * BIG
    two = client_at(tmp_path / "two", server)
    assert two.remote.pull(action) is None and two.files(action) is None
    printed = capfd.readouterr().err.splitlines()
    assert len(printed) == 1 and "is not available" in printed[0] and "continues without it" in printed[0]
    [part] = (tmp_path / "two" / "incoming").iterdir()
    received = part.stat().st_size
    assert received > 0
    proxy.down, proxy.last = 0, None
    later = client_at(tmp_path / "two", server)
    assert later.remote.pull(action) is None  # a process of the same run does not try again
    for mark in tmp_path.glob("*.marks/remote.away"):
        os.utime(mark, (0, 0))  # some time later
    assert later.remote.pull(action) is not None
    assert proxy.down < 4 * BIG - received + BIG // 2
    assert later.files(action) == {"weights": FILES["weights"] * 4}


def test_interrupted_upload_is_invisible_and_retried(
    proxied: tuple[RemoteServer, Proxy], tmp_path: Path, capfd: Text
) -> None:
    server, proxy = proxied
    one = client_at(tmp_path / "one", server)
    action = one.seal("model", FILES)
    one.remote.queue_push(action.digest)
    proxy.cuts, proxy.cut_up = 1000, BIG // 2
    assert server.names() == []
    one.remote.push_queued(action.digest)
    printed = capfd.readouterr().err.splitlines()
    assert len(printed) == 1 and "queued for the next run, or for tapeout push" in printed[0]
    manifest = one.store.find(action.digest)
    assert manifest is not None
    assert object_key(largest(manifest)) not in server.names() and entry_key(action) not in server.names()
    assert one.queued() == [action.digest]
    proxy.cuts = 0
    later = client_at(tmp_path / "one", server)
    later.remote.forget_failures()
    later.remote.push_queued()
    assert later.queued() == []
    assert client_at(tmp_path / "two", server).remote.pull(action) is not None


def test_damaged_file_is_reported_unused_and_replaced(server: RemoteServer, tmp_path: Path, capfd: Text) -> None:
    one = client_at(tmp_path / "one", server)
    action = one.seal("model", FILES)
    one.remote.push([action.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    key = object_key(largest(manifest))
    server.put(key, server.get(key)[:-1] + b"\0")
    two = client_at(tmp_path / "two", server)
    assert two.remote.pull(action) is None
    assert two.files(action) is None and not two.store.object_path(largest(manifest)).exists()
    assert key in capfd.readouterr().err
    before = server.proxy.down if server.proxy else 0
    second = client_at(tmp_path / "two", server)
    assert second.remote.find([action]) == {}
    assert key in capfd.readouterr().err
    assert server.proxy is None or server.proxy.down - before < BIG // 2  # not fetched again
    assert second.seal("model", FILES).digest == action.digest
    [done] = second.remote.push([action.digest])
    assert (done.outcome, done.sent) == (Outcome.PUSHED, BIG)
    assert digest_bytes(server.get(key)) == largest(manifest).digest
    three = client_at(tmp_path / "three", server)
    assert three.remote.pull(action) is not None
    assert three.files(action) == FILES


def test_repaired_file_is_used_again(file: RemoteServer, tmp_path: Path) -> None:
    one = client_at(tmp_path / "one", file)
    action = one.seal("model", FILES)
    one.remote.push([action.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    key = object_key(largest(manifest))
    right = file.get(key)
    file.put(key, right[:-5])
    assert client_at(tmp_path / "two", file, "read-only").remote.pull(action) is None
    file.put(key, right)
    assert client_at(tmp_path / "two", file, "read-only").remote.pull(action) is not None


def forged(action: Action, sound: Manifest, **changes: object) -> bytes:
    """Return an entry whose manifest was altered, with valid digests."""
    listed = sound.as_json()
    listed["files"][0] |= changes
    with contextlib.suppress(ValueError):  # an absolute path has no digest
        listed["digest"] = Manifest("", "", "folder", tuple(Entry(**entry) for entry in listed["files"])).digest()
    listed["size"] = sum(entry["size"] for entry in listed["files"] if type(entry["size"]) is int)
    entry = {"action": action.value, "manifest": listed}
    return canonical({"entry": entry, "digest": digest_bytes(canonical(entry))}) + b"\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "../../../escaped"},
        {"path": "/tmp/escaped"},
        {"path": "a/../../escaped"},
        {"path": "."},
        {"path": "sub//a.txt"},
        {"path": "sub"},
        {"path": "twin"},
        {"path": "nul\0"},
        {"digest": "../../../../etc/passwd"},
        {"digest": "A" * 64},
        {"size": -1},
        {"size": True},
        {"executable": 1},
    ],
    ids=str,
)
def test_forged_manifest_is_refused(
    file: RemoteServer, tmp_path: Path, capfd: Text, changes: dict[str, object]
) -> None:
    one = client_at(tmp_path / "one", file)
    action = one.seal("model", FILES)
    one.remote.push([action.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    file.put(entry_key(action), forged(action, manifest, **changes))
    refused(file, action, tmp_path, capfd)
    # a client that has the right entry, and may write, replaces it
    assert one.remote.push([action.digest])[0].outcome is Outcome.PUSHED
    assert client_at(tmp_path / "three", file).remote.pull(action) == manifest


def refused(server: RemoteServer, action: Action, tmp_path: Path, capfd: Text) -> None:
    two = client_at(tmp_path / "two", server)
    assert two.remote.pull(action) is None
    printed = capfd.readouterr().err.splitlines()
    assert len(printed) == 1 and entry_key(action) in printed[0] and "not used" in printed[0]
    assert two.store.find(action.digest) is None
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("what", ["garbage", "nothing", "nested", "flipped", "another's", "too large", "a list"])
def test_invalid_entry_is_refused(file: RemoteServer, tmp_path: Path, capfd: Text, what: str, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    one = client_at(tmp_path / "one", file)
    action, other = one.seal("model", FILES), one.seal("model", {"a": b"a\n"}, number=1)
    one.remote.push([action.digest, other.digest])
    right = file.get(entry_key(action))
    if what == "too large":
        monkeypatch.setattr("tapeout.graph.remote.pull.MAX_ENTRY_SIZE", len(right) - 1)
    wrong = {
        "garbage": b"\xff\x00 not JSON",
        "nothing": b"",
        "nested": b"[" * 200_000,
        "flipped": right.replace(b'"size":2', b'"size":3', 1),
        "another's": file.get(entry_key(other)),
        "too large": right,
        "a list": b"[]",
    }[what]
    file.put(entry_key(action), wrong)
    refused(file, action, tmp_path, capfd)


def test_empty_entry_is_refused(proxied: tuple[RemoteServer, Proxy], tmp_path: Path, capfd: Text) -> None:
    server, _ = proxied
    action = client_at(tmp_path / "one", server).seal("model", FILES)
    client_at(tmp_path / "one", server).remote.push([action.digest])
    server.put(entry_key(action), b"")
    refused(server, action, tmp_path, capfd)


def test_artifact_larger_than_the_disk_is_not_fetched(file: RemoteServer, tmp_path: Path, capfd: Text) -> None:
    one, two = client_at(tmp_path / "one", file), client_at(tmp_path / "two", file)
    action, other = one.seal("model", FILES), one.seal("notes", {"a": b"a\n"})
    one.remote.push([action.digest, other.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    file.put(entry_key(action), forged(action, manifest, size=10**30))
    assert two.remote.fetch(two.remote.find([action, other])) == {other.digest}
    assert "model: not fetched" in capfd.readouterr().err
    assert one.remote.push([action.digest])[0].outcome is Outcome.PUSHED


def test_different_result_of_the_same_action_is_not_replaced(file: RemoteServer, tmp_path: Path, capfd: Text) -> None:
    one, two = client_at(tmp_path / "one", file), client_at(tmp_path / "two", file)
    action = one.seal("model", {"a": b"one"})
    assert two.seal("model", {"a": b"two"}).digest == action.digest
    one.remote.push([action.digest])
    assert [done.outcome for done in two.remote.push([action.digest])] == [Outcome.DIFFERS]
    text, digests = capfd.readouterr().err, [known.store.find(action.digest).digest() for known in (one, two)]  # type: ignore[union-attr]
    assert "model: not pushed: different result there" in text
    assert "model: not reproducible" in text and all(digest in text for digest in digests)
    two.store.object_path(two.store.find(action.digest).entries[0]).unlink()  # type: ignore[union-attr]
    assert two.remote.find([action]) == {}  # the local entry stays, and the step is built again
    text = capfd.readouterr().err
    assert "model: not reproducible" in text and all(digest in text for digest in digests)
    three = client_at(tmp_path / "three", file)
    three.remote.pull(action)
    assert three.files(action) == {"a": b"one"}


def test_damaged_local_file_is_not_pushed(file: RemoteServer, tmp_path: Path, capfd: Text) -> None:
    one = client_at(tmp_path / "one", file)
    action = one.seal("model", FILES)
    one.remote.queue_push(action.digest)
    manifest = one.store.find(action.digest)
    assert manifest is not None
    damaged = one.store.object_path(largest(manifest))
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(BIG))
    one.remote.push_queued()
    assert "model: not pushed: damaged here" in capfd.readouterr().err
    assert entry_key(action) not in file.names() and one.queued() == [action.digest]


def test_concurrent_pushes_and_pulls(server: RemoteServer, tmp_path: Path) -> None:
    pushers = [client_at(tmp_path / name, server) for name in ("one", "two")]
    actions = [pusher.seal("model", FILES) for pusher in pushers]
    done = []
    threads = [threading.Thread(target=lambda p=p: done.append(p.remote.push([actions[0].digest]))) for p in pushers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2 and {key.split("/")[0] for key in server.names()} == {"actions", "objects"}
    pullers = [client_at(tmp_path / "three", server) for _ in range(2)]  # two processes on one store
    threads = [threading.Thread(target=lambda p=p: p.remote.pull(actions[0])) for p in pullers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pullers[0].files(actions[0]) == FILES
    assert list((tmp_path / "three" / "incoming").iterdir()) == []


def test_wrong_partial_file_is_discarded(file: RemoteServer, tmp_path: Path) -> None:
    one, two = client_at(tmp_path / "one", file), client_at(tmp_path / "two", file)
    action = one.seal("model", FILES)
    one.remote.push([action.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    write_atomically(tmp_path / "two" / "incoming" / largest(manifest).digest, b"wrong")
    assert two.remote.pull(action) is not None
    assert two.files(action) == FILES


def unreachable(url: str) -> RemoteServer:
    """Return a remote that is not inspected."""
    return RemoteServer(url, list, lambda key: b"", lambda key, data: None)


def test_silent_remote_times_out(tmp_path: Path, capfd: Text, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("tapeout.graph.remote.transport.FIRST_RESPONSE_TIMEOUT", 1.0)
    monkeypatch.setenv("HOME", str(tmp_path))
    with listening() as silent:
        url = f"ssh://ann:sesame@127.0.0.1:{silent.getsockname()[1]}/far"
        one = client_at(tmp_path / "one", unreachable(url))
        action = one.seal("model", FILES)
        assert one.remote.find([action]) == {}
        printed = capfd.readouterr().err.splitlines()
        assert len(printed) == 1 and "no answer" in printed[0]
        assert "sesame" not in printed[0]
        another = client_at(tmp_path / "one", unreachable(url)).remote
        assert another.find([action]) == {}
        with pytest.raises(RemoteUnavailable):
            another.push([action.digest])
    assert capfd.readouterr().err == ""


def test_missing_remote_is_reported(tmp_path: Path, capfd: Text, s3: RemoteServer) -> None:
    for url in (f"file://{tmp_path}/nowhere", str(tmp_path / "unreachable"), "s3://no-such-bucket/store"):
        one = client_at(tmp_path / "one", unreachable(url))
        one.remote.forget_failures()
        assert one.remote.find([Action({"artifact": "a"})]) == {}
        assert f"The remote {url} does not exist" in capfd.readouterr().err
    assert not (tmp_path / "unreachable").exists()


@pytest.mark.parametrize(
    ("url", "words"), [("gopher://hole", "do not support the protocol gopher://"), ("ssh://[::1/far", "is not a URL")]
)
def test_invalid_url_is_an_error(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        client_at(tmp_path / "one", unreachable(url)).remote.find([Action({"artifact": "a"})])


def test_invalid_fsspec_options_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "ssh", {"colour": "blue"})
    with pytest.raises(RemoteError, match="colour") as raised:
        client_at(tmp_path / "one", unreachable("ssh://127.0.0.1/far")).remote.find([Action({"artifact": "a"})])
    assert "FSSPEC_SSH" in raised.value.fix


def test_invalid_mode_is_an_error(file: RemoteServer, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="TAPEOUT_REMOTE_MODE is 'rw'"):
        client_at(tmp_path / "one", file, "rw").remote.queue_push("0" * 64)


def test_unknown_host_key_is_refused(ssh: RemoteServer, tmp_path: Path, capfd: Text) -> None:
    (tmp_path / "home" / ".ssh" / "known_hosts").unlink()
    one = client_at(tmp_path / "one", ssh)
    assert one.remote.find([Action({"artifact": "a"})]) == {}
    printed = capfd.readouterr().err
    assert "is not in" in printed and "known_hosts" in printed and "sesame" not in printed


def test_wrong_password_is_tried_once_and_not_printed(ssh: RemoteServer, tmp_path: Path, capfd: Text) -> None:
    ssh.url = ssh.url.replace("sesame", "mellon")
    one = client_at(tmp_path / "one", ssh)
    assert one.remote.find([Action({"artifact": "a"})]) == {}
    printed = capfd.readouterr().err
    assert "Authentication" in printed and "mellon" not in printed


def test_read_only_user_pulls_and_cannot_push(
    s3: RemoteServer, moto: int, tmp_path: Path, capfd: Text, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    one = client_at(tmp_path / "one", s3)
    action, other = one.seal("model", FILES), one.seal("notes", {"a": b"a\n"})
    one.remote.push([action.digest])
    monkeypatch.setitem(fsspec.config.conf, "s3", {**fsspec.config.conf["s3"], **reader(moto)})
    with enforced(moto):
        reads = client_at(tmp_path / "two", s3)
        assert reads.remote.pull(action) is not None
        reads.seal("notes", {"a": b"a\n"})
        reads.remote.queue_push(other.digest)
        reads.remote.push_queued(other.digest)
        printed = capfd.readouterr().err.splitlines()
        assert (
            len(printed) == 1
            and "refuses the operation (PermissionError" in printed[0]
            and "stays queued" in printed[0]
        )
        client_at(tmp_path / "two", s3).remote.push_queued(other.digest)
        assert capfd.readouterr().err == ""  # the next step of the same run does not try again
    assert reads.queued() == [other.digest] and entry_key(other) not in s3.names()
