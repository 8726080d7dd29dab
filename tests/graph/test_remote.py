"""A store elsewhere: what is pushed is pulled whole, whatever breaks, and nothing false is let in."""

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
from tests.graph.remotes import *  # noqa: F403 - fixtures
from tests.graph.remotes import BIG, FILES, Place, enforced, entry_key, here, largest, reader
from tests.graph.servers import Way, listening

Text = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once, so that the tests do not wait."""
    monkeypatch.setattr("tapeout.graph.remote.transport.RETRY_PAUSES", (0.01, 0.02, 0.05))


def test_what_is_pushed_is_pulled(place: Place, tmp_path: Path) -> None:
    one, two = here(tmp_path / "one", place), here(tmp_path / "two", place, "read-only")
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


def test_a_download_that_is_cut_is_resumed(distant: tuple[Place, Way], tmp_path: Path) -> None:
    place, way = distant
    action = here(tmp_path / "one", place).seal("model", FILES)
    here(tmp_path / "one", place).remote.push([action.digest])
    two = here(tmp_path / "two", place)
    way.down, way.cuts, way.cut_down = 0, 2, BIG // 3
    assert two.remote.pull(action) is not None
    assert way.cuts == 0 and two.files(action) == FILES
    assert list((tmp_path / "two" / "incoming").iterdir()) == []


def test_a_download_that_cannot_be_finished_is_finished_another_day(
    distant: tuple[Place, Way], tmp_path: Path, capfd: Text
) -> None:
    place, way = distant
    action = here(tmp_path / "one", place).seal("model", {"weights": FILES["weights"] * 4})
    here(tmp_path / "one", place).remote.push([action.digest])
    way.down, way.last = 0, 2 * BIG
    two = here(tmp_path / "two", place)
    assert two.remote.pull(action) is None and two.files(action) is None
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1 and "is not available" in said[0] and "continues without it" in said[0]
    [part] = (tmp_path / "two" / "incoming").iterdir()
    begun = part.stat().st_size
    assert begun > 0
    way.down, way.last = 0, None
    another_day = here(tmp_path / "two", place)
    assert another_day.remote.pull(action) is None  # a process of the same run leaves it alone
    for mark in tmp_path.glob("*.marks/remote.away"):
        os.utime(mark, (0, 0))  # some time later
    assert another_day.remote.pull(action) is not None
    assert way.down < 4 * BIG - begun + BIG // 2
    assert another_day.files(action) == {"weights": FILES["weights"] * 4}


def test_an_upload_that_is_cut_shows_nothing_and_is_finished_later(
    distant: tuple[Place, Way], tmp_path: Path, capfd: Text
) -> None:
    place, way = distant
    one = here(tmp_path / "one", place)
    action = one.seal("model", FILES)
    one.remote.queue_push(action.digest)
    way.cuts, way.cut_up = 1000, BIG // 2
    assert place.names() == []
    one.remote.push_queued(action.digest)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1 and "queued for the next run, or for tapeout push" in said[0]
    manifest = one.store.find(action.digest)
    assert manifest is not None
    assert object_key(largest(manifest)) not in place.names() and entry_key(action) not in place.names()
    assert one.owed() == [action.digest]
    way.cuts = 0
    later = here(tmp_path / "one", place)
    later.remote.forget_failures()
    later.remote.push_queued()
    assert later.owed() == []
    assert here(tmp_path / "two", place).remote.pull(action) is not None


def test_a_damaged_file_is_named_once_not_used_and_replaced(place: Place, tmp_path: Path, capfd: Text) -> None:
    one = here(tmp_path / "one", place)
    action = one.seal("model", FILES)
    one.remote.push([action.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    key = object_key(largest(manifest))
    place.put(key, place.get(key)[:-1] + b"\0")
    two = here(tmp_path / "two", place)
    assert two.remote.pull(action) is None
    assert two.files(action) is None and not two.store.object_path(largest(manifest)).exists()
    assert key in capfd.readouterr().err
    before = place.way.down if place.way else 0
    second = here(tmp_path / "two", place)
    assert second.remote.find([action]) == {}
    assert key in capfd.readouterr().err
    assert place.way is None or place.way.down - before < BIG // 2  # not fetched again
    assert second.seal("model", FILES).digest == action.digest
    [done] = second.remote.push([action.digest])
    assert (done.outcome, done.sent) == (Outcome.PUSHED, BIG)
    assert digest_bytes(place.get(key)) == largest(manifest).digest
    three = here(tmp_path / "three", place)
    assert three.remote.pull(action) is not None
    assert three.files(action) == FILES


def test_a_damaged_file_that_was_mended_is_used_again(file: Place, tmp_path: Path) -> None:
    one = here(tmp_path / "one", file)
    action = one.seal("model", FILES)
    one.remote.push([action.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    key = object_key(largest(manifest))
    right = file.get(key)
    file.put(key, right[:-5])
    assert here(tmp_path / "two", file, "read-only").remote.pull(action) is None
    file.put(key, right)
    assert here(tmp_path / "two", file, "read-only").remote.pull(action) is not None


def forged(action: Action, sound: Manifest, **changes: object) -> bytes:
    """An entry whose manifest was altered, with right digests all the same."""
    listed = sound.as_json()
    listed["files"][0] |= changes
    with contextlib.suppress(ValueError):  # of an absolute path there is no digest
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
def test_a_forged_manifest_is_refused(file: Place, tmp_path: Path, capfd: Text, changes: dict[str, object]) -> None:
    one = here(tmp_path / "one", file)
    action = one.seal("model", FILES)
    one.remote.push([action.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    file.put(entry_key(action), forged(action, manifest, **changes))
    refused(file, action, tmp_path, capfd)
    # who has the right one, and may write, puts it in place
    assert one.remote.push([action.digest])[0].outcome is Outcome.PUSHED
    assert here(tmp_path / "three", file).remote.pull(action) == manifest


def refused(place: Place, action: Action, tmp_path: Path, capfd: Text) -> None:
    two = here(tmp_path / "two", place)
    assert two.remote.pull(action) is None
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1 and entry_key(action) in said[0] and "not used" in said[0]
    assert two.store.find(action.digest) is None
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("what", ["garbage", "nothing", "nested", "flipped", "another's", "too large", "a list"])
def test_an_entry_that_is_none_is_refused(file: Place, tmp_path: Path, capfd: Text, what: str, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    one = here(tmp_path / "one", file)
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


def test_an_entry_without_content_is_refused(distant: tuple[Place, Way], tmp_path: Path, capfd: Text) -> None:
    place, _ = distant
    action = here(tmp_path / "one", place).seal("model", FILES)
    here(tmp_path / "one", place).remote.push([action.digest])
    place.put(entry_key(action), b"")
    refused(place, action, tmp_path, capfd)


def test_a_manifest_of_absurd_size_is_not_fetched(file: Place, tmp_path: Path, capfd: Text) -> None:
    one, two = here(tmp_path / "one", file), here(tmp_path / "two", file)
    action, other = one.seal("model", FILES), one.seal("notes", {"a": b"a\n"})
    one.remote.push([action.digest, other.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    file.put(entry_key(action), forged(action, manifest, size=10**30))
    assert two.remote.fetch(two.remote.find([action, other])) == {other.digest}
    assert "model: needs" in capfd.readouterr().err
    assert one.remote.push([action.digest])[0].outcome is Outcome.PUSHED


def test_another_result_of_the_same_action_stays(file: Place, tmp_path: Path, capfd: Text) -> None:
    one, two = here(tmp_path / "one", file), here(tmp_path / "two", file)
    action = one.seal("model", {"a": b"one"})
    assert two.seal("model", {"a": b"two"}).digest == action.digest
    one.remote.push([action.digest])
    assert [done.outcome for done in two.remote.push([action.digest])] == [Outcome.DIFFERS]
    assert "model: not pushed: different result there" in capfd.readouterr().err
    three = here(tmp_path / "three", file)
    three.remote.pull(action)
    assert three.files(action) == {"a": b"one"}


def test_what_is_damaged_here_is_not_pushed(file: Place, tmp_path: Path, capfd: Text) -> None:
    one = here(tmp_path / "one", file)
    action = one.seal("model", FILES)
    one.remote.queue_push(action.digest)
    manifest = one.store.find(action.digest)
    assert manifest is not None
    damaged = one.store.object_path(largest(manifest))
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(BIG))
    one.remote.push_queued()
    assert "model: not pushed: damaged here" in capfd.readouterr().err
    assert entry_key(action) not in file.names() and one.owed() == [action.digest]


def test_two_push_and_two_pull_the_same_at_once(place: Place, tmp_path: Path) -> None:
    pushers = [here(tmp_path / name, place) for name in ("one", "two")]
    actions = [pusher.seal("model", FILES) for pusher in pushers]
    done = []
    threads = [threading.Thread(target=lambda p=p: done.append(p.remote.push([actions[0].digest]))) for p in pushers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2 and {key.split("/")[0] for key in place.names()} == {"actions", "objects"}
    pullers = [here(tmp_path / "three", place) for _ in range(2)]  # two processes on one store
    threads = [threading.Thread(target=lambda p=p: p.remote.pull(actions[0])) for p in pullers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pullers[0].files(actions[0]) == FILES
    assert list((tmp_path / "three" / "incoming").iterdir()) == []


def test_the_beginning_of_another_file_is_thrown_away(file: Place, tmp_path: Path) -> None:
    one, two = here(tmp_path / "one", file), here(tmp_path / "two", file)
    action = one.seal("model", FILES)
    one.remote.push([action.digest])
    manifest = one.store.find(action.digest)
    assert manifest is not None
    write_atomically(tmp_path / "two" / "incoming" / largest(manifest).digest, b"wrong")
    assert two.remote.pull(action) is not None
    assert two.files(action) == FILES


def nowhere(url: str) -> Place:
    """A remote that nobody looks into."""
    return Place(url, list, lambda key: b"", lambda key, data: None)


def test_a_remote_that_does_not_answer_is_left_in_time(tmp_path: Path, capfd: Text, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("tapeout.graph.remote.transport.FIRST_RESPONSE_TIMEOUT", 1.0)
    monkeypatch.setenv("HOME", str(tmp_path))
    with listening() as silent:
        url = f"ssh://ann:sesame@127.0.0.1:{silent.getsockname()[1]}/far"
        one = here(tmp_path / "one", nowhere(url))
        action = one.seal("model", FILES)
        assert one.remote.find([action]) == {}
        said = capfd.readouterr().err.splitlines()
        assert len(said) == 1 and "no answer" in said[0]
        assert "sesame" not in said[0]
        another = here(tmp_path / "one", nowhere(url)).remote
        assert another.find([action]) == {}
        with pytest.raises(RemoteUnavailable):
            another.push([action.digest])
    assert capfd.readouterr().err == ""


def test_a_remote_that_does_not_exist_is_named(tmp_path: Path, capfd: Text, s3: Place) -> None:
    for url in (f"file://{tmp_path}/nowhere", str(tmp_path / "nowhere"), "s3://no-such-bucket/store"):
        one = here(tmp_path / "one", nowhere(url))
        one.remote.forget_failures()
        assert one.remote.find([Action({"artifact": "a"})]) == {}
        assert f"The remote {url} does not exist" in capfd.readouterr().err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("url", "words"), [("gopher://hole", "do not support the protocol gopher://"), ("ssh://[::1/far", "is not a URL")]
)
def test_an_address_that_is_none_is_named(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        here(tmp_path / "one", nowhere(url)).remote.find([Action({"artifact": "a"})])


def test_options_that_do_not_fit_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "ssh", {"colour": "blue"})
    with pytest.raises(RemoteError, match="colour") as raised:
        here(tmp_path / "one", nowhere("ssh://127.0.0.1/far")).remote.find([Action({"artifact": "a"})])
    assert "FSSPEC_SSH" in raised.value.fix


def test_a_mode_that_is_none_is_named(file: Place, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="TAPEOUT_REMOTE_MODE is 'rw'"):
        here(tmp_path / "one", file, "rw").remote.queue_push("0" * 64)


def test_a_host_whose_key_is_not_known_is_refused(ssh: Place, tmp_path: Path, capfd: Text) -> None:
    (tmp_path / "home" / ".ssh" / "known_hosts").unlink()
    one = here(tmp_path / "one", ssh)
    assert one.remote.find([Action({"artifact": "a"})]) == {}
    said = capfd.readouterr().err
    assert "is not in" in said and "known_hosts" in said and "sesame" not in said


def test_a_wrong_password_is_tried_once_and_not_shown(ssh: Place, tmp_path: Path, capfd: Text) -> None:
    ssh.url = ssh.url.replace("sesame", "mellon")
    one = here(tmp_path / "one", ssh)
    assert one.remote.find([Action({"artifact": "a"})]) == {}
    said = capfd.readouterr().err
    assert "Authentication" in said and "mellon" not in said


def test_who_may_only_read_pulls_and_cannot_push(
    s3: Place, moto: int, tmp_path: Path, capfd: Text, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    one = here(tmp_path / "one", s3)
    action, other = one.seal("model", FILES), one.seal("notes", {"a": b"a\n"})
    one.remote.push([action.digest])
    monkeypatch.setitem(fsspec.config.conf, "s3", {**fsspec.config.conf["s3"], **reader(moto)})
    with enforced(moto):
        reads = here(tmp_path / "two", s3)
        assert reads.remote.pull(action) is not None
        reads.seal("notes", {"a": b"a\n"})
        reads.remote.queue_push(other.digest)
        reads.remote.push_queued(other.digest)
        said = capfd.readouterr().err.splitlines()
        assert len(said) == 1 and "refuses the operation (PermissionError" in said[0] and "stays queued" in said[0]
        here(tmp_path / "two", s3).remote.push_queued(other.digest)
        assert capfd.readouterr().err == ""  # the next step of the same run does not try again
    assert reads.owed() == [other.digest] and entry_key(other) not in s3.names()
