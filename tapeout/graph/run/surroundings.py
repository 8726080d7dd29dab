"""Everything that the program of a step can see: its files at fixed paths, its options and its variables.

A program runs in its own folder from a tree of its digested code. It sees its environment, its inputs under the names
of their artifacts, and its scratch folder; ``launch.sandbox`` hides everything else. A step that *fetches* is the
exception: it reads the user's files and the network with the user's credentials, because a digest in the configuration
pins what it writes. Only its code, home and settings are as isolated as those of the others.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.identity.action import ORDERING_PREFIX, Recipe, Reference
from tapeout.graph.identity.constants import CONSTANTS
from tapeout.graph.identity.environment import Environment
from tapeout.graph.launch.node_agent import HOME, USER
from tapeout.graph.launch.sandbox import PATH, ROOT, Specification

SETTINGS = ("CUDA_VISIBLE_DEVICES", "TAPEOUT_CHECKPOINT_SECONDS", "TAPEOUT_DATA_WORKERS")
"""Variables of the user that every program gets. They say where and how fast it computes, not what."""
CLUSTER_PREFIXES = (
    *("SLURM_", "NCCL_SOCKET_", "NCCL_IB_", "NCCL_NET", "NCCL_DEBUG", "GLOO_SOCKET_"),
    *("SLURMD_NODENAME", "TAPEOUT_NODES", "TAPEOUT_RENDEZVOUS"),
)
"""Prefixes of variables that programs on several nodes get: where they run, and how they find each other."""
FETCHING = (
    *("PATH", "TAPEOUT_DOWNLOADS", "HF_TOKEN", "HF_ENDPOINT", "NETRC", "PIP_INDEX_URL"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
"""Variables that steps that fetch get in addition."""
RESULTS, HERE, LINKED_OUTPUT, LINKED_CONTROL = "results", "here", "output", "control"
STATE, STOP = "state", "stop"
GIVEN = ("params.json", "action.json")
"""Files of the scratch folder that describe the step to its program."""


@dataclass(frozen=True)
class Places:
    """Paths of a program's code, scratch folder, requests to stop, temporary folder and metrics, in its own view."""

    code: str
    scratch: str
    control: str
    temporary: str
    metrics: str


FIXED = Places(f"{ROOT}/code", f"{ROOT}/step", f"{ROOT}/step", "/tmp", f"{ROOT}/metrics.jsonl")
"""Places of an isolated program."""


