"""The commands of the documentation, as its pages state them, in a copy of a project with finished results."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from tapeout.config.yaml_files import merge
from tests.docs.pages import ROOT
from tests.docs.table import FINISHED, Row, distinct
from tests.end_to_end import forked_steps
from tests.end_to_end.conftest import Clone, Run
from tests.sources.hub_server import Repository, serve_hub

pytestmark = pytest.mark.end_to_end

MY_SETS = {
    "my-chats": {
        "format": "prompt_response",
        "sources": ["my-chats"],
        "split": {"near_duplicates": 1, "counts": "exact"},
    }
}
MY_SOURCES = {"my-chats": {"kind": "file", "path": "tiny/more.jsonl", "licence": "own"}}
MINE = {"report": {"seed": 7}}
MY_DATA = {
    "sources": ["tiny/sources.yaml", "my_sources.yaml"],
    "instructions": {"sets": MY_SETS},
    "pretraining": {"shards": 2, "components": {"design": {"sources": ["alpha"], "weight": 1}}},
}


def add_the_documented_rule(project: Path) -> None:
    """Write the rule and the script that docs/extending.md shows."""
    rule, script = re.findall(r"```python\n(.*?)```", (ROOT / "docs/extending.md").read_text(), flags=re.DOTALL)[:2]
    (project / "rules/words.smk").write_text(rule)
    (project / "scripts/words.py").write_text(script)
    snakefile = project / "Snakefile"
    snakefile.write_text(f'{snakefile.read_text()}\n\ninclude: "rules/words.smk"\n')


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment of the commands: a bucket and a hub on this machine."""
    files = {"2023_all.trees.jsonl.gz": b"{}\n", "config.json": b"{}\n"}
    with ExitStack() as stack:
        hub = stack.enter_context(serve_hub())
        hub.repositories["datasets/OpenAssistant/oasst1"] = Repository(files)
        hub.repositories["models/nvidia/GPT-2B-001"] = hub.repositories["nvidia/GPT-2B-001"] = Repository(files)
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        moto.start()
        stack.callback(moto.stop)
        address = f"http://127.0.0.1:{moto.get_host_and_port()[1]}"
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="bucket")
        options = json.dumps({"endpoint_url": address, "key": "key", "secret": "secret"})
        home = tmp_path_factory.mktemp("home")
        yield {"FSSPEC_S3": options, "HF_ENDPOINT": hub.address, "HOME": str(home), "COLUMNS": "100"}


@pytest.fixture(scope="module")
def documented(finished: tuple[Clone, Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the finished project in which the small configuration is the default."""
    project = tmp_path_factory.mktemp("documented") / "project"
    shutil.copytree(finished[0].root, project, symlinks=True)
    forked_steps.use(project)
    default = project / "config/default.yaml"
    tiny = yaml.safe_load((project / "tiny/config.yaml").read_text())
    default.write_text(yaml.safe_dump(merge(yaml.safe_load(default.read_text()), tiny)))
    for name, content in {"my": MINE, "my_data": MY_DATA, "my_sources": MY_SOURCES}.items():
        (project / f"{name}.yaml").write_text(yaml.safe_dump(content))
    (project / "tiny/more.jsonl").write_bytes((project / "tiny/questions.jsonl").read_bytes())
    return project


@pytest.fixture(scope="module")
def shell(documented: Path) -> str:
    """Return the commands that put the workflow environment on PATH; one command of the table evaluates them itself."""
    return subprocess.run(["make", "-s", "shell"], cwd=documented, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("given", distinct(FINISHED), ids=lambda given: given.text)
def test_command_of_the_documentation(given: Row, documented: Path, variables: dict[str, str], shell: str) -> None:
    if given.text == "snakemake corpus/words.json":
        add_the_documented_rule(documented)
    environment = {**os.environ, **variables, "TAPEOUT_DOWNLOADS": str(documented / "downloads")}
    command = ["bash", "-c", given.command if "make -s" in given.text else f"{shell}\n{given.command}"]
    done = subprocess.run(command, cwd=documented, env=environment, capture_output=True, text=True, timeout=900)
    output = done.stdout + done.stderr
    assert done.returncode in given.statuses and "Traceback" not in output, output
