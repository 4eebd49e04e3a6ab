"""Bad flags, and directories that are not what a node left: batond refuses to start, says why, and touches nothing."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import tomllib
from typing import Any

import pytest
from cases import CASES, cases
from nodes import DEADLINE, REPORT, VARIANTS, Node, Variant, ended_within, environment, free_addresses
from pieces import octets
from segments import reseal

MEMORY_KIB = 256 * 1024  # at most, to refuse something; that of pytest, which becomes it, counts, too
SEGMENT = "wal/0000000000000001.jsonl"

# A refusal comes before any connection, so certificates play no part in it.
plain = pytest.mark.parametrize("variant", [name for name in VARIANTS if name.endswith("plain")], indirect=True)


def run(variant: Variant, directory: pathlib.Path, words: list[bytes | str], more: dict[str, str] = {}) -> tuple[int, str]:
    """Exit status and standard error of a batond that must end by itself."""
    address, http = free_addresses(2)
    own = ["--node-id", "n1", "--cluster-id", "c", "--cloud", "gcp", "--data-dir", str(directory / "data"), "--listen", address,
           "--http", http, "--bootstrap", "--peers", f"n1={address}/gcp"]  # fmt: skip
    words = [word.replace("{address}", address) if isinstance(word, str) else word for word in words]
    with subprocess.Popen([variant.program("batond"), *own, *words], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          env={**environment(), **more}) as process:  # fmt: skip
        ended = ended_within(process, DEADLINE)
        said = process.stderr.read()  # type: ignore[union-attr]
    text = said.decode(errors="replace")
    print(ended, text)
    assert not re.search(REPORT, text)
    if variant.build == "release":
        assert ended.rss_kib < MEMORY_KIB
    return ended.status, text


@plain
@pytest.mark.parametrize("case", cases("flags"))
def test_badinput_flags(variant: Variant, tmp_path: pathlib.Path, case: dict[str, Any]) -> None:
    words: list[bytes | str] = [octets(word) for word in case.get("flags", ())]
    if "config" in case:
        (tmp_path / "config").write_bytes(octets(case["config"]))
        words += ["--config", str(tmp_path / "config")]
    status, said = run(variant, tmp_path, words, case.get("environment", {}))
    assert status == 2
    assert case["words"] in said
    assert said.count("\n") == 1 and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said), "an error is one line, whatever was given"
    assert not (tmp_path / "data").exists()


@pytest.fixture(scope="session")
def left(tmp_path_factory: pytest.TempPathFactory, certs: pathlib.Path) -> pathlib.Path:
    """The directory of a node that has stopped in order, with a few entries."""
    directory = tmp_path_factory.mktemp("left")
    with Node(directory, Variant("release", None)) as node:
        node.wait_leads()
        for number in range(5):
            node.call("ControlService/Put", [[1, f"k{number}"], [2, "v"]])
    return directory / "data"


def put(path: pathlib.Path, kind: str, directory: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.rename(directory / "before")
    path.parent.mkdir(exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(directory / "before")
    else:
        path.write_text("no folder")


def change(case: dict[str, Any], data: pathlib.Path, slow: bool) -> None:
    segment = data / SEGMENT
    if "replace" in case:
        old, new = (octets(text) for text in case["replace"])
        bytes_ = segment.read_bytes()
        assert old in bytes_, f"the log has no {old!r}"
        changed = bytes_.replace(old, new, 1)
        segment.write_bytes(reseal(changed) if case.get("reseal") else changed)
    if "put" in case:
        put(data / case["put"][0], case["put"][1], data.parent)
    if "line_bytes" in case:
        line_bytes = case["line_bytes"] // (32 if slow else 1)  # all of it is looked at, to tell a torn batch from damage
        lines = segment.read_bytes().rstrip(b"\n")
        with segment.open("wb") as file:  # a hole, which is read as zeros
            file.write(lines + b'\n{"index":')
            file.seek(line_bytes)
            file.write(b'"}\n')
    if "garbage" in case:
        segment.write_bytes(bytes(range(1, 256)) * (case["garbage"] // 255))
    if "rename" in case:
        (data / case["rename"][0]).rename(data / case["rename"][1])


def look(data: pathlib.Path) -> dict[str, Any]:
    """What is there: small files by their bytes."""
    paths = [data, *data.rglob("*")] if data.is_dir() else [data]
    return {str(path): path.read_bytes() if path.is_file() and path.stat().st_size < 1 << 22 else path.lstat().st_size for path in paths}


@plain
@pytest.mark.parametrize("case", cases("logs"))
def test_badinput_log(variant: Variant, left: pathlib.Path, tmp_path: pathlib.Path, case: dict[str, Any]) -> None:
    data = tmp_path / "data"
    shutil.copytree(left, data)
    change(case, data, variant.slow)
    if case["exit"] == 0:
        with Node(tmp_path, variant) as node:
            assert case["words"] in node.log()
        return
    before = look(data)
    status, said = run(variant, tmp_path, case.get("flags", []))
    assert status == case["exit"]
    assert case["words"] in said
    assert look(data) == before, "it has changed what it refused"


def test_badinput_classes() -> None:
    """Each class of bad input has a case, and each case's class exists; those that need a program are named in a test."""
    classes = tomllib.loads((CASES / "expected.toml").read_text())
    files = [tomllib.loads(path.read_text()).get("case", []) for path in CASES.glob("*.toml")]
    found = {case["id"] for listed in files for case in listed if "id" in case}
    tests = "".join(path.read_text() for path in pathlib.Path(__file__).parent.glob("test_*.py"))
    found |= set(re.findall(r"\bE\d\d\b", tests))
    assert found == set(classes)
    assert sum("id" not in case for listed in files for case in listed) >= 60
