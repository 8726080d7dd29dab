"""Rule files with mistakes are named errors of every command that reads the workflow."""

import pytest

from tests.cli.conftest import call
from tests.graph.conftest import Project


@pytest.mark.parametrize(
    ("file", "addition", "words"),
    [
        ("rules/steps.smk", b"# \xe9\n", "InvalidRule: rules/steps.smk, line 80: byte 0xe9 is not UTF-8 text."),
        ("rules/steps.smk", b"len(5)\n", "NoProject: The workflow cannot be read: object of type 'int' has no len()"),
        ("Snakefile", b"x = (\n", "NoProject: The workflow cannot be read: ('EOF in multi-line statement'"),
        ("Snakefile", b"include: 'gone.smk'\n", "NoProject: The workflow cannot be read: [Errno 2] No such file"),
    ],
)
def test_a_mistake_in_a_rule_file_is_named(project: Project, file: str, addition: bytes, words: str) -> None:
    path = project.path(file)
    path.write_bytes(path.read_bytes() + addition)
    code, output, errors = call(project, "status")
    assert (code, output) == (3, "") and errors.startswith(words) and "fix: " in errors
    if b"\xe9" in addition:
        command = ["tapeout.cli.run_snakemake" if word == "snakemake" else word for word in project.command("-n")]
        project.command = lambda *_: command  # type: ignore[method-assign]
        assert words in project.run(ok=False).text
