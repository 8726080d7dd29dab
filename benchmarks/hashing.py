"""Measure how fast artifacts are hashed, compared with ``openssl speed``: ``python -m benchmarks.hashing``.

Each round measures OpenSSL and Tapeout one after the other, so that both meet the same load of the machine; the best
of each counts. The files lie in the page cache: what is measured is hashing, not the disk.
"""

import argparse
import os
import platform
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tables import table, write
from tapeout.graph.identity.digest import digest_files

TARGET = 0.8
"""Fraction of OpenSSL's speed that large files must reach."""
ONE, ALL = "`openssl speed`, one process", "`openssl speed`, all cores"
REPEATS = 5
"""Measurements of each case per round; a short case is measured often, so that one of them meets an idle machine."""
PAGE = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Case:
    """A set of files; ``cores`` is how many of the machine's cores can work on them."""

    name: str
    files: int
    megabytes: float
    cores: int
    large: bool


def openssl(processes: int) -> float:
    """Return the bytes per second that ``openssl speed`` reports for SHA-256 in 1 MiB blocks, over all processes."""
    speed = ["openssl", "speed", "-evp", "sha256", "-bytes", "1048576", "-seconds", "3", "-mr"]
    command = [*speed, *(["-multi", str(processes)] if processes > 1 else [])]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(next(line for line in reversed(output.splitlines()) if line.startswith("+F")).rpartition(":")[2])


def make(case: Case, folder: Path) -> list[Path]:
    """Write the files of a case, which puts them into the page cache, and return them."""
    folder.mkdir()
    files = [folder / f"{number}.bin" for number in range(case.files)]
    for file in files:
        file.write_bytes(os.urandom(int(case.megabytes * 2**20)))
    return files


def speed(files: list[Path]) -> tuple[float, float]:
    """Return bytes hashed per second, and per second of processor time."""
    size = sum(file.stat().st_size for file in files)
    begun, worked = time.perf_counter(), time.process_time()
    digest_files(files)
    return size / (time.perf_counter() - begun), size / (time.process_time() - worked)


def measure(cases: list[Case], rounds: int, cores: int) -> dict[str, tuple[float, float]]:
    """Return the best speeds of each case, and of OpenSSL on one core and on all (one figure each)."""
    best: dict[str, tuple[float, float]] = {}

    def note(name: str, speeds: tuple[float, float]) -> None:
        before = best.get(name, (0.0, 0.0))
        best[name] = (max(speeds[0], before[0]), max(speeds[1], before[1]))

    with tempfile.TemporaryDirectory() as folder:
        files = {case.name: make(case, Path(folder, str(number))) for number, case in enumerate(cases)}
        for _ in range(rounds):
            note(ONE, (openssl(1), 0))
            note(ALL, (openssl(cores), 0))
            for name in [name for name in files for _ in range(REPEATS)]:
                note(name, speed(files[name]))
    return best


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hashing", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    cores = os.cpu_count() or 1
    cases = [
        Case("one file of 256 MiB", 1, 256, 1, True),
        Case(f"{4 * cores} files of 64 MiB", 4 * cores, 64, cores, True),
        Case("256 files of 1 MiB", 256, 1, cores, False),
        Case("4,096 files of 16 KiB", 4096, 1 / 64, cores, False),
    ]
    best = measure(cases, rounds, cores)
    promised = best[ONE][0]
    fractions = {case.name: best[case.name][0] / (promised * case.cores) for case in cases}
    met = all(fractions[case.name] >= TARGET for case in cases if case.large)
    rows = [[ONE, "1", f"{promised / 1e9:.2f}", "", ""]]
    rows.append([ALL, f"{cores}", f"{best[ALL][0] / 1e9:.2f}", f"{best[ALL][0] / (promised * cores):.0%}", ""])
    for case in cases:
        wall, worked = best[case.name]
        fraction = f"{fractions[case.name]:.0%}"
        rows.append([case.name, f"{case.cores}", f"{wall / 1e9:.2f}", fraction, f"{worked / promised:.0%}"])
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    paragraphs = [
        "# Hashing",
        "Bytes per second that `tapeout.graph.identity.digest.digest_files` hashes, compared with what "
        "`openssl speed -evp sha256 -bytes 1048576` reports for one core, times the usable cores. Written by "
        "`python -m benchmarks.hashing`.",
        f"{cores} cores ({platform.machine()}), OpenSSL {version}; files in the page cache; the best of {rounds} "
        "rounds that measure both one after the other. The last column counts processor time instead of elapsed time; "
        "it includes opening and reading the files and hardly depends on other load.",
        table(["files", "cores", "GB/s", "of one core × cores", "per processor second, of one core"], rows),
        f"Target for large files, {TARGET:.0%}: {'met' if met else 'NOT met'}. SHA-256 is sequential: one file is "
        "hashed on one core; a folder's files are distributed over all cores, the largest first. Files of a few "
        "kilobytes take longer to open than to hash.",
        "`tests/graph/store/test_seal_reads_once.py` checks that sealing an artifact reads each byte once.",
    ]
    write(PAGE, paragraphs)


if __name__ == "__main__":
    main()
