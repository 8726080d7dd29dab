"""Whose exports run, and that nothing runs where it cannot be isolated."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.graph.errors import InvalidKey
from tapeout.graph.store.keys import read_public_key
from tapeout.provenance.errors import UntrustedExport
from tapeout.provenance.trusted import require_trust, trusted_key
from tests.graph.conftest import ROOT
from tests.provenance.conftest import Keys, make_keys

UNPERMITTED = """
from pathlib import Path
from tapeout.provenance.errors import NotIsolated
from tapeout.provenance.isolation import Isolation

Path("/proc/sys/user/max_user_namespaces").write_text("0")
try:
    Isolation(Path.cwd(), None, False, True).require()
except NotIsolated as error:
    print(error)
Isolation(Path.cwd(), None, True, False).require()
"""


def test_the_key_is_the_given_one_or_one_that_the_project_trusts(signed: Path, keys: Keys, tmp_path: Path) -> None:
    policy, key = tmp_path / "trust", read_public_key(keys.public)
    other = make_keys(tmp_path / "other").public
    stranger = read_public_key(other)
    assert trusted_key(signed, None, policy) is None
    policy.mkdir()
    shutil.copy(other, policy / "a.pem")
    assert trusted_key(signed, None, policy) is None
    assert trusted_key(signed, stranger, policy) == stranger
    shutil.copy(keys.public, policy / "b.pem")
    assert trusted_key(signed, None, policy) == key == trusted_key(signed, key, tmp_path)
    assert trusted_key(tmp_path, None, policy) is None, "no statements"
    (tmp_path / "attestations").mkdir()
    (tmp_path / "attestations/export.dsse.json").write_text("[" * 100_000)
    assert trusted_key(tmp_path, None, policy) is None
    (policy / "c.pem").write_text("no key")
    with pytest.raises(InvalidKey, match="c.pem"):
        trusted_key(signed, None, policy)


def test_only_what_is_verified_or_accepted_runs() -> None:
    for verified, unsigned in ((True, False), (False, True)):
        require_trust(verified, ("k" * 64,), unsigned)
    for signed_by, reason in (((), "It is not signed"), (("k" * 64,), f"It names the key {'k' * 16}, which is not")):
        with pytest.raises(UntrustedExport, match=reason) as raised:
            require_trust(False, signed_by, False)
        assert "--unsigned" in raised.value.fix


def test_a_system_without_namespaces_is_refused(tmp_path: Path) -> None:
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", UNPERMITTED]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NotIsolated: The code of the export cannot be isolated on this system: ")
    assert "--unisolated" in done.stdout
