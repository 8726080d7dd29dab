"""Policy of trusted keys: only entries that one of them has signed are used, from the store and from a remote."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tapeout.graph.errors import InvalidKey
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import canonical
from tapeout.graph.remote.push import Outcome
from tapeout.graph.remote.remote_store import Remote
from tapeout.graph.store.store import Store
from tapeout.graph.store.trust import FOREIGN, MISMATCH, UNSIGNED, Trust, merge
from tapeout.graph.workspace import State, Workspace
from tests.graph.folders import folder, make
from tests.graph.store.test_authority import forge_entry
from tests.keys import Keys, make_keys

Text = pytest.CaptureFixture[str]


@dataclass
class Site:
    """A store that two users share, each with a folder and a key."""

    root: Path
    keys: dict[str, Keys]

    def user(self, name: str, *trusted: str, signs: bool = True) -> Workspace:
        """Return the folder of a user who trusts some keys, as a new process sees it."""
        workspace = folder(self.root / name, self.root / "store")
        policy = self.root / name / "config/trust"
        policy.mkdir(parents=True, exist_ok=True)
        for old in policy.iterdir():
            old.unlink()
        for key in trusted:
            (policy / f"{key}.pem").write_bytes(self.keys[key].public.read_bytes())
        if signs:
            (policy / "signing").write_text(f"{self.keys[name].private}\n")
        return workspace


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, {name: make_keys(tmp_path / "keys" / name) for name in ("ann", "bob", "eve")})


def reason(workspace: Workspace, action: Action) -> str | None:
    """Return why an entry is not used, None if it is."""
    found, trust = workspace.store.find(action.digest), workspace.store.trust
    assert trust is not None and (found is None) == (action.digest in trust.ignored)
    return trust.ignored.get(action.digest)


def test_only_what_trusted_keys_have_signed_is_used(site: Site, capfd: Text) -> None:
    ann = site.user("ann", "ann")
    make(ann, "made", "right")
    action = ann.action("made")
    assert reason(site.user("bob", "bob", "ann"), action) is None
    assert reason(site.user("bob", "bob"), action) == FOREIGN
    assert reason(site.user("bob", signs=False), action) is None  # no policy
    bob = site.user("bob", "bob")
    assert bob.state(action) == (State.BUILD, None)
    bob.report_ignored()
    bob.report_ignored()
    [line] = capfd.readouterr().err.splitlines()
    assert line == f"! 1 entry of the store is not used: 1 {FOREIGN} (tapeout trust list)"
    assert make(bob, "made", "right") == site.user("ann", "ann").store.find(action.digest)  # both have signed it now
    assert reason(site.user("bob", "bob"), action) is None


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        ("unsigned", UNSIGNED),
        ("signed by eve", FOREIGN),
        ("signature of before", MISMATCH),
        ("signature of another action", MISMATCH),
        ("signature of eve as ann's", MISMATCH),
        ("no envelope", FOREIGN),
        ("folder", UNSIGNED),
        ("large", FOREIGN),
    ],
)
def test_forged_entry_is_refused(site: Site, attack: str, expected: str) -> None:
    ann = site.user("ann", "ann")
    make(ann, "other", "other")
    make(ann, "made", "right")
    action, path = ann.action("made"), ann.store.signature_path(ann.action("made").digest)
    before = path.read_bytes()
    forged = forge_entry(ann, action)
    eve = site.user("eve", "eve")
    path.unlink()
    eve.store.write_entry(action, forged)
    by_eve = path.read_bytes()
    path.unlink()
    by_eve_as_ann = json.loads(by_eve)
    by_eve_as_ann["signatures"][0]["keyid"] = json.loads(before)["signatures"][0]["keyid"]
    signature = {
        "signed by eve": by_eve,
        "signature of before": before,
        "signature of another action": ann.store.signature_path(ann.action("other").digest).read_bytes(),
        "signature of eve as ann's": canonical(by_eve_as_ann) + b"\n",
        "no envelope": b'{"payload": 3}',
        "large": before + b" " * (1 << 20),
    }.get(attack)
    if signature is not None:
        path.write_bytes(signature)
    elif attack == "folder":
        path.mkdir()
    assert reason(site.user("bob", "ann"), action) == expected
    assert site.user("bob", "ann").manifest("made") is None
    assert reason(site.user("bob", "ann", "eve"), action) == (None if attack == "signed by eve" else expected)


@pytest.mark.parametrize("damage", [lambda path: path.write_text("x"), Path.mkdir], ids=["text", "folder"])
def test_unreadable_policy_trusts_nobody(site: Site, damage: Callable[[Path], None]) -> None:
    ann = site.user("ann", "ann")
    make(ann, "made", "right")
    damage(site.root / "ann/config/trust/another.pem")
    with pytest.raises(InvalidKey):
        folder(site.root / "ann", site.root / "store").manifest("made")
    (site.root / "bob/config").mkdir(parents=True)
    bob = site.user("bob", "ann")
    damage(site.root / "bob/config/trust/signing.new")
    (site.root / "bob/config/trust/signing").unlink()
    (site.root / "bob/config/trust/signing.new").rename(site.root / "bob/config/trust/signing")
    with pytest.raises(InvalidKey):
        bob.check_trust()


@pytest.mark.parametrize("kind", ["dangling link", "link to itself", "file", "ann.PEM", "ann.pub", "keys/ann.pem"])
def test_a_policy_of_another_form_never_trusts_everybody(site: Site, kind: str) -> None:
    policy = site.root / "bob/config/trust"
    policy.parent.mkdir(parents=True)
    if "link" in kind:
        policy.symlink_to("nowhere" if kind.startswith("dangling") else "trust")
    elif kind == "file":
        policy.write_bytes(site.keys["ann"].public.read_bytes())
    else:
        (policy / kind).parent.mkdir(parents=True)
        (policy / kind).write_bytes(site.keys["ann"].public.read_bytes())
    with pytest.raises(InvalidKey, match=str(policy)):
        assert not Trust(policy, site.root / "built").keys


def test_files_beside_the_keys_are_no_policy(site: Site) -> None:
    bob = site.user("bob", "bob")
    assert bob.store.trust is not None
    for name in ("README.md", ".gitignore", ".new", f".signing.{'0' * 16}.tmp"):
        (bob.store.trust.policy / name).write_text("no key")
    assert len(bob.store.trust.keys) == 1


def test_signatures_change_no_artifact_and_are_deterministic(site: Site) -> None:
    manifest = make(site.user("ann", "ann"), "made", "right")
    path = site.user("ann").store.signature_path(manifest.action)
    first, entry = path.read_bytes(), site.user("ann").store.action_path(manifest.action).read_bytes()
    assert make(site.user("ann", "ann"), "made", "right") == manifest and path.read_bytes() == first
    assert make(site.user("bob", signs=False), "made", "right") == manifest  # without a policy
    assert site.user("ann").store.action_path(manifest.action).read_bytes() == entry


def test_signatures_travel_with_entries(site: Site) -> None:
    (site.root / "remote").mkdir()
    ann = site.user("ann", "ann")
    make(ann, "made", "right")
    action = ann.action("made")

    def remote(name: str, *trusted: str) -> Remote:
        policy = site.user(name, *trusted).store.trust
        assert policy is not None
        own = Trust(policy.policy, site.root / f"{name}.built")
        url = f"file://{site.root / 'remote'}"
        return Remote(Store(site.root / f"{name}.store", own), url, "read-write", site.root / f"{name}.marks")

    push = Remote(ann.store, f"file://{site.root / 'remote'}", "read-write", site.root / "ann.marks")
    assert [done.outcome for done in push.push([action.digest])] == [Outcome.PUSHED]
    assert remote("eve", "eve").find([action]) == {}
    bob = remote("bob", "ann")
    assert bob.pull(action) is not None and bob.store.read_signature(action.digest) is not None
    assert replace(bob.store, trust=site.user("eve", "eve").store.trust).find(action.digest) is None
    eve = remote("eve", "eve")
    forged = Workspace(eve.store, site.root / "eve/results", site.root / "eve/work")
    manifest = make(forged, "made", "right")
    assert [done.outcome for done in eve.push([manifest.action])] == [Outcome.PRESENT]
    assert remote("bob", "eve").find([action]) == {action.digest: manifest}  # now both have signed it


def test_what_no_trusted_key_has_signed_is_replaced_in_a_remote(site: Site, tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()

    def remote(store: Store, name: str) -> Remote:
        return Remote(store, f"file://{tmp_path / 'remote'}", "read-write", tmp_path / f"{name}.marks")

    ann = site.user("ann", "ann")
    right = make(ann, "made", "right")
    action = ann.action("made")
    eve = folder(tmp_path / "eve", tmp_path / "eve/store")
    eve.work.mkdir(parents=True)
    forged = forge_entry(eve, action)
    assert [done.outcome for done in remote(Store(eve.store.root), "eve").push([action.digest])] == [Outcome.PUSHED]
    reader = site.user("bob", "ann").store.trust
    assert remote(Store(tmp_path / "bob.store", reader), "bob").find([action]) == {}
    assert reader is not None and reader.ignored == {action.digest: UNSIGNED}
    assert [done.outcome for done in remote(ann.store, "ann").push([action.digest])] == [Outcome.PUSHED]
    reader = site.user("bob", "ann").store.trust
    assert remote(Store(tmp_path / "bob.store", reader), "bob").find([action]) == {action.digest: right} != forged


def test_merging_keeps_the_signatures_of_one_entry_only(site: Site) -> None:
    def sign(name: str, content: str) -> bytes:
        trust = site.user(name, name).store.trust
        return (trust and trust.sign("a" * 64, content)) or pytest.fail("no key")

    one, other = sign("ann", "b" * 64), sign("bob", "b" * 64)
    assert len(json.loads(merge(one, other))["signatures"]) == 2
    assert merge(merge(one, other), other) == merge(one, other)
    for foreign in (None, b"", b"x", sign("bob", "c" * 64)):
        assert merge(one, foreign) == one
