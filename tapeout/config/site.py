"""The cluster as its users know it: partitions, sizes of nodes, limits. No step imports this; it is no identity.

What a rule asks for is said in the words of the Slurm executor (``slurm_partition``, ``gres``, ``runtime`` ...); a run
on one machine ignores them.
"""

import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator

from tapeout.config.root import InvalidConfig, explained
from tapeout.config.section import Section
from tapeout.config.training import Training

FILE = "config/site.yaml"

OPTION = re.compile(r"--([a-z][a-z-]*)(?:=[\w.,:@%+/\[\]-]+)?")
TAKEN = {
    *("job-name", "output", "error", "parsable", "export", "comment", "workdir", "chdir", "account", "partition"),
    *("mem", "mem-per-cpu", "ntasks", "ntasks-per-gpu", "ntasks-per-node", "cpus-per-task", "cpus-per-gpu", "time"),
    *("constraint", "qos", "nodes", "clusters", "gres", "gpus", "array", "requeue", "no-requeue", "wrap", "open-mode"),
    *("dependency", "wait", "test-only"),
}
"""Options of sbatch that the executor sets, or that would submit something else than one job."""

MEGABYTES = 1024
"""Of a gigabyte, as Slurm counts memory."""


class Partition(Section):
    """Where jobs of one kind go, and what they get."""

    partition: str = Field("cpu", min_length=1, description="Name of the partition; several by commas.")
    memory_gb: int = Field(16, ge=1, description="Memory of a job on each node, GiB.")
    minutes: int = Field(120, ge=1, description="Time limit.")
    qos: str | None = Field(None, description="Quality of service.")
    constraint: str | None = Field(None, description="Features that nodes must have.")
    extra: str | None = Field(None, description="More options for sbatch, each --NAME=VALUE.")

    @field_validator("extra")
    @classmethod
    def _options(cls, extra: str | None) -> str | None:
        """Options alone, and none that has a key of its own or that would change what a job is."""
        for word in (extra or "").split():
            option = OPTION.fullmatch(word)
            if option is None:
                raise ValueError(f"{word} is no option; write each as --NAME=VALUE, without blanks or quotes")
            if option[1] in TAKEN:
                raise ValueError(f"--{option[1]} is not for extra: it has a key, or would change what a job is")
        return extra


class GpuPartition(Partition):
    """Where trainings go: whole nodes."""

    partition: str = Field("gpu", min_length=1, description="Name of the partition.")
    model: str | None = Field(None, pattern=r"^[A-Za-z0-9_.]+$", description="Model in gres; none: any.")
    per_node: int = Field(8, ge=1, description="GPUs of a node.")
    cpus: int = Field(64, ge=1, description="Cores of a node.")
    memory_gb: int = Field(400, ge=1, description="Memory of a node that a job gets, GiB.")
    minutes: int = Field(240, ge=1, description="Time limit.")


class Slurm(Section):
    """How jobs are submitted."""

    account: str | None = Field(None, description="Account of every job; none: the cluster's default.")
    cpu: Partition = Partition()
    gpu: GpuPartition = GpuPartition()
    local_seconds: int = Field(10, ge=0, description="Steps that take less run on the submit node.")
    patience_minutes: float = Field(15, ge=0, description="How long to wait for a controller that is away.")
    late_seconds: float = Field(60, ge=0, description="How late a file may appear on another node.")


class Trainings(Section):
    """How long jobs save and restart."""

    checkpoint_minutes: float = Field(30, gt=0, description="How often a training saves its state.")
    leave_minutes: float = Field(5, ge=0, description="How long before the time limit it saves and makes way.")
    restarts: int = Field(20, ge=0, description="How often one job may be put back in the queue.")


class ContainerRuntime(Section):
    """How the site runs containers; which image is the configuration's, and identity."""

    runtime: Literal["bare", "apptainer", "pyxis"] = Field("bare", description="What starts programs.")
    mounts: list[str] = Field([], description="Folders that the container sees, beside the project's own.")
    images: str | None = Field(None, description="Folder of images that were pulled (.sif or .sqsh).")


class Site(Section):
    """``config/site.yaml``."""

    slurm: Slurm = Slurm()
    training: Trainings = Trainings()
    container: ContainerRuntime = ContainerRuntime()

    def short(self, seconds: int) -> bool:
        """Whether a step of that typical length runs on the submit node."""
        return seconds < self.slurm.local_seconds

    @property
    def cpu(self) -> dict[str, Any]:
        """Resources of a rule without GPUs."""
        return self._resources(self.slurm.cpu)

    def gpu_nodes(self, job: Training) -> dict[str, Any]:
        """Resources of a training: whole nodes, as many as its layout says.

        ``gres`` counts on each node, so that a job never gets 8 GPUs in pieces of two nodes.

        Raises:
            InvalidConfig: the layout has more processes with GPUs than a node has GPUs.
        """
        gpu, layout = self.slurm.gpu, job.layout
        if layout.accelerator == "gpu" and layout.processes > gpu.per_node:
            raise InvalidConfig(
                f"A layout wants {layout.processes} GPUs of a node that has {gpu.per_node} (slurm.gpu.per_node).",
                "Take more nodes with fewer processes each, or correct the site file.",
            )
        return self._resources(gpu) | {
            "nodes": layout.nodes,
            "gres": ":".join(["gpu", *([gpu.model] if gpu.model else []), str(gpu.per_node)]),
            "cpus_per_task": gpu.cpus,
            "device": layout.accelerator,
        }

    @property
    def launch(self) -> dict[str, Any]:
        """How programs are started, as the content layer takes it."""
        given = self.container
        return {"runtime": given.runtime, "mounts": tuple(given.mounts), "images": given.images or ""}

    @property
    def variables(self) -> dict[str, str]:
        """What the processes of a run are told, beside what the rules ask for."""
        seconds = {
            "TAPEOUT_CHECKPOINT_SECONDS": 60 * self.training.checkpoint_minutes,
            "TAPEOUT_LEAVE_SECONDS": 60 * self.training.leave_minutes,
            "TAPEOUT_SUBMIT_SECONDS": 60 * self.slurm.patience_minutes,
            "TAPEOUT_LATE_SECONDS": self.slurm.late_seconds,
            "TAPEOUT_RESTARTS": self.training.restarts,
        }
        return {name: f"{value:g}" for name, value in seconds.items()}

    def _resources(self, place: Partition) -> dict[str, Any]:
        given = {"slurm_account": self.slurm.account, "qos": place.qos, "constraint": place.constraint}
        return {
            "slurm_partition": place.partition,
            "mem_mb": place.memory_gb * MEGABYTES,
            "runtime": place.minutes,
            # a job that was put back goes on in the same log
            "slurm_extra": " ".join(filter(None, ["--open-mode=append", place.extra])),
            **{name: value for name, value in given.items() if value},
        }


def load_site(file: str) -> Site:
    """Read the site's file; without ``FILE``, as in an export, which tells nothing of the cluster, all is the default.

    Raises:
        InvalidConfig: the file is missing, is no YAML or does not fit.
    """
    if file == FILE and not Path(FILE).exists():
        return Site()
    try:
        value = yaml.safe_load(Path(file).read_bytes())
        return Site.model_validate({} if value is None else value)
    except (OSError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise InvalidConfig(f"The site file {file} cannot be read: {said}.", "Correct it, or the key site.") from error
    except ValidationError as error:
        raise explained(error, Site, file) from error
