"""A real Slurm cluster on loopback: two GPU nodes that claim 8 GPUs each, one CPU node, accounting.

Every daemon is Debian's own; only the hardware is fake (``config_overrides``, GPUs that are copies of /dev/null),
so that two nodes of 128 cores fit on a small machine. Nothing outside the cluster's folder is read or written, and
``stop`` ends only what ``start`` started.
"""

import contextlib
import getpass
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.slurm.processes import (
    ClusterFailed,
    descendants,
    environment_of_children,
    free_port,
    processes_of,
    runs,
    wait_until,
)

GPUS = 8
GPU_NODES = ("gpu1", "gpu2")
CPU_NODE = "cpu1"
CLIENTS = ("sbatch", "srun", "salloc", "squeue", "sinfo", "scontrol", "scancel", "sacct", "sacctmgr", "sprio", "sshare")
SECONDS_OF_A_CLIENT = 60
UNFINISHED = {"PENDING", "RUNNING", "REQUEUED", "SUSPENDED", "COMPLETING", "RESIZING", "CONFIGURING"}
"""States of the accounting in which the last record of a job is not final."""


@dataclass
class Cluster:
    """One cluster; ``seconds_until_down``: seconds after which a node that does not answer counts as down."""

    root: Path
    seconds_until_down: int = 20
    port: int = field(default_factory=lambda: free_port(20))

    # -- client commands ---------------------------------------------------------------------------------------------

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of clients. Wrappers are on PATH, because the executor strips SLURM_CONF."""
        return {"SLURM_CONF": str(self.conf), "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"}

    def ask(self, *command: str, check: bool = True) -> str:
        """Return the output of a client command; ``ClusterFailed`` if it fails, unless ``check`` is off."""
        done = subprocess.run(
            [str(self.root / "bin" / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            timeout=SECONDS_OF_A_CLIENT,
            env={**os.environ, **self.variables},
        )
        if check and done.returncode:
            raise ClusterFailed(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def queue(self) -> list[tuple[str, str, str]]:
        """Return id, state and comment of the pending and running jobs."""
        lines = self.ask("squeue", "--noheader", "--format=%i|%T|%k").splitlines()
        return [(id_, state, comment) for id_, state, comment in (line.split("|", 2) for line in lines)]

    def hasten(self, job: str) -> None:
        """Let a requeued job start at once; otherwise Slurm waits two minutes."""

        def waits() -> bool:
            return self.ask("squeue", "-h", "-j", job, "-o", "%T %r", check=False).strip() == "PENDING BeginTime"

        wait_until(waits, f"job {job} back in the queue")
        # not in the same second: the node would still refuse the job's credential, which the first start revoked
        self.ask("scontrol", "update", f"JobId={job}", "StartTime=now+3")

    def accounted(self) -> list[dict[str, str]]:
        """Return every job that the accounting knows, oldest first."""
        names = ["JobIDRaw", "State", "Comment", "AllocTRES", "NNodes", "ElapsedRaw", "Partition"]
        lines = self.ask(
            "sacct", "-X", "-n", "-P", "-S", "2020-01-01", "--duplicates", f"--format={','.join(names)}"
        ).splitlines()
        return [dict(zip(names, line.split("|"), strict=True)) for line in lines]

    def submitted(self) -> int:
        """Return the number of the last job, as the controller counts.

        The accounting cannot be used: the controller sends it a job's record some time after sbatch has returned.
        """
        found = re.search(r"^NEXT_JOB_ID\s*=\s*(\d+)", self.ask("scontrol", "show", "config"), re.MULTILINE)
        if not found:
            raise ClusterFailed("scontrol show config has no NEXT_JOB_ID")
        return int(found[1]) - 1

    def accounted_after(self, number: int) -> list[dict[str, str]]:
        """Return the accounting's records of the jobs after ``number``, once it has the end of each of them."""
        wanted = {str(job) for job in range(number + 1, self.submitted() + 1)}
        records: list[dict[str, str]] = []

        def complete() -> bool:
            records[:] = [job for job in self.accounted() if job["JobIDRaw"] in wanted]
            last = {job["JobIDRaw"]: job["State"].split()[0] for job in records}
            return last.keys() == wanted and not UNFINISHED & set(last.values())

        wait_until(complete, f"the accounting of jobs after {number}")
        return records

    # -- starting ----------------------------------------------------------------------------------------------------

    @property
    def conf(self) -> Path:
        return self.root / "etc" / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.root / "run" / "munge.sock"

    def start(self) -> "Cluster":
        """Start everything and wait until all nodes are idle."""
        for name in ("etc", "log", "run", "state", "spool", "dev", "bin", "tmp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
            (self.root / name).chmod(0o755)
        self._write_files()
        self._munge()
        self._accounting()
        self.start_controller()
        for node in (*GPU_NODES, CPU_NODE):
            self.start_node(node)
        self.wait_for_idle()
        return self

    def wait_for_idle(self) -> None:
        """Wait until every node is idle."""
        self.wait_for_nodes({"idle"}, (*GPU_NODES, CPU_NODE))

    def wait_for_nodes(self, states: set[str], nodes: tuple[str, ...]) -> None:
        """Wait until the nodes are in one of the states."""
        wanted = {(node, state) for node in nodes for state in states}

        def reached() -> bool:
            lines = self.ask("sinfo", "-h", "-N", "-n", ",".join(nodes), "-o", "%N %T", check=False).splitlines()
            shown = {tuple(line.split()) for line in lines}
            return shown <= wanted and {node for node, *_ in shown} == set(nodes)

        wait_until(reached, f"{', '.join(nodes)} {' or '.join(sorted(states))}: {self.root / 'log'}", 60)

    def _write_files(self) -> None:
        key = self.root / "etc" / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(os.urandom(128))
        for number in range(GPUS):
            device = self.root / "dev" / f"nvidia{number}"
            if not device.exists():
                if os.geteuid() == 0:
                    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # /dev/null by another name
                else:
                    device.touch()
        self.conf.write_text(self._configuration())
        (self.root / "etc" / "gres.conf").write_text(
            f"NodeName={','.join(GPU_NODES)} Name=gpu Type=h100 File={self.root}/dev/nvidia[0-{GPUS - 1}]\n"
        )
        (self.root / "etc" / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        for client in CLIENTS:
            wrapper = self.root / "bin" / client
            wrapper.write_text(f'#!/bin/sh\nexport SLURM_CONF={self.conf}\nexec /usr/bin/{client} "$@"\n')
            wrapper.chmod(0o755)

    def _configuration(self) -> str:
        user = getpass.getuser()
        settings = {
            "ClusterName": "tapeout",
            "SlurmctldHost": "localhost(127.0.0.1)",
            "SlurmctldPort": self.port,
            "SlurmdPort": self.port + 1,
            "SlurmUser": user,
            "SlurmdUser": user,
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={self.munge_socket}",
            "CredType": "cred/munge",
            "CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny",
            "StateSaveLocation": self.root / "state",
            "SlurmdSpoolDir": self.root / "spool" / "%n",
            "SlurmctldPidFile": self.root / "run" / "slurmctld.pid",
            "SlurmdPidFile": self.root / "run" / "slurmd.%n.pid",
            "SlurmctldLogFile": self.root / "log" / "slurmctld.log",
            "SlurmdLogFile": self.root / "log" / "slurmd.%n.log",
            "MpiDefault": "none",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "JobAcctGatherType": "jobacct_gather/linux",
            "JobAcctGatherFrequency": "task=1",
            "JobAcctGatherParams": "OverMemoryKill",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core_Memory",
            "SlurmdParameters": "config_overrides",
            "SchedulerType": "sched/backfill",
            "SchedulerParameters": "sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0",
            "GresTypes": "gpu",
            "ReturnToService": 2,
            "KillWait": 15,
            "MinJobAge": 300,
            "InactiveLimit": 0,
            "OverTimeLimit": 0,
            "SlurmdTimeout": self.seconds_until_down,
            "SlurmctldTimeout": 30,
            "MessageTimeout": 15,  # a daemon on a busy core answers late; its message is not lost
            "JobRequeue": 0,
            "PreemptType": "preempt/partition_prio",
            "PreemptMode": "REQUEUE",
            "RebootProgram": "/bin/true",
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "localhost",
            "AccountingStoragePass": self.munge_socket,
            "AccountingStoragePort": self.port + 3,
            "AccountingStorageTRES": "gres/gpu",
            "AccountingStoreFlags": "job_comment",
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        ports = {node: self.port + 10 + number for number, node in enumerate((*GPU_NODES, CPU_NODE))}
        for node, port in ports.items():
            gpus = f" Gres=gpu:h100:{GPUS}" if node in GPU_NODES else ""
            lines.append(
                f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=128 Boards=1 "
                f"SocketsPerBoard=2 CoresPerSocket=64 ThreadsPerCore=1 RealMemory=1000000{gpus} State=UNKNOWN"
            )
        gpu_nodes = ",".join(GPU_NODES)
        common = "MaxTime=2-00:00:00 State=UP"
        lines += [
            f"PartitionName=gpu Nodes={gpu_nodes} PriorityTier=1 PreemptMode=REQUEUE GraceTime=10 {common}",
            f"PartitionName=urgent Nodes={gpu_nodes} PriorityTier=9 PreemptMode=OFF {common}",
            f"PartitionName=cpu Nodes={CPU_NODE} Default=YES PreemptMode=OFF {common}",
        ]
        return "\n".join(lines) + "\n"

    def _munge(self) -> None:
        self._run(
            *("munged", "--force", f"--key-file={self.root}/etc/munge.key", f"--socket={self.munge_socket}"),
            *(f"--pid-file={self.root}/run/munged.pid", f"--log-file={self.root}/log/munged.log"),
            *(f"--seed-file={self.root}/run/munge.seed", "--num-threads=2"),
        )
        wait_until(self.munge_socket.exists, "munged")

    def _accounting(self) -> None:
        data, socket_ = self.root / "mysql", self.root / "run" / "mysql.sock"
        if not (data / "mysql").exists():
            data.mkdir(exist_ok=True)
            self._run(
                *("mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={getpass.getuser()}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db", f"--tmpdir={self.root}/tmp"),
            )
        with open(self.root / "log" / "mariadb.log", "w") as log:
            subprocess.Popen(
                [
                    *("mariadbd", "--no-defaults", f"--user={getpass.getuser()}", f"--datadir={data}"),
                    *("--bind-address=127.0.0.1", f"--port={self.port + 5}", f"--socket={socket_}"),
                    f"--tmpdir={self.root}/tmp",  # concurrent servers overwrite each other's files in /tmp
                    *(f"--pid-file={self.root}/run/mariadb.pid", "--innodb-buffer-pool-size=128M"),
                    *("--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        client = ["mariadb", "--no-defaults", "-S", str(socket_), "-uroot", "-e"]
        wait_until(lambda: subprocess.run([*client, "select 1"], capture_output=True).returncode == 0, "mariadbd")
        grants = "; ".join(
            f"create or replace user slurm@{host} identified by 'x'; grant all on slurm_acct_db.* to slurm@{host}"
            for host in ("localhost", "127.0.0.1")
        )
        self._run(*client, f"create database if not exists slurm_acct_db; {grants}")
        settings = {
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={self.munge_socket}",
            "CommunicationParameters": "NoInAddrAnyDBD",
            "DbdHost": "localhost",
            "DbdAddr": "127.0.0.1",
            "DbdPort": self.port + 3,
            "SlurmUser": getpass.getuser(),
            "PidFile": self.root / "run" / "slurmdbd.pid",
            "LogFile": self.root / "log" / "slurmdbd.log",
            "StorageType": "accounting_storage/mysql",
            "StorageHost": "127.0.0.1",
            "StoragePort": self.port + 5,
            "StorageUser": "slurm",
            "StoragePass": "x",
            "StorageLoc": "slurm_acct_db",
        }
        conf = self.root / "etc" / "slurmdbd.conf"
        conf.touch(mode=0o600)
        conf.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self._run("slurmdbd")
        wait_until(lambda: self.ask("sacctmgr", "-n", "show", "cluster", check=False) is not None, "slurmdbd")
        wait_until(lambda: self._enrol(), "sacctmgr")

    def _enrol(self) -> bool:
        """Register the cluster, an account and this user in the accounting."""
        manager = str(self.root / "bin" / "sacctmgr")
        for what in (
            ("cluster", "tapeout"),
            ("account", "lab", "cluster=tapeout"),
            ("user", getpass.getuser(), "account=lab"),
        ):
            done = subprocess.run([manager, "-Q", "-i", "add", *what], capture_output=True, text=True, timeout=30)
            if done.returncode and "already" not in (done.stdout + done.stderr).lower():
                return False
        return True

    def start_controller(self) -> None:
        """Start slurmctld with the state that it had."""
        self._run("slurmctld", "-f", str(self.conf), "-R")
        wait_until(lambda: "UP" in self.ask("scontrol", "ping", check=False), f"slurmctld, see {self.root / 'log'}")

    def restart_controller(self) -> None:
        """Start slurmctld again and wait until the nodes have registered.

        Until then it starts jobs, but fails their steps: it does not know the nodes' GPUs (seen with 22.05).
        """
        self.start_controller()
        wait_until(
            lambda: "SlurmdStartTime=None" not in self.ask("scontrol", "show", "node"), "the nodes' registrations"
        )

    def start_node(self, node: str) -> None:
        """Start one node's slurmd."""
        (self.root / "spool" / node).mkdir(exist_ok=True)
        self._run("slurmd", "-f", str(self.conf), "-N", node)

    def repair(self) -> None:
        """Start the daemons that a test ended and did not start again, so that only that test fails."""
        missing = [node for node in (*GPU_NODES, CPU_NODE) if self.daemon(f"slurmd.{node}") is None]
        if self.daemon("slurmctld") is None:
            self.restart_controller()
        for node in missing:
            self.start_node(node)
        if missing:
            self.wait_for_idle()

    def _run(self, *command: str) -> None:
        """Run a command that ends, or a daemon that moves itself to the background."""
        log = self.root / "log" / "start.log"
        with open(log, "a") as written:
            variables = {**os.environ, "SLURM_CONF": str(self.conf), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=written, stderr=written, env=variables)
        if done.returncode:
            raise ClusterFailed(f"{command[0]} ended with {done.returncode}: {log.read_text()[-2000:]}")

    # -- faults -----------------------------------------------------------------------------------------------------

    def daemon(self, name: str) -> int | None:
        """Return the process of a daemon, e.g. slurmctld, slurmd.gpu1 or mariadb; None if it does not run."""
        try:
            pid = int((self.root / "run" / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if runs(pid) else None

    def kill_daemon(self, name: str, with_signal: int = signal.SIGKILL) -> None:
        """End a daemon, but not the processes that it started."""
        pid = self.daemon(name)
        if pid is None:
            raise ClusterFailed(f"{name} does not run")
        os.kill(pid, with_signal)
        wait_until(lambda: self.daemon(name) is None, f"the end of {name}")

    def kill_node(self, node: str) -> None:
        """Simulate a power failure of a node: end slurmd, its step daemons and every process of its jobs at once."""
        steps = processes_of("slurmstepd:")  # of all nodes of this machine
        own = [pid for pid in steps if f"SLURMD_NODENAME={node}" in environment_of_children(pid)]
        doomed = {child for pid in own for child in (pid, *descendants(pid))}
        self.kill_daemon(f"slurmd.{node}")
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End everything that this cluster started, jobs first."""
        if self.daemon("slurmctld") is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.ask("scancel", "--user", getpass.getuser(), check=False)
                end = time.monotonic() + 15
                while self.ask("squeue", "-h", check=False).strip() and time.monotonic() < end:
                    time.sleep(0.2)
        names = [f"slurmd.{node}" for node in (*GPU_NODES, CPU_NODE)]
        for name in (*names, "slurmctld", "slurmdbd", "mariadb", "munged"):
            pid = self.daemon(name)
            if pid is not None:
                os.kill(pid, signal.SIGTERM)
                with contextlib.suppress(ClusterFailed):
                    wait_until(lambda name=name: self.daemon(name) is None, name, 15)  # type: ignore[misc]
                if self.daemon(name) is not None:
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root / "run", ignore_errors=True)
