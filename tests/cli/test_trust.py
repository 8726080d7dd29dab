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
    assert call(built, "runs", "save", "old")[0] == 0
    before, own, other = built.digests(), make_keys(tmp_path / "own"), make_keys(tmp_path / "other")
    assert as_json(built, "trust", "list") == (0, {"keys": [], "signs": None, "signing_key": None, "unreadable": []})
    shutil.copy2(own.public, built.path("public.pem"))
    code, value = as_json(built, "trust", "add", "public.pem")
    assert code == 0 and len(value["keys"]) == 1 and value["signs"] is None
    assert built.run().nothing_done  # this folder has built everything itself
    notes = built.path("work/built").read_bytes()
    built.path("work/built").unlink()
    code, text, errors = call(built, "status")
    assert code == 0 and f"3 entries of the store are not used: 3 {UNSIGNED}" in " ".join(errors.split())
    assert "6 untrusted" in text  # the inputs of three are not known without the others
    code, value = as_json(built, "verify")
    assert code == 1 and {row["problem"] for row in value["findings"]} == {"is signed by no trusted key"}
    assert {row["artifact"] for row in value["findings"]} == {*ALL, *(f"{name}@old" for name in ALL)}
    code, text, _ = call(built, "verify", "--repair", "model@old")
    assert code == 1 and "because no trusted key has signed them: model@old." in " ".join(text.split())
    assert call(built, "trust", "sign")[0] == 3  # no private key yet
    shutil.copy2(own.private, built.path("key.pem"))
    code, value = as_json(built, "trust", "add", "key.pem")
    assert code == 0 and value["keys"] == [value["signs"]] and value["signing_key"].endswith("/key.pem")
    assert built.path("config/trust/signing").read_text() == f"{built.path('key.pem')}\n"
    code, value = as_json(built, "trust", "sign")  # nothing that others may have built
    assert code == 1 and {row["outcome"] for row in value["artifacts"]} == {"not built here"}
    assert as_json(built, "trust", "sign", "model") == (0, {"artifacts": [{"artifact": "model", "outcome": "signed"}]})
    built.path("work/built").write_bytes(notes)
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


def test_a_project_with_a_public_key_only_builds_for_itself(project: Project, tmp_path: Path) -> None:
    assert call(project, "trust", "add", str(make_keys(tmp_path / "other").public))[0] == 0
    assert project.run().built == ALL and project.run().nothing_done
    shutil.rmtree(project.path("work"))
    assert rebuilt(project) == ALL and project.run().nothing_done


def test_a_broken_policy_is_repaired_with_the_commands(project: Project, tmp_path: Path) -> None:
    own, policy = make_keys(tmp_path / "own"), project.path("config/trust")
    assert call(project, "trust", "add", str(own.private))[0] == 0
    (mine,) = as_json(project, "trust", "list")[1]["keys"]
    (policy / "a.pem").write_text("no key")
    assert "Remove or replace config/trust/a.pem" in project.run(ok=False).text
    own.private.unlink()
    broken = {"keys": [mine], "signs": None, "signing_key": None}
    unreadable = ["config/trust/a.pem", "config/trust/signing"]
    assert as_json(project, "trust", "list") == (0, broken | {"unreadable": unreadable})
    for refused in ("", "nobody", "b.pem"):
        assert call(project, "trust", "remove", "a.pem", refused)[0] == 3 and (policy / "a.pem").exists()
    assert as_json(project, "trust", "remove", "a.pem") == (0, broken | {"unreadable": unreadable[1:]})
    text = " ".join(project.run(ok=False).text.split())
    assert "config/trust/signing names a key that is gone" in text and "tapeout trust remove signing" in text
    assert as_json(project, "trust", "remove", mine[:8]) == (0, broken | {"keys": [], "unreadable": []})
    assert list(policy.iterdir()) == []
    (policy / "signing").mkdir()
    assert call(project, "trust", "remove", "signing")[0] == 3
    again = make_keys(tmp_path / "again").private
    assert call(project, "trust", "add", str(again))[0] == 3 and not list(policy.glob("*.pem"))  # nothing half-written
    (policy / "signing").rmdir()
    (policy / "signing").write_text("/gone.pem")
    assert as_json(project, "trust", "remove", "signing")[1]["unreadable"] == []
