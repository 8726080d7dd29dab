"""Environments: locks with hashes, their digests, and the virtual environments that are installed from them.

What an installation consists of, and whether it is still that, is the subject of ``identity.installation``.

Uses only the standard library, because it also installs the environment that everything else runs in:
``python3.11 -m tapeout.graph.identity.environment workflow nemo`` on a fresh machine.
"""

import argparse
import contextlib
import fcntl
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tapeout.errors import TapeoutError
from tapeout.graph.errors import EnvironmentChanged, InvalidEnvironment
from tapeout.graph.identity import installation
from tapeout.graph.identity.digest import digest_value
from tapeout.graph.identity.installation import Difference, Mark
from tapeout.graph.paths import check_project
from tapeout.streams import standard_streams, write_error

FOLDER = Path(".envs")
LOCKS = Path("envs")
PYTHON = "3.11"
SHARED_LIBRARY = re.compile(r"lib[^/]+\.so(\.\d+)*")
REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Environment:
    """Set of packages that a step runs with.

    The digest covers name, version and permitted file hashes of every package, the interpreter and the platform, but
    not comments or the order of lines in the lock.

    Attributes:
        name: name of the lock.
        packages: versions of the packages.
        digest: see above.
        interpreter: version, build and compiler of the Python that installs and uses it.
    """

    name: str
    packages: dict[str, str]
    digest: str
    interpreter: str

    @property
    def folder(self) -> Path:
        """Folder of the virtual environment, named by the digest."""
        return FOLDER / f"{self.name}-{self.digest[:16]}"

    @property
    def python(self) -> Path:
        """Absolute path of the interpreter; resolving its links would leave the virtual environment."""
        return (self.folder / "bin" / "python").absolute()

    @property
    def interpreter_paths(self) -> list[str]:
        """Files, folders and links of the Python that the environment was made from, without what lies beside it."""
        settings = (self.folder / "pyvenv.cfg").read_text("utf-8", "replace")
        home = re.search(r"^home *= *(.+)$", settings, re.MULTILINE)
        return interpreter_paths(self.python, *([Path(home[1]).parent] if home else []))

    @property
    def complete(self) -> bool:
        """True if the installation finished; its last action is to write the mark."""
        return self.is_complete_in(FOLDER)

    def is_complete_in(self, parent: Path) -> bool:
        """Return whether a folder of environments has it, with all files."""
        mark = Mark.read(parent / self.folder.name)
        return mark is not None and mark.environment == self.digest

    def require(self) -> None:
        """Check that the environment is installed, and that no file was added, removed or replaced since.

        Raises:
            InvalidEnvironment: it is not, or not completely.
            EnvironmentChanged: a file was.
        """
        if (error := missing([self])) is not None:
            raise error
        if not installation.unchanged(self.folder):
            self.check_files()

    def check_files(self) -> None:
        """Compare size, time and links of all files with those of the installation.

        Raises:
            EnvironmentChanged: they differ.
        """
        if found := installation.differences(self.folder):
            raise changed(self.name, self.folder, found)


def interpreter_paths(python: Path, *prefixes: Path) -> list[str]:
    """Return the files, folders and links that a Python needs of its installation, at most those that exist.

    Args:
        python: the interpreter, or a link to it.
        prefixes: folders of the installation by other names, for example through links.
    """
    real = python.resolve()
    paths = {real}
    for prefix in {real.parents[1], *prefixes}:
        paths |= {prefix / "bin" / name for name in ("python", "python3", f"python{PYTHON}")}
        library = prefix / "lib"
        if prefix != Path("/usr"):  # which every program sees
            paths |= {library / f"python{PYTHON}", library / f"python{PYTHON.replace('.', '')}.zip"}
            paths.add(prefix / "include" / f"python{PYTHON}")  # for compilers, such as that of torch.compile
            paths |= {path for path in library.glob("lib*.so*") if SHARED_LIBRARY.fullmatch(path.name)}
    return sorted(str(path) for path in paths if os.path.lexists(path))


def missing(environments: Iterable[Environment]) -> InvalidEnvironment | None:
    """Return an error that names all environments that are not installed; None if all are."""
    names = sorted({environment.name for environment in environments if not environment.complete})
    if not names:
        return None
    subject = f"environments {', '.join(names)} are" if len(names) > 1 else f"environment {names[0]} is"
    add = f"'{' '.join(names)}'" if len(names) > 1 else names[0]
    return InvalidEnvironment(f"The {subject} not installed.", f"Run: make environments ADD={add}")


def changed(name: str, folder: Path, found: list[Difference]) -> EnvironmentChanged:
    """Return the error for an installation of which some files are not as they were installed."""
    others = f"; files that differ: {len(found)}" if len(found) > 1 else ""
    path = str(folder / found[0].path)
    outside = "" if Path(path).is_relative_to(folder) else "Install this Python again, or name another (PYTHON=...). "
    return EnvironmentChanged(
        f"The environment {name} is not as it was installed: {path if path.isprintable() else repr(path)} "
        f"{found[0].problem}{others}.",
        f"{outside}Run: make environments ADD={name}",
    )


