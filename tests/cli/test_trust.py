"""``tapeout trust``: a policy of keys, from the first one to a store in which somebody else writes."""

import shutil
from pathlib import Path

from tapeout.graph.store.trust import FOREIGN, UNSIGNED
from tests.cli.conftest import as_json, call
from tests.graph.conftest import ALL, Project
from tests.keys import make_keys


def rebuilt(project: Project) -> list[str]:
    """Return what a run without results builds."""
    shutil.rmtree(project.path("results"))
    return project.run().built


def test_a_policy_from_its_first_key_on(built: Project, tmp_path: Path) -> None:
    before, own, other = built.digests(), make_keys(tmp_path / "own"), make_keys(tmp_path / "other")
    assert as_json(built, "trust", "list") == (0, {"keys": [], "signs": None, "signing_key": None})
    shutil.copy2(own.public, built.path("public.pem"))
    code, value = as_json(built, "trust", "add", "public.pem")
    assert code == 0 and len(value["keys"]) == 1 and value["signs"] is None
    code, text, errors = call(built, "status")
    assert code == 0 and f"3 entries of the store are not used: 3 {UNSIGNED}" in " ".join(errors.split())
    assert "6 untrusted" in text  # the inputs of three are not known without the others
    assert call(built, "trust", "sign")[0] == 3  # no private key yet
    shutil.copy2(own.private, built.path("key.pem"))
    code, value = as_json(built, "trust", "add", "key.pem")
    assert code == 0 and value["keys"] == [value["signs"]] and value["signing_key"].endswith("/key.pem")
    assert built.path("config/trust/signing").read_text() == f"{built.path('key.pem')}\n"
    code, value = as_json(built, "trust", "sign")
    assert code == 0 and sorted(row["artifact"] for row in value["artifacts"]) == ALL
    assert built.run().nothing_done and built.digests() == before
    assert rebuilt(built) == []
    # what somebody else has signed is not used
    mine = as_json(built, "trust", "list")[1]["signs"]
    both = as_json(built, "trust", "add", str(other.public))[1]["keys"]
    code, value = as_json(built, "trust", "remove", mine[:8])
    assert code == 0 and value["keys"] == [keyid for keyid in both if keyid != mine] and value["signs"] is None
    assert not built.path("config/trust/signing").exists()
    shutil.rmtree(built.path("work"))
    shutil.rmtree(built.path("results"))
    run = built.run("--dry-run")
    assert FOREIGN in run.text and run.built == []
    assert call(built, "trust", "remove", mine[:8])[0] == 3
    as_json(built, "trust", "remove", value["keys"][0])
    assert built.run().built == [] and built.digests() == before  # without a key every entry is used again


def test_what_is_built_with_a_key_is_signed(project: Project, tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "own")
    assert call(project, "trust", "add", str(keys.private))[0] == 0
    assert project.run().built == ALL
    assert len(list(project.path("store/signatures").glob("*/*.json"))) == len(ALL)
    shutil.rmtree(project.path("work"))
    assert rebuilt(project) == []
    keys.private.write_text("no key any more")
    project.edit("config.yaml", "lr: 1", "lr: 5")
    refused = project.run(ok=False)
    assert "InvalidKey" in refused.text and "Traceback" not in refused.text and refused.built == []
