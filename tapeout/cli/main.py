"""What is there, why something runs, what it costs, and whether all is as it should be.

\b
Exit codes:
  0  as it should be
  1  something is to be done, or differs
  2  a mistake in the call
  3  a named error, with its cause and its fix
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tapeout.cli.cost import cost as show_cost
from tapeout.cli.diff import diff as show_diff
from tapeout.cli.gc import age
from tapeout.cli.gc import gc as collect_garbage
from tapeout.cli.pin import pin as pin_source
from tapeout.cli.project import NAMED_ERROR, load
from tapeout.cli.push import push as run_push
from tapeout.cli.rebuild import run as run_rebuild
from tapeout.cli.runs import run_name as name_run
from tapeout.cli.runs import runs as list_runs
from tapeout.cli.status import status as show_status
from tapeout.cli.top import top as show_top
from tapeout.cli.verify import run as run_verify
from tapeout.cli.why import why as explain
from tapeout.compare.levels import Level
from tapeout.config.comparison import read as read_bounds
from tapeout.errors import TapeoutError
from tapeout.graph.upkeep.gc import GcOptions
from tapeout.graph.workspace import Workspace
from tapeout.provenance.document import Format

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Config = Annotated[list[Path], typer.Option("--configfile", metavar="FILE", help="Laid over config/default.yaml.")]
Artifact = Annotated[str, typer.Argument(metavar="ARTIFACT", help="A name that tapeout status shows.")]


@app.command()
def status(as_json: AsJson = False, configfile: Config = []) -> None:  # noqa: B006
    """Show every artifact: its state, size, digest and age.

    \b
    current       as code and configuration ask for
    in the store  a run restores it; no job runs
    stale         made by older actions; a run builds, restores or keeps it
    damaged       not what its manifest says; a run brings it back
    missing       a run builds it

    Exit code 0.
    """
    raise typer.Exit(show_status(load(configfile), as_json))


@app.command()
def top(
    once: Annotated[bool, typer.Option("--once", help="Show one table and end; so it is without a terminal.")] = False,
    every: Annotated[float, typer.Option(min=0.2, metavar="SECONDS", help="Between two looks.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Watch the run of this folder.

    One row for each artifact that is planned and not there yet; ends when the run has ended.

    \b
    running    here, or as a job of Slurm that is named
    starting   its job has begun, its program has not yet
    not seen   ran when it last spoke; Slurm's controller does not answer
    failed     its job failed; what it said comes below
    ended      its process or job is gone and it has no result
    requeued   its job went back into the queue and goes on
    queued     its job waits, for Slurm's reason
    ready      its inputs are there; it waits for a core, or to be submitted
    waiting    for inputs that are still to be made
    to do      planned, and no run is under way

    Exit code 1 if the last run ended before everything was made, else 0.
    """
    raise typer.Exit(show_top(Workspace.here(), once, as_json, every))


@app.command()
def why(
    artifact: Artifact,
    against: Annotated[str, typer.Option(metavar="RUN", help="Compare with this named run.")] = "",
    as_json: AsJson = False,
    configfile: Config = [],  # noqa: B006
) -> None:
    """Say why an artifact is built again, or is not.

    Code, parameters, packages and inputs, as they were when ARTIFACT was made and as they are now, and where each
    change began.

    Exit code 0 if nothing differs, else 1.
    """
    raise typer.Exit(explain(load(configfile), artifact, against, as_json))


@app.command()
def cost(
    target: Annotated[str | None, typer.Argument(help="A rule or an artifact; none means the report.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Cores that the run would have; all if not given.")] = None,
    as_json: AsJson = False,
    configfile: Config = [],  # noqa: B006
) -> None:
    """Say what a run would do and cost.

    Jobs, cache hits, time, CPU and GPU hours, bytes.

    Exit code 0 if nothing would run, else 1.
    """
    raise typer.Exit(show_cost(load(configfile, target), as_json, cores))


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="sft/model, sft/model@RUN, ./path, a digest, or @RUN.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same kind of thing; results stands for a run.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="Differences shown of each kind.")] = 20,
    actions: Annotated[bool, typer.Option("--actions", help="What differs between the actions, too.")] = False,
    as_json: AsJson = False,
    configfile: Config = [],  # noqa: B006
) -> None:
    """Show what differs between two artifacts, actions or runs.

    Rows, tensors, pieces, numbers, lines; and where the difference began.

    Exit code 0 if they are the same, byte for byte, else 1.
    """
    raise typer.Exit(show_diff(old, new, limit, actions, configfile, as_json))