@dataclass(frozen=True)
class Surroundings:
    """Files, options and variables of the program of one step.

    Attributes:
        recipe: the step.
        results: folder of the artifacts.
        scratch: the step's own folder.
        output: path of this attempt's output, in ``scratch``.
        control: folder of this attempt's request to stop, in ``scratch``.
        metrics: the journal of its metrics.
        code: tree of its code.
        threads: number of threads.
        caller: variables of the runner.
    """

    recipe: Recipe
    results: Path
    scratch: Path
    output: Path
    control: Path
    metrics: Path
    code: Path
    threads: int
    caller: Mapping[str, str]

    def references(self) -> Iterator[tuple[str, Reference]]:
        """Yield the inputs that the program gets, with their names in the rule."""
        for name, value in sorted(self.recipe.inputs.items()):
            for reference in value if isinstance(value, list) else [value]:
                if not name.startswith(ORDERING_PREFIX):
                    yield name, reference

    def places(self, temporary: Path) -> Places:
        """Return where things are for a program that is not isolated, whose temporary folder is ``temporary``."""
        code, scratch, metrics = (str(path.resolve()) for path in (self.code, self.scratch, self.metrics))
        return Places(code, scratch, f"{scratch}/{LINKED_CONTROL}", str(temporary), metrics)

    def command(self, places: Places) -> list[str]:
        """Return the program and its options: one per input, the parameters as a file, and the output."""
        inputs = self.results if self.recipe.fetches else Path(RESULTS)
        options: list[str] = []
        for name, reference in self.references():
            options += [f"--{name.replace('_', '-')}", str(inputs / reference.artifact / reference.path)]
        output = f"{places.scratch}/{LINKED_OUTPUT}/{self.output.name}"
        script = f"{places.code}/{self.recipe.script}"
        return [script, *options, "--params", f"{places.scratch}/params.json", "--output", output]

    def variables(self, places: Places) -> dict[str, str]:
        """Return the environment variables of the program.

        Its home is an empty folder, so that no settings, logins and caches of the user reach it: libraries look for
        theirs (Matplotlib, Git, pip, Hugging Face, Triton) below the home unless a variable says otherwise.
        """
        isolated = places is FIXED
        own = {
            "PATH": f"{ROOT}/env/bin:{PATH}" if isolated else self.caller.get("PATH", PATH),
            "PYTHONPATH": places.code,
            "TMPDIR": places.temporary,
            "HOME": f"{ROOT}/{HOME}" if isolated else f"{places.temporary}/{HOME}",
            "TAPEOUT_RUNNER": "1",
            "TAPEOUT_PLUGINS": ",".join(self.recipe.plugins),
            "TAPEOUT_THREADS": str(self.threads),
            "TAPEOUT_STATE": f"{places.scratch}/{STATE}",
            "TAPEOUT_METRICS": places.metrics,
            "TAPEOUT_STOP": f"{places.control}/{STOP}",
            "TAPEOUT_ACTION": f"{places.scratch}/action.json",
        }
        if not isolated:
            own["USER"] = USER  # not every user id has a name, for which libraries ask
        if self.recipe.fetches:
            own["TAPEOUT_USER_HOME"] = self.caller.get("HOME", "")  # for the cache of downloads
        inherited = {} if isolated else self.inherited()  # the sandbox inherits those of its own node
        return inherited | dict(CONSTANTS) | own

    def inherited(self) -> dict[str, str]:
        """Return the caller's variables that the program gets."""
        names = (*SETTINGS, *(FETCHING if self.recipe.fetches else ()))
        prefixes = CLUSTER_PREFIXES if self.recipe.nodes > 1 else ()
        return {name: value for name, value in self.caller.items() if name in names or name.startswith(prefixes)}

    def specification(self, environment: Environment, mounts: Sequence[str], network: bool) -> Specification:
        """Return what the sandbox has to show to the program, with files and folders at their ``FIXED`` places.

        Args:
            environment: its environment.
            mounts: further folders of this site (``Launch.mounts``); read-only, unless their flags are ``rw``.
            network: true if it gets the machine's network.
        """
        further = {inside or outside: (outside, flags) for outside, inside, flags in map(_parts, mounts)}
        inputs = {
            f"{RESULTS}/{reference.artifact}/{reference.path}".rstrip("/"): self.results.absolute()
            / reference.artifact
            / reference.path
            for _, reference in self.references()
        }
        binds = {
            FIXED.code: self.code.absolute(),
            f"{ROOT}/env": environment.folder.resolve(),
            FIXED.scratch: self.control,  # in the scratch folder itself it could replace what the runner uses
            f"{FIXED.scratch}/{STATE}": self.scratch / STATE,
            f"{FIXED.scratch}/{LINKED_OUTPUT}": self.output.parent,
            **{f"{FIXED.scratch}/{name}": self.scratch / name for name in GIVEN},
            FIXED.metrics: self.metrics.absolute(),
            **dict(sorted(inputs.items())),
            **{inside: Path(outside) for inside, (outside, _) in sorted(further.items())},
        }
        return Specification(
            binds=[(str(source), target) for target, source in binds.items()],
            writable=[
                *(FIXED.scratch, f"{FIXED.scratch}/{STATE}", f"{FIXED.scratch}/{LINKED_OUTPUT}", FIXED.metrics),
                *(name for name, (_, flags) in further.items() if flags == "rw"),
            ],
            network=network,
            variables=self.variables(FIXED),
            inherited=[*SETTINGS, *(CLUSTER_PREFIXES if network else ())],
            interpreter=environment.interpreter_paths,
        )

    def link_inputs(self, folder: Path) -> Path:
        """Make links to the inputs in a new working directory in ``folder``, for a container; return the directory."""
        here = folder / HERE
        for _, reference in self.references():
            link = here / RESULTS / reference.artifact / reference.path
            link.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(link):
                link.symlink_to(self.results.resolve() / reference.artifact / reference.path)
        here.mkdir(parents=True, exist_ok=True)
        return here.resolve()


def _parts(mount: str) -> tuple[str, str, str]:
    """Return the parts of ``OUTSIDE:INSIDE:FLAGS``; missing ones are empty."""
    outside, inside, flags, *_ = [*mount.split(":"), "", ""]
    return outside, inside, flags
