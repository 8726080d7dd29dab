"""The processes of a layout: started by torchrun on each machine, all or none.

A program says ``with every_rank(layout, threads) as rank:`` and goes on in each of the layout's processes. If there is
only one, that is the process itself. Otherwise the process starts the others with torchrun, each of which runs the same
program with the same arguments, and ends as they end. By itself it starts all of them on this machine; where the
runner has started the program on ``TAPEOUT_NODES`` machines, it starts those of this machine, and they meet at
``TAPEOUT_RENDEZVOUS``. Both give the same ranks, and so the same bytes.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tapeout.config.training import Layout
from tapeout.errors import TapeoutError
from tapeout.train.stop import SIGNALS, STOPPED, Stop, given_file

SHARED = "TAPEOUT_RANKS"
"""Variable that only ranks have: a folder that the ranks of this machine and their starter share."""
STARTER = "TAPEOUT_STARTER"
"""The process that started the ranks."""
STOP_FILE = "stop"
STOPPED_FILE = "stopped"


class RankFailed(TapeoutError):
    """One of the processes of a training ended before its work was done; the others were ended with it."""


class UnfitLayout(TapeoutError):
    """The machines at hand are not those that the layout wants."""


@dataclass(frozen=True)
class Rank:
    """One of the processes that train together.

    Attributes:
        number: 0 to ``world`` - 1; 0 writes the output and speaks.
        world: how many there are.
        local: its number on this machine.
        local_world: how many there are on this machine.
        workplace: a folder that the ranks of this machine share; it goes when they end.
        stop: the wish to stop.
    """

    number: int
    world: int
    local: int
    local_world: int
    workplace: Path
    stop: Stop

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and speaks."""
        return self.number == 0

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """A file or folder of the workplace that one rank of the machine makes, whole, and all use."""
        place = self.workplace / name
        if self.local == 0:
            part = place.with_name(name + ".part")
            make(part)
            part.rename(place)
        while not place.exists():
            time.sleep(0.05)
        return place


def alone(workplace: Path) -> Rank:
    """The only rank there is."""
    return Rank(0, 1, 0, 1, workplace, Stop(given_file()))


@contextlib.contextmanager
def every_rank(layout: Layout, threads: int) -> Iterator[Rank]:
    """Go on in every process of ``layout``; see the module.

    Args:
        layout: the processes.
        threads: threads of each.

    Raises:
        SystemExit: in the process that started the ranks, with their status.
        RankFailed: a rank ended otherwise.
        UnfitLayout: the program runs on another number of machines than the layout has.
    """
    if SHARED in os.environ:
        _die_with(int(os.environ[STARTER]))
        yield from _as_rank(Path(os.environ[SHARED]))
        return
    _check_machine(layout)
    with tempfile.TemporaryDirectory(prefix="training-", ignore_cleanup_errors=True) as folder:
        if layout.world > 1:
            raise SystemExit(_start(layout, threads, Path(folder)))
        rank = alone(Path(folder))
        rank.stop.listen()
        yield rank


def _as_rank(shared: Path) -> Iterator[Rank]:
    """Be a rank; how it ended, if not well, is left in ``shared``, since torchrun knows only statuses."""
    number, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    stop = Stop([shared / STOP_FILE, *given_file()], starter=shared / STOP_FILE)
    stop.listen()
    try:
        yield Rank(number, int(os.environ["WORLD_SIZE"]), local, int(os.environ["LOCAL_WORLD_SIZE"]), shared, stop)
    except TapeoutError as error:
        (shared / f"error-{local}").write_text(str(error))
        raise
    except SystemExit as ended:
        if ended.code != STOPPED:
            raise
        (shared / STOPPED_FILE).touch()
        _leave()
        raise SystemExit(0) from None  # for torchrun any other status is a failure, upon which it ends the others
    _leave()


def _leave() -> None:
    """Leave the process group: its threads may abort a process that ends without."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def _start(layout: Layout, threads: int, shared: Path) -> int:
    """Start the ranks of this machine, wait for them, and return the status to end with."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    where = _places(layout)
    os.environ |= {
        SHARED: str(shared),
        STARTER: str(os.getpid()),
        "OMP_NUM_THREADS": str(threads),
    }
    # SIGTERM and SIGUSR1 are wishes, which the ranks learn of by a file; torchrun would end them
    options = ["--max-restarts=0", "--monitor-interval=0.1", "--signals-to-handle=SIGINT,SIGHUP,SIGQUIT"]
    stop_file = shared / STOP_FILE
    for number in SIGNALS:
        signal.signal(number, lambda *_: stop_file.touch())
    try:
        run(parse_args([*where, *options, *sys.argv]))
    except ChildFailedError as error:
        named = sorted(shared.glob("error-*"))
        if named:
            print(named[0].read_text(), file=sys.stderr)
            return 1
        number, failure = error.get_first_failure()
        how = f"status {failure.exitcode}" if failure.exitcode > 0 else f"signal {-failure.exitcode}"
        raise RankFailed(
            f"Rank {number} of {layout.world} ended with {how} before its work was done.",
            "Read what it said above; if it said nothing, the machine may have been short of memory.",
        ) from None
    return STOPPED if (shared / STOPPED_FILE).exists() else 0


def _check_machine(layout: Layout) -> None:
    nodes = int(os.environ.get("TAPEOUT_NODES", layout.nodes))
    if nodes != layout.nodes:
        raise UnfitLayout(
            f"The step was started on {nodes} nodes, and its layout has {layout.nodes}.",
            "Ask for as many nodes as layout.nodes says.",
        )
    if layout.accelerator == "gpu":
        import torch

        wanted, there = _processes_here(layout), torch.cuda.device_count()
        if there < wanted:
            raise UnfitLayout(
                f"The layout wants {wanted} GPUs on this machine, and PyTorch sees {there}.",
                "Ask for as many, use an environment with a CUDA build of PyTorch, or set layout.accelerator to cpu.",
            )


def _processes_here(layout: Layout) -> int:
    """Ranks of this machine: all of them where the program was not started on several."""
    return layout.processes if "TAPEOUT_NODES" in os.environ else layout.world


def _places(layout: Layout) -> list[str]:
    """Arguments of torchrun that say which ranks are on this machine and where all meet."""
    if "TAPEOUT_NODES" not in os.environ:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        return ["--standalone", f"--nproc-per-node={_processes_here(layout)}", "--local-addr=127.0.0.1"]
    host, port = os.environ["TAPEOUT_RENDEZVOUS"].rsplit(":", 1)
    os.environ["GLOO_SOCKET_IFNAME"] = _interface_towards(host)
    return [
        *(f"--nnodes={layout.nodes}", f"--nproc-per-node={_processes_here(layout)}", "--rdzv-backend=static"),
        *(f"--node-rank={os.environ['SLURM_NODEID']}", f"--master-addr={host}", f"--master-port={port}"),
    ]


def _interface_towards(host: str) -> str:
    """The network interface that has this machine's address as ``host`` sees it.

    Left to itself, gloo takes the address that this machine's own name has, which is often a loopback's.
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
    raise UnfitLayout(f"No network interface of this machine leads to {host}.", "Check the name in TAPEOUT_RENDEZVOUS.")


def _die_with(parent: int) -> None:
    """End when the process that started this one ends, however it does."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it ended before it could be asked for
