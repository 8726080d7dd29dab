"""Site file: partitions, node sizes and limits of the cluster.

No step imports this module, and nothing in it is part of an identity. Resources of rules use the names of Snakemake's
Slurm executor (``slurm_partition``, ``gres``, ``runtime`` ...); a run on one machine ignores them.
"""

import json
import re
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from tapeout.config.computation import Computation
from tapeout.config.section import Section, conflict
from tapeout.config.training import Training

FILE = "config/site.yaml"

OPTION = re.compile(r"--([a-z][a-z-]*)(?:=[\w.,:@%+/\[\]-]+)?")
RESERVED = {
    *("job-name", "output", "error", "parsable", "export", "comment", "workdir", "chdir", "account", "partition"),
    *("mem", "mem-per-cpu", "ntasks", "ntasks-per-gpu", "ntasks-per-node", "cpus-per-task", "cpus-per-gpu", "time"),
    *("constraint", "qos", "nodes", "clusters", "gres", "gpus", "array", "requeue", "no-requeue", "wrap", "open-mode"),
    *("dependency", "wait", "test-only"),
}
"""Options of sbatch that the executor sets, or that would submit something other than one job."""

MB_PER_GB = 1024
"""As Slurm counts memory."""


class Partition(Section):
    """Partition and resources of the jobs without GPUs."""

    partition: str = Field("cpu", min_length=1, description="Name of the partition; separate several with commas.")
    memory_gb: int = Field(16, ge=1, description="Memory of a job on each node, GiB.")
    minutes: int = Field(120, ge=1, description="Time limit.")
    qos: str | None = Field(None, description="Quality of service.")
    constraint: str | None = Field(None, description="Required node features.")
    extra: str | None = Field(None, description="Further sbatch options, each as --NAME=VALUE.")

    @field_validator("extra")
    @classmethod
    def _options(cls, extra: str | None) -> str | None:
        for word in (extra or "").split():
            option = OPTION.fullmatch(word)
            if option is None:
                raise conflict(f"{word} is not an option", "Write --NAME=VALUE, without blanks or quotes.")
            if option[1] in RESERVED:
                cause = f"--{option[1]} is not allowed, because it has its own key or changes the job's kind"
                raise conflict(cause, "Remove it.")
        return extra


class GpuPartition(Partition):
    """Partition and resources of training steps, which get whole nodes."""

    partition: str = Field("gpu", min_length=1, description="Name of the partition.")
    model: str | None = Field(None, pattern=r"^[A-Za-z0-9_.]+$", description="GPU model in gres; null: any.")
    gpus_per_node: int = Field(8, ge=1, description="GPUs of a node.")
    cpus: int = Field(64, ge=1, description="Cores of a node.")
    memory_gb: int = Field(400, ge=1, description="Memory of a job on each node, GiB.")
    minutes: int = Field(240, ge=1, description="Time limit.")


class Slurm(Section):
    """Job submission."""

    account: str | None = Field(None, description="Account of every job; null: the cluster's default.")
    cpu: Partition = Partition()
    gpu: GpuPartition = GpuPartition()
    local_seconds: int = Field(10, ge=0, description="Shorter steps run on the submit node.")
    submit_timeout_minutes: float = Field(
        15, ge=0, description="Time to retry a submission while the controller does not answer."
    )
    latency_wait_seconds: float = Field(60, ge=0, description="Maximum time until a file appears on another node.")


class TrainingJobs(Section):
    """Checkpoints and restarts of training jobs."""

    checkpoint_minutes: float = Field(30, gt=0, description="Time between checkpoints.")
    exit_before_limit_minutes: float = Field(5, ge=0, description="Time before the limit at which to save and exit.")
    max_restarts: int = Field(20, ge=0, description="Maximum number of times that one job is requeued.")


class ContainerRuntime(Section):
    """Settings of the site for containers; the image itself is named in the configuration and is part of identities."""

    runtime: Literal["bare", "apptainer", "pyxis"] = Field("bare", description="Program that starts containers.")
    mounts: list[str] = Field([], description="Folders that programs see besides their inputs.")
    images: str | None = Field(None, description="Folder of pulled images (.sif or .sqsh).")


class WeightsAndBiases(Section):
    """Weights & Biases; the key is read from its own environment variables, such as WANDB_API_KEY."""

    project: str = Field(min_length=1, description="Name of the project.")
    mode: Literal["online", "offline"] = Field("online", description="Whether metrics are sent, or only written.")
    folder: str = Field(min_length=1, description="Folder of the library's files.")


class MLflow(Section):
    """MLflow; user and password are read from its own environment variables, such as MLFLOW_TRACKING_TOKEN."""

    uri: str = Field(min_length=1, description="Address of the server, or file:///FOLDER.")
    experiment: str = Field(min_length=1, description="Name of the experiment.")

    @field_validator("uri")
    @classmethod
    def _no_secret(cls, uri: str) -> str:
        if "@" in urlsplit(uri).netloc:
            raise conflict(
                "the address contains a user or a password, which this file must not have",
                "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead.",
            )
        return uri


