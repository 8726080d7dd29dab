"""Start the processes of a layout with torchrun, and stop them on request.

The body of ``with every_rank(layout, threads) as rank:`` runs in each process of the layout. If there is only one, that
is the process itself. Otherwise the process starts the others with torchrun, each of which runs the same program with
the same arguments, and exits with their status. It starts all of them on this machine, unless the runner has started
the program on ``TAPEOUT_NODES`` machines: then it starts those of this machine, and all meet at ``TAPEOUT_RENDEZVOUS``.
Both give the same ranks, and so the same bytes.

A training run is asked to stop by a file (``TAPEOUT_STOP``, because signals do not pass srun, containers and torchrun
reliably), or by SIGTERM or SIGUSR1. The process then ends after the current step with ``STOPPED``.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tapeout.config.layout import Layout
from tapeout.errors import TapeoutError
from tapeout.program import StepFailed

STOPPED = 75
"""Exit status of a program that stopped on request: EX_TEMPFAIL, run it again and it resumes."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
SECONDS_FOR_STARTER = 2.0
"""Time that the starter of a rank gets to create its stop file after a signal."""
SHARED = "TAPEOUT_RANKS"
"""Variable that only ranks have: a folder that the ranks of this machine and their starter share."""
STARTER = "TAPEOUT_STARTER"
"""Variable with the id of the process that started the ranks."""
STOP_FILE = "stop"
STOPPED_FILE = "stopped"


class StopRequest:
    """Request to stop the training, once there is one."""

    def __init__(self, files: Sequence[Path], starter: Path | None = None) -> None:
        """Watch for files.

        Args:
            files: files each of which, when it appears, is a request.
            starter: the one of them that the starter of this rank creates when it gets a signal; None if this process
                is the only one.
        """
        self.files, self.starter = files, starter
        self.signalled = False

    def listen(self) -> None:
        """Take the signals as requests from now on."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._set if self.starter is None else self._wait_for_starter)

    def requested(self) -> bool:
        """Return whether there was a signal or there is a file."""
        return self.signalled or any(file.exists() for file in self.files)

    def _set(self, *_: object) -> None:
        self.signalled = True

    def _wait_for_starter(self, *_: object) -> None:
        """End this rank unless the starter got the signal too.

        A request to stop is sent to the starter as well. A signal to the ranks alone comes from torchrun: a rank
        failed, and the others must end.
        """
        assert self.starter is not None
        deadline = time.monotonic() + SECONDS_FOR_STARTER
        while not self.starter.exists():
            if time.monotonic() > deadline:
                os._exit(128 + signal.SIGTERM)
            time.sleep(0.05)


def _stop_files() -> list[Path]:
    """Return the file with which the runner requests a stop, if there is one."""
    return [Path(os.environ["TAPEOUT_STOP"])] if "TAPEOUT_STOP" in os.environ else []


@dataclass(frozen=True)
class Rank:
    """One of the processes that train together.

    Attributes:
        number: 0 to ``world`` - 1; 0 writes the output and the messages.
        world: number of processes.
        local: index of this process on this machine.
        local_world: number of processes on this machine.
        workplace: folder that the ranks of this machine share; it is removed when they end.
        stop: request to stop.
    """

    number: int
    world: int
    local: int
    local_world: int
    workplace: Path
    stop: StopRequest

    @property
    def first(self) -> bool:
        """True if this rank writes the output and the messages."""
        return self.number == 0

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return a file or folder of the workplace that the first rank of this machine creates and all ranks use."""
        path = self.workplace / name
        if self.local == 0:
            part = path.with_name(name + ".part")
            make(part)
            part.rename(path)
        while not path.exists():  # if the first rank fails, torchrun ends this one
            time.sleep(0.05)
        return path


def single_rank(workplace: Path) -> Rank:
    """Return the rank of a layout of one process."""
    return Rank(0, 1, 0, 1, workplace, StopRequest(_stop_files()))


@contextlib.contextmanager
def every_rank(layout: Layout, threads: int) -> Iterator[Rank]:
    """Run the body of the ``with`` statement in every process of ``layout``; see the module's description.

    Args:
        layout: number and kind of the processes.
        threads: number of threads of each process.

    Raises:
        SystemExit: in the process that started the ranks, with their status.
        StepFailed: a rank ended with an error that has no message, or the machines do not fit the layout.
    """
    if SHARED in os.environ:
        _end_with(int(os.environ[STARTER]))
        yield from _as_rank(Path(os.environ[SHARED]))
        return
    _check_machine(layout)
    with tempfile.TemporaryDirectory(prefix="training-", ignore_cleanup_errors=True) as folder:
        if layout.world_size > 1:
            raise SystemExit(_start(layout, threads, Path(folder)))
        rank = single_rank(Path(folder))
        rank.stop.listen()
        yield rank


