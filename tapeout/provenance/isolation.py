"""Isolation of the code of an export: the Snakefile, the programs and the packages are the code of others.

It sees the folder of the build, which it may write, the environments, the interpreter and the folders of the operating
system; a home folder and a folder for temporary files that are empty; no variable of the caller, and no network
(``graph.launch.sandbox``). Its steps are isolated from each other once more.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tapeout.config.secrets import has_secret
from tapeout.graph.identity.environment import interpreter_paths
from tapeout.graph.launch import sandbox
from tapeout.graph.launch.node_agent import HOME
from tapeout.provenance.errors import NotIsolated

CODE = Path(__file__).parents[2]
"""The project with the code that this process runs."""
TRUSTED = f"{sandbox.ROOT}/trusted"
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
"""Variables that a program with network gets, in any case of letters, unless they contain a password."""


@dataclass(frozen=True)
class Isolation:
    """Limits for the code of an export.

    Attributes:
        folder: folder of the build, absolute.
        environments: folder of installed environments; None if they are in ``folder``.
        network: true if the caller lets it use the network.
        isolated: false if the caller accepts that it can read and write whatever this user can.
    """

    folder: Path
    environments: Path | None
    network: bool
    isolated: bool

    def require(self) -> None:
        """Check that this system permits the isolation.

        Raises:
            NotIsolated: it does not.
        """
        if not self.isolated:
            return
        with self.started(["/bin/sh", "-c", ":"]) as process:
            first = process.stdout.readline() if process.stdout is not None else ""
        if not first.startswith(f"{sandbox.MARK}mount namespace"):
            reason = first.partition("(")[2].rpartition(")")[0] or "the sandbox failed"
            raise NotIsolated(
                f"The code of the export cannot be isolated on this system: {reason}.",
                "Run it in a virtual machine or an account without secrets, and give --unisolated there.",
            )

    @property
    def sentence(self) -> str:
        """Isolation of the build, as messages state it."""
        if not self.isolated:
            return "NOT ISOLATED: its code can read and write whatever you can, and use the network"
        reach = "with the network" if self.network else "without network"
        return f"isolated: only its folder, environments and system folders, {reach}"

    @contextmanager
    def started(
        self, command: list[str], network: bool = False, variables: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command in the folder of the build; its output and errors are one stream.

        Args:
            command: the command; ``TRUSTED`` in it is the folder with the code of this process.
            network: true if it needs the network, whatever the caller permits.
            variables: further environment variables.
        """
        network = network or self.network
        with tempfile.TemporaryDirectory(prefix="tapeout-") as scratch:
            for name in ("tmp", HOME):
                Path(scratch, name).mkdir()
            own = self._variables(network) | dict(variables or {})
            if self.isolated:
                written = self._specification(network, own).write(Path(scratch, "sandbox.json"))
                start = [sys.executable, "-I", "-S", sandbox.__file__, *written, "--", "/usr/bin/env", "-C"]
                command = [*start, str(self.folder), *command]
                own = {"TMPDIR": scratch, "PATH": sandbox.PATH}
            else:
                own |= {"HOME": f"{scratch}/{HOME}", "TMPDIR": f"{scratch}/tmp"}
                own = {name: value.replace(TRUSTED, str(CODE)) for name, value in own.items()}
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # it must not type into the terminal of the caller
            )
            try:
                yield process
                process.wait()
            finally:
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()

    def _variables(self, network: bool) -> dict[str, str]:
        proxies = {name: value for name, value in os.environ.items() if network and name.lower() in PROXIES}
        return {name: value for name, value in proxies.items() if not has_secret(value)} | {
            "PATH": f"{Path(sys.executable).parent}:{sandbox.PATH}",
            "HOME": f"{sandbox.ROOT}/{HOME}",
            "TMPDIR": "/tmp",
            "LANG": "C.UTF-8",
            "TAPEOUT_DOWNLOADS": str(downloads(self.folder)),
        }

    def _specification(self, network: bool, variables: dict[str, str]) -> sandbox.Specification:
        binds = [(str(self.folder), str(self.folder)), (str(CODE / "tapeout"), f"{TRUSTED}/tapeout")]
        pythons = [Path(sys.executable)]
        if self.environments is not None:
            source = str(self.environments.resolve())
            binds += [(source, target) for target in sorted({source, str(self.environments.absolute())})]
            pythons += self.environments.glob("*/bin/python")
        interpreters = {sys.prefix, *interpreter_paths(Path(sys.executable), Path(sys.base_prefix))}
        interpreters |= {path for python in pythons for path in interpreter_paths(python)}
        return sandbox.Specification(
            binds=binds,
            writable=[str(self.folder)],
            network=network,
            variables=variables,
            inherited=[],
            interpreter=sorted(interpreters),
            required=True,
        )


def downloads(folder: Path) -> Path:
    """Return the folder of the fetched sources of a build."""
    return folder / ".downloads"