class Tracking(Section):
    """Trackers to which the metrics of trainings are forwarded (``tapeout.tracking``)."""

    csv: str | None = Field(None, min_length=1, description="Folder of tables.")
    tensorboard: str | None = Field(None, min_length=1, description="Folder of TensorBoard's event files.")
    wandb: WeightsAndBiases | None = Field(None, description="Weights & Biases.")
    mlflow: MLflow | None = Field(None, description="MLflow.")

    @property
    def trackers(self) -> dict[str, dict[str, Any]]:
        """Options of the configured trackers, by the name of their module."""
        values = {name: value for name, value in self.model_dump().items() if value is not None}
        return {name: value if isinstance(value, dict) else {"folder": value} for name, value in values.items()}


class Site(Section):
    """Content of ``config/site.yaml``."""

    slurm: Slurm = Slurm()
    training: TrainingJobs = TrainingJobs()
    container: ContainerRuntime = ContainerRuntime()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _jobs_have_time_before_they_exit(self) -> Self:
        exit_before, limit = self.training.exit_before_limit_minutes, self.slurm.gpu.minutes
        if exit_before >= limit:
            raise conflict(
                f"training.exit_before_limit_minutes is {exit_before:g}, not less than slurm.gpu.minutes, {limit}: "
                "a training job would exit at once",
                "Lower it, or raise the time limit.",
                "training.exit_before_limit_minutes",
                "slurm.gpu.minutes",
            )
        return self

    def short(self, seconds: int) -> bool:
        """Return whether a step of this typical length runs on the submit node."""
        return seconds < self.slurm.local_seconds

    @property
    def cpu(self) -> dict[str, Any]:
        """Resources of a rule without GPUs."""
        return self._resources(self.slurm.cpu)

    def gpu_nodes(self, job: Training) -> dict[str, Any]:
        """Return the resources of a training run: as many whole nodes as its layout has.

        ``gres`` counts GPUs of each node, so a job never gets 8 GPUs scattered over two nodes.
        """
        gpu, layout = self.slurm.gpu, job.layout
        return self._resources(gpu) | {
            "nodes": layout.num_nodes,
            "gres": ":".join(["gpu", *([gpu.model] if gpu.model else []), str(gpu.gpus_per_node)]),
            "cpus_per_task": gpu.cpus,
            "device": layout.accelerator,
        }

    def evaluation(self, computation: Computation) -> dict[str, Any]:
        """Return the resources of a step that runs an evaluated model: those of a CPU job, or of one GPU."""
        if computation.gpu_model is None:
            return self.cpu
        gpu = self.slurm.gpu
        resources = self._resources(gpu)
        return resources | {
            "nodes": 1,
            "gres": ":".join(["gpu", *([gpu.model] if gpu.model else []), "1"]),
            "cpus_per_task": max(1, gpu.cpus // gpu.gpus_per_node),
            "mem_mb": resources["mem_mb"] // gpu.gpus_per_node,
            "device": "gpu",
        }

    @property
    def launch(self) -> dict[str, Any]:
        """Arguments of ``tapeout.graph.launch.launcher.Launch``."""
        container = self.container
        return {"runtime": container.runtime, "mounts": tuple(container.mounts), "images": container.images or ""}

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables that pass limits, timeouts and trackers to the processes of a run."""
        values = {
            "TAPEOUT_CHECKPOINT_SECONDS": 60 * self.training.checkpoint_minutes,
            "TAPEOUT_LEAVE_SECONDS": 60 * self.training.exit_before_limit_minutes,
            "TAPEOUT_SUBMIT_SECONDS": 60 * self.slurm.submit_timeout_minutes,
            "TAPEOUT_LATE_SECONDS": self.slurm.latency_wait_seconds,
            "TAPEOUT_RESTARTS": self.training.max_restarts,
        }
        trackers = self.tracking.trackers
        tracking = {"TAPEOUT_TRACKING": json.dumps(trackers, sort_keys=True)} if trackers else {}
        return {name: f"{value:g}" for name, value in values.items()} | tracking

    def _resources(self, partition: Partition) -> dict[str, Any]:
        optional = {"slurm_account": self.slurm.account, "qos": partition.qos, "constraint": partition.constraint}
        return {
            "slurm_partition": partition.partition,
            "mem_mb": partition.memory_gb * MB_PER_GB,
            "runtime": partition.minutes,
            # a requeued job appends to the same log
            "slurm_extra": " ".join(filter(None, ["--open-mode=append", partition.extra])),
            **{name: value for name, value in optional.items() if value},
        }