@app.command()
def verify(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARTIFACT", help="Names, or ARTIFACT@RUN; none means all, and the store."),
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte; else names, sizes, times.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Copy back or build again what is damaged.")] = False,
    as_json: AsJson = False,
    configfile: Config = [],  # noqa: B006
) -> None:
    """Check results, named runs and the store.

    Is everything what its manifest says? Damaged files of the store are put aside in store/quarantine.

    Exit code 0 if all is well or was mended, else 1.
    """
    raise typer.Exit(run_verify(artifacts or [], deep, repair, configfile, as_json))


@app.command("run-name")
def run_name(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, dots, dashes, underscores.")],
    pin: Annotated[bool, typer.Option("--pin", help="Let nobody remove it: see tapeout runs, gc.")] = False,
    as_json: AsJson = False,
    configfile: Config = [],  # noqa: B006
) -> None:
    """Keep the results under a name.

    They stay in runs/NAME, as links that take no space, and in the store; reach each as ARTIFACT@NAME. Stale or
    incomplete results may be named, too; they are listed.

    Exit code 0, or 1 if results are stale or missing.
    """
    raise typer.Exit(name_run(load(configfile), name, pin, as_json))


@app.command()
def runs(
    pin: Annotated[list[str], typer.Option(metavar="NAME", help="Let nobody remove this run.")] = [],  # noqa: B006
    unpin: Annotated[list[str], typer.Option(metavar="NAME", help="Let go of this run.")] = [],  # noqa: B006
    remove: Annotated[list[str], typer.Option(metavar="NAME", help="Remove this run.")] = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """List, pin and remove named runs.

    \b
    own      bytes that removing the run would let tapeout gc free
    report   digest of what no other artifact of the run reads
    results  whether results/ holds the same bytes

    Exit code 0.
    """
    raise typer.Exit(list_runs(Workspace.here(), pin, unpin, remove, as_json))


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be freed.")] = False,
    keep_runs: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Remove all named runs but pinned ones and the newest N."),
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(parser=age, metavar="AGE", help="Leave what is younger: 30d, 12h, 90m, 2w.")
    ] = None,
    forget: Annotated[
        list[Path], typer.Option(metavar="FOLDER", help="This folder is gone for good; keep nothing for it.")
    ] = [],  # noqa: B006
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Free damaged files that were put aside, too.")
    ] = False,
    environments: Annotated[
        bool, typer.Option("--environments", help="Free environments that no lock describes, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Free what nothing wants any more.

    Kept are the results and named runs of every folder that uses the store, and what running builds use. Runs may go
    on meanwhile. Removed are also scratch folders of this folder that no build goes on from.

    Exit code 0, or 1 if a dry run found something to free.
    """
    wishes = GcOptions(keep_runs, older_than or 0.0, tuple(forget), quarantine, environments)
    raise typer.Exit(collect_garbage(Workspace.here(), wishes, dry_run, as_json))


@app.command()
def rebuild(
    artifacts: Annotated[list[str] | None, typer.Argument(help="Names; none means all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare with the first copy; without it, only keep.")] = False,
    level: Annotated[Level, typer.Option(help="With --check, what must be the same.")] = Level.BYTES,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the second copy also if it is the same.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Do not cut the steps off the network.")] = False,
    as_json: AsJson = False,
    configfile: Config = [],  # noqa: B006
) -> None:
    """Build steps a second time, and compare.

    In an empty folder and offline; says how much is the same: bytes, values, metrics, or nothing.

    Exit code 0, or 1 if a step did not reach the level asked for.
    """
    bounds = read_bounds([Path("config/default.yaml"), *configfile])
    project = load(configfile)
    raise typer.Exit(run_rebuild(project, artifacts or [], level if check else None, bounds, keep, online, as_json))


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="A new folder, or a new archive NAME.tar.")],
    formats: Annotated[list[Format], typer.Option("--format", help="Any number of them.")] = [Format.JSON],  # noqa: B006
    artifact: Annotated[str | None, typer.Option(help="What to export; else the report.")] = None,
    run: Annotated[str | None, typer.Option(help="A named run, in place of results/.")] = None,
    key: Annotated[Path | None, typer.Option(help="Sign with this ed25519 key (PEM).")] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Statements without a signature.")] = False,
    with_artifacts: Annotated[bool, typer.Option("--with-artifacts", help="Take all files along.")] = False,
    also: Annotated[list[str], typer.Option(help="A file that only the code's text names.")] = [],  # noqa: B006
    date: Annotated[str | None, typer.Option(help="Date of an RO-Crate, YYYY-MM-DD.")] = None,
    as_json: AsJson = False,
    configfile: Config = [],  # noqa: B006
) -> None:
    """Pack a report with all that it was made from.

    To check it and to build it again elsewhere: tapeout reproduce.

    Exit code 0.
    """
    from tapeout.cli.export import export as run_export  # here, because what it signs with takes long to import
    from tapeout.cli.export import wishes

    wanted = wishes(artifact, run, formats, key, unsigned, with_artifacts, also, date)
    raise typer.Exit(run_export(load(configfile), wanted, out, as_json))


@app.command()
def reproduce(
    export: Annotated[Path, typer.Argument(help="The folder or archive of an export.")],
    public_key: Annotated[Path | None, typer.Option(help="The signer's ed25519 key (PEM).")] = None,
    folder: Annotated[Path | None, typer.Option(help="An empty one to build in; else EXPORT-reproduced.")] = None,
    environments: Annotated[
        Path | None, typer.Option(envvar="TAPEOUT_ENVIRONMENTS", help="Installed ones, a project's .envs.")
    ] = None,
    pip: Annotated[str, typer.Option(envvar="PIP_OPTIONS", help="More arguments for pip.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Check signature and bytes; run nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build an exported report again, and compare.

    Checks signature and bytes, then runs the code of the export on its sources.

    Exit code 1 if the verdict is that it differs, else 0.
    """
    from tapeout.cli.reproduce import reproduce as run_reproduce  # as above

    raise typer.Exit(run_reproduce(export, public_key, folder, environments, pip, check, as_json))


@app.command()
def push(
    addresses: Annotated[list[str] | None, typer.Argument(help="None means results/ and what is owed.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give artifacts to the remote.

    TAPEOUT_REMOTE names it; others restore them from there.

    Exit code 0 if the remote has everything now, else 1.
    """
    raise typer.Exit(run_push(addresses or [], as_json))


@app.command()
def pin(
    source: Annotated[str, typer.Argument(help="hf_model:OWNER/NAME or hf_dataset:OWNER/NAME")],
    file: Annotated[list[str], typer.Option(metavar="PATTERN", help="Files to take; else all.")] = [],  # noqa: B006
    revision: Annotated[str, typer.Option(help="Branch, tag or commit.")] = "main",
    name: Annotated[str | None, typer.Option(help="Name of the source; else the repository's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the record of a Hugging Face repository for a sources file.

    Asks the hub (HF_ENDPOINT, HF_TOKEN) which commit a branch is at, and takes its files' SHA-256.

    Exit code 0.
    """
    raise typer.Exit(pin_source(source, file, revision, name, as_json))


def main() -> None:
    """Run the command line; a named error is two sentences and exit code 3."""
    try:
        app(prog_name="tapeout")
    except TapeoutError as error:
        print(error, file=sys.stderr)
        raise SystemExit(NAMED_ERROR) from None
