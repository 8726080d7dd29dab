"""Exports of steps that ran in a container."""

import base64
import json
import os
from pathlib import Path

import pytest

from tapeout.provenance.checking import read_document
from tapeout.provenance.document import NAME
from tests.graph.conftest import make_project
from tests.graph.stand_ins import stand_ins
from tests.provenance.conftest import ALL_FORMATS, tapeout

DIGEST = "1" * 64
PINNED = f"registry.example.org/lab/nemo@sha256:{DIGEST}"


def test_an_export_names_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "project")
    project.edit("config.yaml", "image: null", f'image: "{PINNED.replace("@", ":25.07@")}"')
    project.edit("config.yaml", "launch: {}", "launch: {runtime: apptainer}")
    runtimes = stand_ins(tmp_path / "bin", project.root / project.environment("heavy").folder / "bin" / "python")
    monkeypatch.setenv("PATH", f"{runtimes.folder}:{os.environ['PATH']}")
    project.run()
    export = tmp_path / "export"
    tapeout(project.root, "export", export, "--also", "src", *ALL_FORMATS, "--unsigned")
    document = read_document(export / NAME)
    assert [(image.image, image.digest) for image in document.images] == [(PINNED, DIGEST)]
    assert [locked.name for locked in document.environments] == ["light"]
    assert document.step("model").environment == {"name": "container", "digest": DIGEST, "python": "python3"}
    envelope = json.loads((export / "attestations" / "artifacts" / "model.dsse.json").read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    needed = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    address = f"pkg:oci/nemo@sha256%3A{DIGEST}?repository_url=registry.example.org/lab/nemo"
    assert {"name": PINNED.partition("@")[0], "uri": address, "digest": {"sha256": DIGEST}} in needed
    crate = {entity["@id"]: entity for entity in json.loads((export / "ro-crate-metadata.json").read_bytes())["@graph"]}
    assert crate[f"#image/{DIGEST}"]["name"] == PINNED
    assert crate["code/scripts/model.py"]["softwareRequirements"] == {"@id": f"#image/{DIGEST}"}
    refused = tapeout(tmp_path, "reproduce", export, "--unsigned", "--folder", "again", expect=3)
    assert f"ReproductionFailed: Steps of this export run in the container {PINNED}." in refused.stderr
    assert not (tmp_path / "again").exists()
