"""The nine measured faults of plain Snakemake, beside Tapeout: ``python -m benchmarks.nine_faults``."""

import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from benchmarks.experiments import EXPERIMENTS, Experiment, Observation
from benchmarks.sides import Plain, Side, Tapeout, copied, make
from benchmarks.tables import table, write

PAGE = Path(__file__).with_suffix(".md")
SIDES: dict[str, tuple[type[Side], tuple[str, ...]]] = {
    "plain, as installed": (Plain, ()),
    "plain, checksums of all files": (Plain, ("--max-checksum-file-size", "1TB", "--rerun-incomplete")),
    "plain, file times alone": (Plain, ("--rerun-triggers", "mtime", "--max-checksum-file-size", "0")),
    "Tapeout": (Tapeout, ()),
}


def observe(name: str, folder: Path) -> dict[str, Observation]:
    """Return the outcome of each experiment with one tool and its settings, by the experiment's number."""
    kind, settings = SIDES[name]
    built = make(kind, folder / "built", *settings)
    seen = {}
    for experiment in EXPERIMENTS:
        seen[experiment.number] = experiment.observe(copied(built, folder / experiment.number))
        print(f"{name}: {experiment.number} {experiment.verdict(seen[experiment.number])}", flush=True)
    return seen


def cell(experiment: Experiment, seen: Observation) -> str:
    """Return an outcome as a cell of the table."""
    parts = [f"**{experiment.verdict(seen)}**", f"ran: {', '.join(seen.ran) or 'nothing'}"]
    if seen.wrong:
        parts.append(f"wrong: {', '.join(seen.wrong)}")
    return "<br>".join(parts)


def main() -> None:
    """Run all experiments and write the page."""
    seen = {}
    for name in SIDES:
        with tempfile.TemporaryDirectory() as folder:
            seen[name] = observe(name, Path(folder))
    rows, messages = [], []
    for experiment in EXPERIMENTS:
        outcomes = {name: seen[name][experiment.number] for name in SIDES}
        cells = (cell(experiment, outcome) for outcome in outcomes.values())
        rows.append([experiment.number, experiment.change, experiment.right, *cells])
        messages += [
            f"- {experiment.number}, {name}: {outcome.message}" for name, outcome in outcomes.items() if outcome.message
        ]
    counts = {
        name: Counter(experiment.verdict(seen[name][experiment.number]) for experiment in EXPERIMENTS) for name in SIDES
    }
    paragraphs = [
        "# Nine faults of plain Snakemake, also tried in Tapeout",
        f"Snakemake {version('snakemake')}. The project of `tests/graph/project` (five rules, six results), with its "
        "rules written for plain Snakemake (`benchmarks/plain/Snakefile`) and for Tapeout; the programs are the same. "
        'Each experiment starts from a finished build, makes one change and runs again. A result is "wrong" if it '
        "differs from the output of the programs when they run one after the other in an empty folder. Written by "
        "`python -m benchmarks.nine_faults`; everything in it was observed.",
        table(["", "change", "required outcome", *SIDES], rows),
        table(
            ["", "right", "needless work", "not explained", "wrong result"],
            [
                [
                    name,
                    *(str(counts[name][kind]) for kind in ("right", "needless work", "not explained", "wrong result")),
                ]
                for name in SIDES
            ],
        ),
        "Messages to the user:\n\n" + "\n".join(messages),
        "The settings of plain Snakemake were chosen because they could help: `--max-checksum-file-size 1TB "
        "--rerun-incomplete`, and `--rerun-triggers mtime --max-checksum-file-size 0`. Listing every imported module "
        "by hand as an input of a rule would fix T4 as long as the list is complete. That Snakemake identifies a "
        "container by its address or tag alone was read in its source, not measured.",
    ]
    write(PAGE, paragraphs)


if __name__ == "__main__":
    main()
