"""Program that synthesizes a design with Yosys, and writes a miter of it and another design.

``simulation.yosys`` starts it by path with ``-I -S`` in a contained process, because it reads generated text. It
imports only the standard library and pyosys. ``python -I -S yosys_program.py PACKAGES TOP MITER`` reads the designs in
``golden/`` and ``answer/`` of the working directory, and writes ``facts.json`` at each stage, so that whoever started
it knows the stage at which it was stopped, and the miter ``zero.aig`` or ``defined.aig``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

RESET = re.compile(r"(?:[a-z]_?)?(?:rst|reset)(?:_?(?:n|ni|i|in|b|l))?|n_?(?:rst|reset)", re.IGNORECASE)
"""Names of ports that are a reset."""
LOW = re.compile(r"(?:[a-z]_?)?(?:rst|reset)_?(?:n|ni|b|l)|n_?(?:rst|reset)", re.IGNORECASE)
"""Names of those that are active while low."""
CONFLICT = re.compile(r"conflicting drivers|conflicting with a constant")
"""Messages of Yosys about signals with several drivers."""
LATCHES = {"$dlatch", "$adlatch", "$dlatchsr", "$sr"}
NO_MEMORY = 71
"""Exit status if the limit of memory is reached."""
MAX_STATE_BITS = 600
"""Bits of registers and memories of one design, above which no miter is written."""
PREFIX_STEPS = 8
"""Steps at the beginning in which resets are active, other inputs are 0, and clocks toggle."""


class Yosys:
    """Yosys with one current design.

    Args:
        package: folder that contains pyosys.
    """

    def __init__(self, package: str) -> None:
        sys.path.insert(0, package)
        from pyosys import libyosys

        self._yosys = libyosys
        self._design = libyosys.Design()

    def run(self, *commands: str) -> None:
        """Run commands; the process ends if one fails."""
        for command in commands:
            self._yosys.run_pass(command, self._design)

    def module(self, name: str) -> dict[str, Any]:
        """Return a module as in the JSON backend of Yosys."""
        self.run("write_json module.json")
        found: dict[str, Any] = json.loads(Path("module.json").read_text())["modules"][name]
        return found

    def read(self, folder: str, top: str, name: str) -> None:
        """Read a design, and make one module of it without processes; ``check.txt`` has its conflicting drivers.

        Constants that drive a signal beside something else are found only before unused cells are removed.
        """
        files = " ".join(f'"{folder}/{path}"' for path in json.loads(Path(folder, "sources.json").read_text()))
        self.run(
            f"read_verilog -sv -noassert -noassume {files}",
            f"hierarchy -check -top {top}",
            "proc",
            "flatten",
            "tee -q -o check.txt check -force-detailed-loop-check",
            "chformal -remove",
            "delete t:$print",
            "memory_collect",
            "opt_clean",
            f"rename -top {name}",
        )


def state_bits(module: dict[str, Any]) -> int:
    """Return the bits of registers, latches and memories of a module."""
    bits = 0
    for cell in module["cells"].values():
        values, kind = cell["parameters"], cell["type"]
        if kind.startswith("$mem"):
            bits += int(values["SIZE"], 2) * int(values["WIDTH"], 2)
        elif "Q" in cell["connections"]:
            bits += len(cell["connections"]["Q"])
    return bits


def whole(module: dict[str, Any]) -> dict[str, Any]:
    """Return a module without modules below it; the program ends if there is one, of which nothing would be known."""
    left = sorted({cell["type"] for cell in module["cells"].values() if not cell["type"].startswith("$")})
    if left:
        raise SystemExit(f"ERROR: the module {left[0]} is not part of the design")
    return module


def drives_inputs(module: dict[str, Any]) -> bool:
    """Return whether inputs are connected to each other or to constants, which would bind the other design, too."""
    bits = [bit for port in module["ports"].values() if port["direction"] == "input" for bit in port["bits"]]
    return len(set(bits)) < len(bits) or not all(isinstance(bit, int) for bit in bits)


def clock_of(module: dict[str, Any]) -> tuple[str, str] | None:
    """Return the port that clocks everything, and its edge; ``("", "")`` without clocked cells, None if there is none.

    A port is no such clock if it has any other use, or there are latches.
    """
    clocks, other = set(), set()
    for cell in module["cells"].values():
        if cell["type"] in LATCHES:
            return None
        for port, bits in cell["connections"].items():
            if port.endswith("CLK"):
                clocks |= set(clock_edges(cell, port))
            else:
                other |= {str(bit) for bit in bits}
    other |= {str(bit) for port in module["ports"].values() if port["direction"] == "output" for bit in port["bits"]}
    if not clocks:
        return "", ""
    bit, edge = min(clocks)
    ports = {str(port["bits"][0]): name for name, port in module["ports"].items() if len(port["bits"]) == 1}
    return (ports[bit], edge) if len(clocks) == 1 and bit in ports and bit not in other else None


def clock_edges(cell: dict[str, Any], port: str) -> list[tuple[str, str]]:
    """Return the bits of a clock port that are in use, with their edges; a memory has a bit for each of its ports."""
    bits, values = cell["connections"][port], cell["parameters"]
    edges = values[f"{port}_POLARITY"].zfill(len(bits))[::-1]
    used = values.get(f"{port}_ENABLE", "1" * len(bits)).zfill(len(bits))[::-1]
    return [(str(bit), edge) for bit, edge, is_used in zip(bits, edges, used, strict=False) if is_used == "1"]


def clock_ports(module: dict[str, Any]) -> set[str]:
    """Return the input ports of one bit that are connected to a clock."""
    clocks = {
        bit
        for cell in module["cells"].values()
        for port in cell["connections"]
        if port.endswith("CLK")
        for bit, _ in clock_edges(cell, port)
    }
    return {
        name
        for name, port in module["ports"].items()
        if port["direction"] == "input" and len(port["bits"]) == 1 and str(port["bits"][0]) in clocks
    }


def miter(ports: dict[str, Any], clocks: set[str], with_mask: bool) -> str:
    """Return the Verilog text of a miter of the modules ``golden`` and ``answer``.

    Output bits of the golden solution that its mask calls undefined are not compared.
    """
    names = sorted(ports)
    inputs = [name for name in names if ports[name]["direction"] == "input"]
    outputs = [name for name in names if ports[name]["direction"] == "output"]
    width = {name: len(ports[name]["bits"]) for name in names}
    lines = [
        f"module miter({', '.join(f'in{index}' for index in range(len(inputs)))}{', ' if inputs else ''}differs);",
        "  (* gclk *) wire step_clock;",
        "  reg [3:0] count = 0;",
        f"  wire begins = count != {PREFIX_STEPS};",
        "  always @(posedge step_clock) if (begins) count <= count + 1;",
    ]
    connections = []
    for index, name in enumerate(inputs):
        first = f"{width[name]}'d0"
        if RESET.fullmatch(name) and width[name] == 1:
            first = "1'b0" if LOW.fullmatch(name) else "1'b1"
        if name in clocks:
            first = "count[0]"
        lines += [
            f"  input [{width[name] - 1}:0] in{index};",
            f"  wire [{width[name] - 1}:0] used{index} = begins ? {first} : in{index};",
        ]
        connections.append(f".\\{name} (used{index})")
    lines.append(f"  output [{len(outputs) - 1}:0] differs;")
    golden, answer = list(connections), list(connections)
    for index, name in enumerate(outputs):
        lines.append(f"  wire [{width[name] - 1}:0] golden{index}, answer{index}, mask{index};")
        answer.append(f".\\{name} (answer{index})")
        if with_mask:
            golden += [f".\\{name}_d (golden{index})", f".\\{name}_x (mask{index})"]
        else:
            golden.append(f".\\{name} (golden{index})")
            lines.append(f"  assign mask{index} = 0;")
        lines.append(f"  assign differs[{index}] = !begins && |((golden{index} ^ answer{index}) & ~mask{index});")
    lines += [f"  golden golden_design({', '.join(golden)});", f"  answer answer_design({', '.join(answer)});"]
    return "\n".join([*lines, "endmodule\n"])


def write_miter(yosys: Yosys, ports: dict[str, Any], clocks: set[str], single: bool, with_mask: bool) -> None:
    """Write the miter of the stashed designs ``golden`` and ``answer``."""
    steps = ("async2sync", "formalff -clk2ff") if single else ("clk2fflogic",)
    zero = ("setundef -undriven -zero", "setundef -init -zero", "setundef -zero")
    yosys.run("design -reset", "design -copy-from stash_answer -as answer answer", "memory_map", *steps, *zero)
    yosys.run("design -stash mapped_answer")
    yosys.run("design -reset", "design -copy-from stash_golden -as golden golden", "memory_map", *steps)
    if with_mask:
        yosys.run("opt_expr -keepdc", "opt_clean")
        yosys.run("xprop -required -split-outputs -assume-def-inputs golden", "chformal -assume -remove", "opt_clean")
    yosys.run(*zero, "design -copy-from mapped_answer -as answer answer")
    Path("miter.v").write_text(miter(ports, clocks, with_mask))
    yosys.run(
        "read_verilog miter.v",
        "hierarchy -check -top miter",
        "proc",
        "flatten",
        "opt_clean",
        *zero,
        "opt_expr",
        "opt_clean",
        "techmap",
        *zero,
        "opt_expr",
        "opt_clean",
        "dffunmap",
        "aigmap",
        "opt_clean",
        f"write_aiger -zinit {'defined' if with_mask else 'zero'}.aig",
    )


def main() -> None:
    """Synthesize the answer, and write a miter of it and the golden solution."""
    try:
        synthesize()
    except MemoryError:  # of Yosys too, which has no message for it
        os._exit(NO_MEMORY)


def synthesize() -> None:
    """Do so in the current folder.

    Raises:
        MemoryError: the limit of memory is reached.
    """
    package, top, kind = sys.argv[1:4]
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    facts: dict[str, Any] = {}

    def note(**found: Any) -> None:
        facts.update(found)
        Path("facts.json").write_text(json.dumps(facts))

    note(stage="golden")
    yosys = Yosys(package)
    yosys.read("golden", top, "golden")
    golden = whole(yosys.module("golden"))
    yosys.run("design -stash stash_golden", "design -reset")
    note(stage="read")
    yosys.read("answer", top, "answer")
    answer = whole(yosys.module("answer"))
    note(stage="synthesize")
    yosys.run(
        "design -save read",
        "synth -noabc -top answer -run coarse:fine",
        "design -load read",
        "design -stash stash_answer",
    )
    found = Path("check.txt").read_text()
    has_latches = [any(cell["type"] in LATCHES for cell in one["cells"].values()) for one in (golden, answer)]
    problems = {
        "conflicting_drivers": CONFLICT.search(found) is not None or drives_inputs(answer),
        "combinational_loop": "found logic loop" in found,
        "inferred_latch": has_latches[1] and not has_latches[0],
    }
    note(stage="compare", problems=[name for name, is_so in problems.items() if is_so])
    ports = {name: (port["direction"], len(port["bits"])) for name, port in golden["ports"].items()}
    others = {name: (port["direction"], len(port["bits"])) for name, port in answer["ports"].items()}
    if ports != others or "inout" in {direction for direction, _ in ports.values()}:
        note(stage="other_ports")
    elif max(state_bits(golden), state_bits(answer)) > MAX_STATE_BITS:
        note(stage="too_large")
    else:
        note(outputs=[name for name, (direction, _) in sorted(ports.items()) if direction == "output"])
        clock = clock_of(golden)
        is_single = clock is not None and clock == clock_of(answer)
        write_miter(
            yosys, golden["ports"], clock_ports(golden) | clock_ports(answer), is_single, with_mask=kind == "defined"
        )
        note(stage="done")


if __name__ == "__main__":
    main()
