"""The RO-Crate under its public validator, which accepts the export and rejects a damaged one.

The validator reads the JSON-LD context of RO-Crate 1.1 from the network; here its HTTP cache has the terms that the
export uses, with the addresses of the published context.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import urllib3
from requests_cache import CachedSession
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings

ADDRESS = "https://w3id.org/ro/crate/1.1/context"
SCHEMA = (
    "about contentSize ComputerLanguage CreateAction CreativeWork Dataset datePublished description encodingFormat "
    "hasPart identifier instrument license mainEntity mentions name object programmingLanguage PropertyValue result "
    "softwareRequirements SoftwareSourceCode url value version"
)
TERMS = {
    **{term: f"http://schema.org/{term}" for term in SCHEMA.split()},
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "File": "http://schema.org/MediaObject",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
}


@pytest.fixture(scope="module")
def issues(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, Severity], list[str]]:
    """Return a function that validates a crate and returns the issues down to a severity."""
    cache = tmp_path_factory.mktemp("cache") / "http"
    answer = requests.Response()
    body = json.dumps({"@context": TERMS}).encode()
    answer.status_code, answer.url, answer._content = 200, ADDRESS, body
    answer.headers["Content-Type"] = "application/ld+json"
    answer.request = requests.Request("GET", ADDRESS).prepare()
    answer.raw = urllib3.HTTPResponse(io.BytesIO(body), dict(answer.headers), 200, request_url=ADDRESS)
    CachedSession(cache_name=str(cache), backend="sqlite").cache.save_response(answer)

    def validate(crate: Path, severity: Severity) -> list[str]:
        settings = ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier="workflow-run-crate-0.5",  # and all that it inherits, RO-Crate 1.1 among them
            requirement_severity=severity,
            offline=True,
            cache_path=cache,
        )
        return [f"{issue.check.identifier} {issue.message}" for issue in services.validate(settings).get_issues()]

    return validate


def test_the_validator_accepts_an_export(signed: Path, issues: Callable[[Path, Severity], list[str]]) -> None:
    assert issues(signed, Severity.REQUIRED) == []


def test_the_validator_rejects_a_damaged_export(copy: Path, issues: Callable[[Path, Severity], list[str]]) -> None:
    (copy / "code/rules/steps.smk").unlink()
    assert any("code/rules/steps.smk" in issue for issue in issues(copy, Severity.REQUIRED))
    path = copy / "ro-crate-metadata.json"
    crate = json.loads(path.read_bytes())
    entities = {entity["@id"]: entity for entity in crate["@graph"]}
    del entities["./"]["license"], entities["./"]["mainEntity"], entities["#run"]["instrument"]
    path.write_text(json.dumps(crate))
    found = " ".join(issues(copy, Severity.REQUIRED))
    assert "license" in found and "mainEntity" in found and "instrument" in found
