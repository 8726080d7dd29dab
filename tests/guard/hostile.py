"""Files that no honest program writes. Each would write a canary, or fill the disk, if a careless reader took it."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

TORCH_FILE = "archive/data.pkl"
MANY = 1 << 41
"""Bytes that a bomb announces."""


class Runs:
    """An object whose pickle writes the canary when ``pickle`` loads it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def payload(canary: Path, protocol: int = 2) -> bytes:
    """Return a pickle that writes the canary."""
    return pickle.dumps({"epoch": 0, "callbacks": Runs(canary)}, protocol)


def saved(content: bytes, **tensors: bytes) -> bytes:
    """Return a file of ``torch.save`` with a pickle and the contents of tensors."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(TORCH_FILE, content)
        archive.writestr("archive/byteorder", b"little")
        for name, data in tensors.items():
            archive.writestr(f"archive/data/{name.removeprefix('n')}", data)
    return file.getvalue()


def tensor(shape: int, storage: str = "FloatStorage", key: str = "0", count: int = 4, function: str = "") -> bytes:
    """Return the pickle of one tensor with one dimension, in opcodes as ``torch.save`` writes them."""
    name = function or "torch._utils\n_rebuild_tensor_v2"
    text = b"".join(b"X" + struct.pack("<I", len(part)) + part.encode() for part in (key, "cpu"))
    content = b"(X\7\0\0\0storagectorch\n" + storage.encode() + b"\n" + text + b"J" + struct.pack("<i", count) + b"tQ"
    size = b"J" + struct.pack("<i", shape) + b"\x85"
    return (
        b"\x80\2c" + name.encode() + b"\n(" + content + b"K\0" + size + b"K\1\x85\x89ccollections\nOrderedDict\n)RtR."
    )


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    """Return a member of a tar archive as the format writes it, whatever its fields."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = len(content), kind
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry.tobuf(tarfile.GNU_FORMAT) + content.ljust(-(-len(content) // 512) * 512, b"\0")


def extended(content: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """Return an extended header of a tar archive."""
    return member("PaxHeaders/x", content, kind)


def record(key: str, value: str | bytes) -> bytes:
    """Return a record of an extended header."""
    data = b" " + key.encode() + b"=" + (value if isinstance(value, bytes) else value.encode()) + b"\n"
    length = len(data) + 1
    while length != len(str(length)) + len(data):
        length = len(str(length)) + len(data)
    return str(length).encode() + data


def changed(header: bytes, start: int, content: bytes) -> bytes:
    """Return a header of a tar archive with other bytes at a position, and the check sum that fits them."""
    block = header[:start] + content + header[start + len(content) :]
    total = sum(block[:148]) + sum(block[156:512]) + 8 * ord(" ")
    return block[:148] + f"{total:06o}\0 ".encode() + block[156:]


END = bytes(1024)
GOOD = member("good")


def sparse() -> bytes:
    """Return a sparse member of GNU tar: one byte that becomes two terabytes."""
    header = tarfile.TarInfo("weights/__0_0.distcp")
    header.size, header.type = 512, tarfile.GNUTYPE_SPARSE
    block = header.tobuf(tarfile.GNU_FORMAT)
    table = f"{MANY - 512:011o}\0".encode() + b"00000001000\0"
    size = b"\x80" + MANY.to_bytes(11, "big")
    return changed(changed(block, 386, table), 483, size) + bytes(512)


ARCHIVES: dict[str, bytes] = {
    "traversal": GOOD + member("../canary") + END,
    "traversal inside": GOOD + member("weights/../../canary") + END,
    "absolute path": GOOD + member("/tmp/canary") + END,
    "absolute path after ./": GOOD + member(".//tmp/canary") + END,
    "member ..": GOOD + member("..", b"", tarfile.DIRTYPE) + END,
    "member . inside": GOOD + member("a/./b") + END,
    "member with an empty part": GOOD + member("a//b") + END,
    "member with a backslash": GOOD + member("..\\canary") + END,
    "dots after ./": GOOD + member("./../canary") + END,
    "symbolic link": GOOD + member("link", b"", tarfile.SYMTYPE, linkname="/tmp") + member("link/canary") + END,
    "hard link": GOOD + member("link", b"", tarfile.LNKTYPE, linkname="/etc/passwd") + END,
    "character device": GOOD + member("device", b"", tarfile.CHRTYPE) + END,
    "block device": GOOD + member("device", b"", tarfile.BLKTYPE) + END,
    "pipe": GOOD + member("pipe", b"", tarfile.FIFOTYPE) + END,
    "contiguous file": GOOD + member("file", b"x", tarfile.CONTTYPE) + END,
    "sparse file of GNU": GOOD + sparse() + END,
    "sparse file of POSIX": extended(record("GNU.sparse.realsize", str(MANY))) + GOOD + END,
    "size of terabytes": GOOD + changed(member("big"), 124, b"\x80" + MANY.to_bytes(11, "big")) + END,
    "negative size": GOOD + changed(member("big"), 124, b"\xff" * 12) + END,
    "small size in binary": GOOD + changed(member("file"), 124, b"\x80" + (1).to_bytes(11, "big")) + END,
    "repeated file": GOOD + GOOD + END,
    "repeated file under another name": GOOD + member("./good") + END,
    "file and folder": GOOD + member("good/inner") + END,
    "folder with content": GOOD + member("folder", b"x", tarfile.DIRTYPE) + END,
    "file with a link": GOOD + member("file", linkname="/etc/passwd") + END,
    "path in an extended header": extended(record("path", "../canary")) + GOOD + END,
    "path that is not needed": extended(record("path", "other")) + GOOD + END,
    "size in an extended header": extended(record("size", "1")) + member("file", b"x" * 600) + END,
    "size with a sign": extended(record("size", f"-{1 << 34}")) + GOOD + END,
    "link in an extended header": extended(record("linkpath", "/etc/passwd")) + GOOD + END,
    "charset in an extended header": extended(record("hdrcharset", "BINARY")) + GOOD + END,
    "repeated record": extended(record("mtime", "1") * 2) + GOOD + END,
    "record with a wrong length": extended(b"99 path=x\n") + GOOD + END,
    "record with length zero": extended(b"0 path=x\n") + GOOD + END,
    "global header": extended(record("path", "../canary"), tarfile.XGLTYPE) + GOOD + END,
    "two extended headers": extended(record("mtime", "1")) * 2 + GOOD + END,
    "extended header of a megabyte": extended(record("comment", "x" * (1 << 20))) + GOOD + END,
    "extended header without a member": GOOD + extended(record("mtime", "1")) + END,
    "long name of GNU that leads out": member("././@LongLink", b"../" * 50 + b"canary\0", b"L") + GOOD + END,
    "long name of GNU that is not needed": member("././@LongLink", b"other\0", b"L") + GOOD + END,
    "long link of GNU": member("././@LongLink", b"x" * 120 + b"\0", b"K") + GOOD + END,
    "name that is not UTF-8": GOOD + changed(member("name"), 0, b"\xff\xfe") + END,
    "name with a line break": GOOD + member("a\nb") + END,
    "name that is empty": GOOD + changed(member("n"), 0, b"\0") + END,
    "name of a megabyte": member("././@LongLink", b"x/" * 600 + b"\0", b"L") + GOOD + END,
    "name of many folders": GOOD + member("a/" * 40 + "b") + END,
    "truncated content": (GOOD + member("b", b"x" * 2000))[:-600],
    "truncated header": (GOOD + GOOD)[:1200],
    "one block at the end": GOOD + bytes(512),
    "no end": GOOD,
    "something after the end": GOOD + END + member("hidden"),
    "wrong check sum": GOOD[:148] + b"0000000\0" + GOOD[156:] + END,
    "other bytes": b"not an archive" * 200,
    "no file": member("folder", b"", tarfile.DIRTYPE) + END,
    "nothing": b"",
}
"""Tar archives that are refused, by what is wrong with them."""


COMPRESSED: dict[str, bytes] = {
    "announced gigabytes": gzip.compress(
        changed(member("zeros", b""), 124, f"{2 << 30:011o}\0".encode()) + bytes(4096)
    ),
    "zeros after the end": gzip.compress(GOOD + END + bytes(8 << 20)),
    "truncated": gzip.compress(GOOD + END)[:-20],
    "damaged": gzip.compress(GOOD * 20 + END)[:-60] + bytes(60),
    "link": gzip.compress(member("link", b"", tarfile.SYMTYPE, linkname="/tmp") + END),
}
"""Archives compressed with gzip that are refused."""


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def zip_link() -> bytes:
    """Return a zip with a symbolic link."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return file.getvalue()


def announced(size: int) -> bytes:
    """Return a zip with 16 MB of zeros in 16 kB, of which its directory announces another size."""
    data = zipped(("zeros", bytes(1 << 24)), method=zipfile.ZIP_DEFLATED)
    start = data.index(b"PK\1\2") + 24
    return data[:start] + struct.pack("<I", size) + data[start + 4 :]


def overlapping() -> bytes:
    """Return a zip whose second member lies in the content of the first, as in bombs without recursion."""
    second = zipped(("b", b"content"))
    data = zipped(("a", second[: second.index(b"PK\1\2")]), ("b", b"content"))
    offset = data.rindex(b"PK\1\2") + 42
    return data[:offset] + struct.pack("<I", 31) + data[offset + 4 :]


def two_names() -> bytes:
    """Return a zip whose directory and content have different names."""
    data = zipped((TORCH_FILE, payload(Path("canary"))))
    return data.replace(TORCH_FILE.encode(), b"archive/data.pkx", 1)


ZIPS: dict[str, bytes] = {
    "traversal": zipped(("../canary", b"x")),
    "absolute path": zipped(("/tmp/canary", b"x")),
    "repeated member": zipped(("a", b"x"), ("./a", b"y")),
    "link": zip_link(),
    "bomb": announced(2 << 30),
    "bomb that announces less": announced(1000),
    "overlapping members": overlapping(),
    "two names of one member": two_names(),
    "something before the first member": b"#!/bin/sh\n" + zipped(("a", b"x")),
    "truncated": zipped(("a", b"x"))[:-9],
    "other compression": zipped(("a", b"x"), method=zipfile.ZIP_BZIP2),
}
