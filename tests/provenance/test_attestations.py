"""Statements read with the packages in-toto-attestation and securesystemslib, without Tapeout."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf.json_format import Parse, ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from tapeout.graph.identity.digest import digest_file
from tapeout.provenance.document import Document
from tapeout.provenance.rocrate import metadata
from tapeout.provenance.slsa import FOLDER_DIGEST, of_actions, path_of
from tests.provenance.conftest import Keys, make_keys


def read(path: Path, public: Path) -> dict[str, Any]:
    """Return the statement in an envelope, after validating its signature and schema."""
    envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    envelope.verify([SSlibKey.from_crypto(load_pem_public_key(public.read_bytes()))], 1)
    assert envelope.payload_type == "application/vnd.in-toto+json"
    Statement.copy_from_pb(Parse(envelope.payload, Message())).validate()
    statement = json.loads(envelope.payload)
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    provenance = ParseDict(statement["predicate"], Provenance())  # refuses what SLSA does not know
    assert provenance.build_definition.build_type and provenance.run_details.builder.id
    return statement


def test_each_action_has_a_statement(signed: Path, document: Document, keys: Keys) -> None:
    for name, manifest in document.manifests.items():
        statement = read(signed / f"attestations/artifacts/{name}.dsse.json", keys.public)
        subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
        assert subjects == {"/".join(filter(None, (name, entry.path))): entry.digest for entry in manifest.entries}
        definition = statement["predicate"]["buildDefinition"]
        action = document.actions[manifest.action]
        assert definition["externalParameters"]["params"] == action["params"]
        needed = {item["name"]: item["digest"] for item in definition["resolvedDependencies"]}
        for path in action["code"]:
            assert needed[f"code/{path}"] == {"sha256": digest_file(signed / "code" / path)}
        lock = f"code/envs/{action['environment']['name']}.lock"
        assert needed[lock] == {"sha256": digest_file(signed / lock)}
    report = read(signed / "attestations/artifacts/report.txt.dsse.json", keys.public)
    needed = {
        item["uri"]: item["digest"] for item in report["predicate"]["buildDefinition"]["resolvedDependencies"][:3]
    }
    weights = next(entry for entry in document.manifests["model"].entries if entry.path == "weights.txt")
    assert needed["urn:tapeout:artifact:model#weights.txt"] == {"sha256": weights.digest}


def test_the_statement_about_the_export_names_every_file(signed: Path, keys: Keys) -> None:
    statement = read(signed / "attestations/export.dsse.json", keys.public)
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    files = {path.relative_to(signed).as_posix(): path for path in signed.rglob("*") if path.is_file()}
    del files["attestations/export.dsse.json"], files["SHA256SUMS"]
    assert subjects == {name: digest_file(path) for name, path in files.items()}


def test_only_the_digest_of_bytes_is_called_sha256(document: Document) -> None:
    for name, manifest in document.manifests.items():
        entries = tuple(replace(entry, executable=True) for entry in manifest.entries)
        document.manifests[name] = replace(manifest, entries=entries)
    report = of_actions(document)[path_of("report.txt")]
    [needed] = [
        item["digest"]
        for item in report["predicate"]["buildDefinition"]["resolvedDependencies"]
        if item.get("uri") == "urn:tapeout:artifact:model#weights.txt"
    ]
    assert list(needed) == [FOLDER_DIGEST]
    entities = json.loads(metadata(document, "2000-01-01", "0" * 64))["@graph"]
    [entity] = [entity for entity in entities if entity.get("name") == "report.txt"]
    assert entity["sha256"] == document.manifests["report.txt"].entries[0].digest


def test_another_key_does_not_verify(signed: Path, tmp_path: Path) -> None:
    with pytest.raises(VerificationError):
        read(signed / "attestations/export.dsse.json", make_keys(tmp_path / "other").public)
