"""Isolation and limits of programs, tried with shells and Perl in place of simulations."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.simulation.containment import MIB, NAMESPACES, SIMULATE, WITHOUT, Containment, Limits, NotIsolated

LOW = Limits(1, 30, 512 * MIB, MIB, 2 * MIB, MIB, 16)
GREEDY = """my $text = "a" x 1_000_000; $text .= $text while 1;"""
CONNECT = (
    """use Socket; socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in(80, inet_aton("192.0.2.1"))) or die $!"""
)


@pytest.fixture(scope="module")
def containment() -> Containment:
    return Containment()


def test_a_program_sees_the_system_and_its_scratch_folder_only(containment: Containment, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    script = f"cat {tmp_path}/secret; ls /home /root /proc; echo x > /usr/x; echo x > /x; cat /etc/passwd; ls; hostname"
    outcome = containment.run(["/bin/sh", "-c", script], LOW)
    lines = outcome.output.splitlines()
    assert containment.isolation == NAMESPACES
    assert [line.rpartition(": ")[2] for line in lines[:-1]] == [
        *["No such file or directory"] * 4,
        *["Read-only file system"] * 2,
        "No such file or directory",
    ]
    assert lines[-1] == "tapeout"


def test_the_scratch_folder_is_the_given_one(containment: Containment, tmp_path: Path) -> None:
    given = tmp_path / "input"
    given.write_text("input")
    (tmp_path / "folder").mkdir()
    command = ["/bin/sh", "-c", "cat given; echo kept > kept; echo x > given"]
    outcome = containment.run(command, LOW, folder=tmp_path / "folder", files={"given": given})
    assert outcome.output.startswith("input") and "Read-only file system" in outcome.output
    assert (tmp_path / "folder/kept").read_text() == "kept\n" and given.read_text() == "input"


@pytest.mark.parametrize(
    ("command", "end"),
    [
        (["/bin/sh", "-c", "exit 3"], "ended"),
        (["/bin/sh", "-c", "while :; do :; done"], "time"),
        (["/bin/sleep", "60"], "time"),
        (["/usr/bin/perl", "-e", GREEDY], "memory"),
        (["/usr/bin/yes"], "output"),
        (["/bin/sh", "-c", "exec yes > big"], "file"),
        (["/bin/sh", "-c", "kill -SEGV $$"], "crash"),
        (["/usr/bin/perl", "-e", "fork while 1"], "process"),
        (["/bin/sh", "-c", "ls; ls"], "process"),
    ],
)
def test_each_limit_is_reported(containment: Containment, command: list[str], end: str) -> None:
    limits = Limits(1, 5, *list(vars(LOW).values())[2:]) if "sleep" in command[0] else LOW
    assert containment.run(command, limits, alone=end == "process").end == end


def test_the_scratch_folder_in_memory_is_limited(containment: Containment) -> None:
    script = "for i in 1 2 3 4; do head -c 900000 /dev/zero > $i; done; cat * | wc -c"
    outcome = containment.run(["/bin/sh", "-c", script], LOW)
    assert int(outcome.output.split()[-1]) <= LOW.scratch_bytes


def test_there_is_no_network(containment: Containment) -> None:
    outcome = containment.run(["/usr/bin/perl", "-e", CONNECT], LOW)
    assert outcome.output.startswith("Network is unreachable")


def test_nothing_survives(containment: Containment) -> None:
    name = f"survivor{os.getpid()}"
    script = f"pipe(R, W); if (fork) {{ print scalar <R>; exit }} $0='{name}'; syswrite W, qq(lives\\n); sleep 300"
    outcome = containment.run(["/usr/bin/perl", "-e", script], LOW)
    assert outcome.succeeded and outcome.output == "lives\n"
    assert name not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_where_namespaces_are_forbidden_programs_are_refused_unless_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    # no user namespace below this process's may be made: as on a machine that forbids them
    limit = Path("/proc/sys/user/max_user_namespaces")
    script = (
        "import os, pathlib, sys\n"
        "from tapeout.namespaces import unshare\n"
        "from tapeout.simulation.containment import Containment\n"
        "unshare(network=False, processes=False)\n"
        f"pathlib.Path({str(limit)!r}).write_text('0')\n"
        "outcome = Containment(permit_none=True)\n"
        "print(outcome.isolation, outcome.run(['/bin/echo', 'runs'], __import__('tapeout.simulation.containment')"
        ".simulation.containment.SIMULATE).output)\n"
        "Containment()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == f"{WITHOUT} runs\n\n"
    assert NotIsolated.__name__ in done.stderr


def test_a_later_refusal_is_an_error_and_no_end_of_a_program() -> None:
    script = (
        "import pathlib\n"
        "from tapeout.namespaces import unshare\n"
        "from tapeout.simulation.containment import SIMULATE, Containment\n"
        "unshare(network=False, processes=False)\n"
        "containment = Containment()\n"
        "pathlib.Path('/proc/sys/user/max_user_namespaces').write_text('0')\n"
        "print(containment.isolation, containment.run(['/bin/echo', 'runs'], SIMULATE))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "" and NotIsolated.__name__ in done.stderr


def test_what_did_not_start_is_refused(containment: Containment) -> None:
    with pytest.raises(NotIsolated, match="No such file or directory"):
        containment.run(["/usr/bin/no_such_program"], LOW)
    with pytest.raises(NotIsolated, match="did not start in time"):
        containment.run(["/bin/true"], Limits(1, 0, *list(vars(LOW).values())[2:]))


def test_a_program_that_ends_as_if_refused_is_judged_and_has_no_further_descriptor(containment: Containment) -> None:
    descriptors = "for i in 3 4 5 6 7 8 9; do (: >&$i) 2> /dev/null && echo $i; done; exit 97"
    outcome = containment.run(["/bin/sh", "-c", descriptors], LOW)
    assert (outcome.end, outcome.status, outcome.output) == ("ended", 97, "")


def test_a_program_alone_makes_no_namespaces_and_uses_no_second_numbers_of_system_calls(
    containment: Containment,
) -> None:
    unshare = {"x86_64": 272, "aarch64": 97}[platform.machine()]
    refused = containment.run(["/usr/bin/perl", "-e", f"syscall({unshare}, 0x10000000) and print $!"], LOW, alone=True)
    assert (refused.end, refused.output) == ("ended", "Operation not permitted")
    second = containment.run(["/usr/bin/perl", "-e", f"syscall({0x40000000 | 57})"], LOW, alone=True)
    assert second.end == "process"


def test_the_probe_uses_the_limits_of_simulations(containment: Containment) -> None:
    assert containment.run(["/usr/bin/env"], SIMULATE).succeeded
