"""Answers to questions about RTL from regular expressions, without a parser, for rows that are simple enough."""

import re
from collections.abc import Mapping

WORD = r"[A-Za-z_][\w$]*"
DECLARED = re.compile(
    rf"^\s*(?P<direction>input|output|inout)?\s*(?P<type>(?:wire|reg|logic|bit|signed|unsigned|\s)*)"
    rf"(?P<range>\[[^\[\]]*\])?\s*(?P<names>{WORD}(?:\s*,\s*{WORD})*)\s*[,;]?\s*$"
)


def declarations(context: str) -> dict[str, tuple[str, str]]:
    """Return direction and range by name, from lines that declare plain signals and nothing else."""
    found: dict[str, tuple[str, str]] = {}
    for line in context.splitlines():
        match = DECLARED.match(line.strip().lstrip(",(").strip())
        if match and (match["direction"] or match["type"].strip()):
            for name in re.findall(WORD, match["names"]):
                found[name] = (match["direction"] or "", (match["range"] or "").replace(" ", ""))
    return found


def width(range_text: str) -> str:
    """Return the width of a range as an answer states it."""
    numbers = re.fullmatch(r"\[(\d+):(\d+)\]", range_text)
    if not range_text:
        return "1 bit"
    if not numbers:
        return range_text
    bits = abs(int(numbers[1]) - int(numbers[2])) + 1
    return "1 bit" if bits == 1 else f"{bits} bits"


def opinion(row: Mapping[str, str]) -> str | None:
    """Return the answer to a row without spaces, or None if the case is not simple."""
    asked, context = row["instruction"], row["context"]
    name = asked.rstrip("?.").split()[-1]
    match row["category"]:
        case "module_name":
            answer = re.match(rf"\s*module\s+(?:automatic\s+)?({WORD})", context)
            return answer and answer[1]
        case "port_direction":
            found = declarations(context).get(name)
            return found[0] if found and found[0] else None
        case "signal_width":
            found = declarations(context).get(asked.removeprefix("How wide is ").rstrip("?"))
            return width(found[1]).replace(" ", "") if found else None
        case "list_ports":
            lines = [line.strip() for line in context.splitlines()]
            if lines[0].startswith("module") or not all(re.match(r"input|output|inout", line) for line in lines):
                return None
            return ",".join(re.findall(WORD, re.sub(r"\[[^\]]*\]", "", line))[-1] for line in lines)
        case "parameter_default":
            answer = re.search(rf"\b{re.escape(name)}\s*=\s*([\w'\".]+)\s*[,;\n)]", context)
            return answer and answer[1]
        case "instantiated_modules":
            starts = re.findall(rf"^({WORD})\s*(?:#\s*\(|{WORD}\s*(?:\[[^\]]*\]\s*)?\()", context, re.MULTILINE)
            return ",".join(dict.fromkeys(starts)) if "\n#" not in context.replace(" ", "") else None
        case "complete_declaration":
            given = re.match(
                rf"Complete the last declaration: ({WORD}) (?:is (\d+) bits? wide|has the range (.*))\.$", asked
            )
            assert given is not None
            bits = given[2] and int(given[2])
            return (given[3] or (f"[{bits - 1}:0]" if bits > 1 else "")).replace(" ", "") + f"{given[1]};"
        case "module_header":
            ports = []
            for line in context.splitlines():
                port, kind, size = re.fullmatch(r"(\S+): ([^,]+), (.*)", line).groups()  # type: ignore[union-attr]
                bits = re.fullmatch(r"(\d+) bits?", size)
                span = size if not bits else f"[{int(bits[1]) - 1}:0]" if int(bits[1]) > 1 else ""
                ports.append(f"{kind}{span}{port}")
            module = re.match(rf"Write the header of a module ({WORD})", asked)
            assert module is not None
            return f"module{module[1]}({','.join(ports)});".replace(" ", "")
    return None