def _as_rank(shared: Path) -> Iterator[Rank]:
    """Yield this rank; write a message about its failure to ``shared``, because torchrun reports only statuses."""
    number, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    stop = StopRequest([shared / STOP_FILE, *_stop_files()], starter=shared / STOP_FILE)
    stop.listen()
    try:
        yield Rank(number, int(os.environ["WORLD_SIZE"]), local, int(os.environ["LOCAL_WORLD_SIZE"]), shared, stop)
    except TapeoutError as error:
        (shared / f"error-{local}").write_text(str(error))
        raise
    except SystemExit as exit_:
        if exit_.code != STOPPED:
            raise
        (shared / STOPPED_FILE).touch()
        _leave_group()
        raise SystemExit(0) from None  # torchrun takes any other status as a failure and ends the other ranks
    _leave_group()


def _leave_group() -> None:
    """Leave the process group; otherwise its threads may abort the process when it ends."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def _start(layout: Layout, threads: int, shared: Path) -> int:
    """Start the ranks of this machine, wait for them, and return the status to exit with."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    rendezvous = _rendezvous_options(layout)
    os.environ |= {
        SHARED: str(shared),
        STARTER: str(os.getpid()),
        "OMP_NUM_THREADS": str(threads),
    }
    # SIGTERM and SIGUSR1 are requests, which the ranks get as a file; torchrun would end the ranks
    options = ["--max-restarts=0", "--monitor-interval=0.1", "--signals-to-handle=SIGINT,SIGHUP,SIGQUIT"]
    stop_file = shared / STOP_FILE
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stop_file.touch())
    try:
        run(parse_args([*rendezvous, *options, *sys.argv]))
    except ChildFailedError as error:
        messages = sorted(shared.glob("error-*"))
        if messages:
            print(messages[0].read_text(), file=sys.stderr)
            return 1
        number, failure = error.get_first_failure()
        how = f"status {failure.exitcode}" if failure.exitcode > 0 else f"signal {-failure.exitcode}"
        raise StepFailed(
            f"Rank {number} of {layout.world_size} ended with {how} before its work was done.",
            "Read its output above; if there is none, the machine may have run out of memory.",
        ) from None
    return STOPPED if (shared / STOPPED_FILE).exists() else 0


def _check_machine(layout: Layout) -> None:
    nodes = int(os.environ.get("TAPEOUT_NODES", layout.num_nodes))
    if nodes != layout.num_nodes:
        raise StepFailed(
            f"The step was started on {nodes} nodes, but its layout has {layout.num_nodes}.",
            "Start it on as many nodes as layout.num_nodes.",
        )
    if layout.accelerator == "gpu":
        import torch

        needed, visible = _local_processes(layout), torch.cuda.device_count()
        if visible < needed:
            raise StepFailed(
                f"The layout needs {needed} GPUs on this machine, but PyTorch sees {visible}.",
                "Request more GPUs, use an environment with a CUDA build of PyTorch, or set layout.accelerator to cpu.",
            )
        other = {torch.cuda.get_device_name(index) for index in range(needed)} - {layout.gpu_model}
        if other:
            name = min(other)
            raise StepFailed(
                f"The layout computes on GPUs of the model {layout.gpu_model}, but this machine has {name}.",
                f"Request the others, or set layout.gpu_model: {name}, with which it is another step.",
            )


def _local_processes(layout: Layout) -> int:
    """Return the number of ranks on this machine: all of them unless the program was started on several machines."""
    return layout.devices if "TAPEOUT_NODES" in os.environ else layout.world_size


def _rendezvous_options(layout: Layout) -> list[str]:
    """Return the options of torchrun for the ranks of this machine and the address at which all meet."""
    if "TAPEOUT_NODES" not in os.environ:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        return ["--standalone", f"--nproc-per-node={_local_processes(layout)}", "--local-addr=127.0.0.1"]
    host, port = os.environ["TAPEOUT_RENDEZVOUS"].rsplit(":", 1)
    os.environ["GLOO_SOCKET_IFNAME"] = _interface_towards(host)
    return [
        *(f"--nnodes={layout.num_nodes}", f"--nproc-per-node={_local_processes(layout)}", "--rdzv-backend=static"),
        *(f"--node-rank={os.environ['SLURM_NODEID']}", f"--master-addr={host}", f"--master-port={port}"),
    ]


def _interface_towards(host: str) -> str:
    """Return the network interface that has this machine's address as ``host`` sees it.

    By default gloo takes the address of this machine's own name, which is often that of a loopback interface.
    """
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))  # sends nothing
        address = probe.getsockname()[0]
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # an interface without an address of this family
                asked = fcntl.ioctl(probe.fileno(), 0x8915, struct.pack("256s", name.encode()))  # SIOCGIFADDR
                if socket.inet_ntoa(asked[20:24]) == address:
                    return name
    raise StepFailed(f"No network interface of this machine leads to {host}.", "Check the name in TAPEOUT_RENDEZVOUS.")


def _end_with(parent: int) -> None:
    """End this process when the one that started it ends, however that happens."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it ended before the call
