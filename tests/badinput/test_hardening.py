"""What the compiler and the linker put into the programs against faults of ours that nobody has found yet."""

from __future__ import annotations

import pathlib
import platform
import re
import subprocess

import pytest
from nodes import BUILDS

PROGRAMS = ["batond", "batonctl", "wanlink", "baton-bench"]


def readelf(option: str, path: pathlib.Path) -> str:
    return subprocess.run(["readelf", "-W", option, path], check=True, capture_output=True, text=True).stdout


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> pathlib.Path:
    path: pathlib.Path = BUILDS["release"] / "src/cmd" / request.param
    if not path.exists():
        pytest.skip("build/release is not built yet")
    return path


def test_badinput_program_is_hardened(program: pathlib.Path) -> None:
    header, segments, dynamic = (readelf(option, program) for option in ("-h", "-l", "-d"))
    assert re.search(r"Type:\s+DYN \(Position-Independent Executable", header), "not PIE"
    assert "GNU_RELRO" in segments and re.search(r"FLAGS_1.*\bNOW\b", dynamic), "not all of what the loader sets is read-only"
    assert re.search(r"GNU_STACK(?:\s+0x0+){3}.*? RW ", segments.replace("0x000000", "0x0")), "the stack is executable"
    assert not re.search(r"\bRWE\b", segments), "memory is writable and executable"
    assert not re.search(r"RPATH|RUNPATH", dynamic), "libraries are looked for elsewhere"


def test_badinput_program_checks_its_buffers(program: pathlib.Path) -> None:
    symbols = readelf("--dyn-syms", program)
    assert "__stack_chk_fail" in symbols
    assert re.search(r"__\w+_chk(@|\b)(?<!__stack_chk_fail)", symbols.replace("__stack_chk_fail", "")), "not fortified"


def test_badinput_program_was_compiled_so() -> None:
    """What leaves no trace in the code is in the compiler's own record (DW_AT_producer)."""
    record = readelf("--debug-dump=info", BUILDS["release"] / "src/cmd/wanlink")
    for option in ("-fstack-clash-protection", "-fcf-protection", "-fstack-protector-strong"):
        assert option in record


@pytest.mark.skipif(platform.machine() != "x86_64", reason="CET is of x86-64")
def test_badinput_program_can_be_landed_in(program: pathlib.Path) -> None:
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", program], check=True, capture_output=True, text=True).stdout
    functions = len(re.findall(r"^[0-9a-f]+ <(?!.*@plt)[a-z]\w+>:\n", code, re.MULTILINE))
    landings = len(re.findall(r"^[0-9a-f]+ <(?!.*@plt)[a-z]\w+>:\n\s+\S+\s+endbr64", code, re.MULTILINE))
    assert landings > functions / 2, f"{landings} of {functions} functions begin as CET wants"


def test_badinput_plan_says_fortify_3() -> None:
    commands = (BUILDS["release"] / "compile_commands.json").read_text()
    ours = [command for command in re.findall(r'"command": "(.*?)",\n', commands) if "src/cmd/batond.c" in command]
    assert ours and all("-D_FORTIFY_SOURCE=3" in command for command in ours)