def read_environment(name: str, root: Path = Path(), interpreter: str = "") -> Environment:
    """Read ``envs/<name>.lock``.

    Args:
        name: name of the lock.
        root: folder of the project.
        interpreter: see ``Environment``; by default that of this process, from which environments are created.

    Raises:
        InvalidEnvironment: the file is missing or a requirement has no version or no hash.
    """
    path = root / LOCKS / f"{name}.lock"
    if not path.is_file():
        raise InvalidEnvironment(f"There is no lock {path}.", "Run: make lock")
    packages: dict[str, str] = {}
    hashes: dict[str, list[str]] = {}
    for line in path.read_text("utf-8", "replace").replace("\\\n", " ").splitlines():
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        requirement, digests = REQUIREMENT.match(text), HASH.findall(text)
        package = requirement[1].lower().replace("_", "-") if requirement else ""
        if requirement is None or not digests or ";" in text or package in packages:
            raise InvalidEnvironment(
                f"{path} has a line that is not one package, its version and hashes: {text[:60]!r}.", "Run: make lock"
            )
        packages[package], hashes[package] = requirement[2], sorted(digests)
    identity = {
        "packages": {package: [packages[package], hashes[package]] for package in packages},
        "python": PYTHON,
        "machine": f"{sys.platform}-{platform.machine()}",
    }
    interpreter = interpreter or " ".join(sys.version.split())
    digest = digest_value({**identity, "interpreter": interpreter})
    return Environment(name, dict(sorted(packages.items())), digest, interpreter)


def find_installed(name: str, root: Path = Path(), parent: Path = FOLDER) -> Environment:
    """Return an environment as it is installed, with this interpreter or else with any: the one that runs may differ.

    Args:
        name: name of the lock.
        root: folder of the project.
        parent: folder of the installed environments.

    Raises:
        InvalidEnvironment: see ``read_environment``.
    """
    own = read_environment(name, root)
    folders = sorted(parent.glob(f"{name}-*")) if not own.is_complete_in(parent) else []
    marks = [mark for mark in map(Mark.read, folders) if mark is not None]
    others = [read_environment(name, root, mark.interpreter) for mark in marks]
    return next((other for other in others if other.is_complete_in(parent)), own)


def install(environment: Environment, pip_arguments: list[str], check: bool = False) -> None:
    """Create the virtual environment, completely or not at all; one process at a time.

    Args:
        environment: the environment.
        pip_arguments: additional arguments for pip.
        check: compare an installed environment with its listing, and install it again if it differs.

    Raises:
        InvalidEnvironment: pip or venv failed.
    """
    FOLDER.mkdir(exist_ok=True)
    with open(FOLDER / f".{environment.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if environment.complete:
            found = installation.differences(environment.folder) if check else []
            if not found:
                return
            write_error(changed(environment.name, environment.folder, found).cause)
        packages = len(environment.packages)
        write_error(f"installing {environment.name}: {packages} packages into {environment.folder}")
        with contextlib.suppress(OSError):
            (environment.folder / installation.MARK).unlink()  # first: this may be interrupted
        shutil.rmtree(environment.folder, ignore_errors=True)
        python = environment.folder / "bin" / "python"
        locked = str(LOCKS / f"{environment.name}.lock")
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-deps"]
        for command in (
            [sys.executable, "-m", "venv", str(environment.folder)],
            [*pip, "--require-hashes", "--requirement", locked, *pip_arguments],
        ):
            if subprocess.run(command, check=False).returncode:
                raise InvalidEnvironment(
                    f"Installing the environment {environment.name} failed at: {' '.join(command[:6])} ...",
                    "Read pip's message above. If it cannot find torch: the CPU build comes from PyTorch's own CPU "
                    "index, make PIP_OPTIONS='--extra-index-url ADDRESS' (docs/environments.md).",
                )
        _remove_host_paths(environment.folder)
        installation.complete(environment.folder, environment.digest, environment.interpreter)
        for old in FOLDER.iterdir():
            own = re.fullmatch(rf"{re.escape(environment.name)}-[0-9a-f]{{16}}", old.name)
            if own and old != environment.folder and not (old / installation.MARK).exists():
                shutil.rmtree(old, ignore_errors=True)


def _remove_host_paths(folder: Path) -> None:
    """Remove what contains the project's path, which programs could read, and no program of a step needs."""
    settings = folder / "pyvenv.cfg"
    lines = settings.read_text("utf-8").splitlines(keepends=True)
    settings.write_text("".join(line for line in lines if line.partition("=")[0].strip() != "command"), "utf-8")
    for script in (folder / "bin").glob("[Aa]ctivate*"):
        script.unlink()


def _interrupt(number: int, _: object) -> None:
    """End this process and pip with it; an environment without its mark is installed again."""
    print("Interrupted. Resume by running the same command.", file=sys.stderr)
    raise SystemExit(128 + number)


def main() -> None:
    """Install the named environments unless they are installed."""
    parser = argparse.ArgumentParser(prog="python -m tapeout.graph.identity.environment", description=main.__doc__)
    parser.add_argument("names", nargs="+", help="names of lock files in envs/")
    parser.add_argument("--pip", default="", help="additional arguments for pip, e.g. '--extra-index-url URL'")
    parser.add_argument("--check", action="store_true", help="install environments again whose files have changed")
    parser.add_argument(
        "--print-folder", action="store_true", help="print the folders of the environments; install nothing"
    )
    parser.add_argument(
        "--print-path", action="store_true", help="print a shell command that puts bin/ and their programs on PATH"
    )
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        if f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON:
            raise InvalidEnvironment(
                f"This is Python {platform.python_version()}.", f"Use Python {PYTHON}: make PYTHON=..."
            )
        with standard_streams():
            for name in arguments.names:
                if arguments.print_folder:
                    print(find_installed(name).folder)
                    continue
                environment = read_environment(name)
                check_project(os.environ)
                install(environment, arguments.pip.split(), arguments.check)
                if arguments.print_path:
                    folders = [Path("bin").absolute(), (environment.folder / "bin").absolute()]
                    print(f'export PATH={":".join(shlex.quote(str(folder)) for folder in folders)}:"$PATH"')
    except TapeoutError as error:
        write_error(error)
        raise SystemExit(1) from None


if __name__ == "__main__":
    os.umask(0o022)
    main()
