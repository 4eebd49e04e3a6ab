"""Test programs with a mutated source: the object of build/release is compiled again from the changed text, and linked in the
place of the original one."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import re
import shlex
import subprocess
import threading
from typing import Any, Dict, List, Optional, Sequence, Set

from catalogue import ROOT

RELEASE = ROOT / "build/release"
CACHE = ROOT / "build/mutants"


class Broken(Exception):
    """A mutant that does not compile, or did not get into its program: a fault of the mutant or of this script."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A test program, as build/release has it."""

    name: str
    path: str  # below build/release
    arguments: Sequence[str]

    @property
    def starts_processes(self) -> bool:
        return any(argument.endswith("/batond") for argument in self.arguments)


# Some seeds of whole nodes before the slow unit tests, since they end at the first fault, and more at the end.
WORLDS = (
    Program("world-first", "tests/world/world", ("--seed", "1", "--count", "25", "--time", "10")),
    Program("world-more", "tests/world/world", ("--seed", "301", "--count", "300", "--time", "10")),
)


def run(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=RELEASE, capture_output=True, text=True)
    if done.returncode != 0:
        raise Broken(f"{shlex.join(command)[:200]}\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout + done.stderr


@functools.cache
def programs() -> List[Program]:
    tests = json.loads(run(["meson", "introspect", "--tests", "."]))
    found = []
    for test in tests:
        path = os.path.relpath(test["cmd"][0], RELEASE)
        found.append(Program(test["name"], path, tuple(test["cmd"][1:])))
    return [*found, *WORLDS]


@functools.cache
def compile_commands() -> Dict[str, List[str]]:
    """By object."""
    listing = json.loads((RELEASE / "compile_commands.json").read_text())
    return {entry["output"]: shlex.split(entry["command"]) for entry in listing}


@functools.cache
def source_of(output: str) -> str:
    return os.path.relpath((RELEASE / compile_commands()[output][-1]).resolve(), ROOT)


@functools.cache
def includes() -> Dict[str, Set[str]]:
    """The objects that a header goes into, as the compiler has told."""
    users: Dict[str, Set[str]] = {}
    output = ""
    for line in run(["ninja", "-t", "deps"]).splitlines():
        if not line.startswith(" "):
            output = line.split(":")[0]
        elif line:
            path = os.path.relpath((RELEASE / line.strip()).resolve(), ROOT)
            users.setdefault(path, set()).add(output)
    return users


def objects_of(file: str) -> Set[str]:
    """The objects that a source or header goes into, also where a test includes the source; but not those of the fuzzer's, which
    no test links."""
    found = includes().get(file, set()) | {output for output in compile_commands() if source_of(output) == file}
    return {output for output in found if "fuzz" not in output}


def compile_object(output: str, path: pathlib.Path, source: Optional[pathlib.Path], headers: pathlib.Path, *options: str) -> None:
    """Makes `path` as the build makes the object `output`, but with these headers first, perhaps from another source, and without
    what is for debuggers."""
    command = list(compile_commands()[output])
    if command[0] == "ccache":
        command = command[1:]
    for option, size in (("-MF", 2), ("-MQ", 2), ("-MD", 1)):
        at = command.index(option)
        del command[at : at + size]
    command[command.index("-o") + 1] = str(path)
    if source is not None:
        command[-1] = str(source)
    run([command[0], f"-I{headers}", *command[1:], "-g0", *options])


def link_command(program: Program) -> List[str]:
    return shlex.split(run(["ninja", "-t", "commands", program.path]).splitlines()[-1])


def without_whole_archives(command: Sequence[str], objects: Set[str]) -> List[str]:
    """The command with the members in place of the archives that are taken whole and have one of these objects."""
    words: List[str] = []
    whole = False
    for word in command:
        whole = whole and word != "-Wl,--no-whole-archive" or word == "-Wl,--whole-archive"
        members = run(["ar", "t", word]).split() if whole and word.endswith(".a") else []  # thin: their paths
        words += members if objects & set(members) else [word]
    return words


def traced(trace: str) -> Set[str]:
    """The objects in the linker's list of what it has taken, which names one of an archive behind the archive's name."""
    return {re.sub(r"^\(.*\)", "", line.strip()) for line in trace.splitlines() if line.strip().endswith(".o")}


class Links:
    """What each program is made of. Kept beside the build, since it takes a link of each."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.path = CACHE / "links.json"
        self.kept = json.loads(self.path.read_text()) if self.path.exists() else {}

    def of(self, program: Program) -> Set[str]:
        made = (RELEASE / program.path).stat().st_mtime_ns
        with self.lock:
            kept = self.kept.get(program.path)
        if kept is None or kept[0] != made:
            command = link_command(program)
            command[command.index("-o") + 1] = "/dev/null"
            kept = [made, sorted(traced(run([*command, "-Wl,-t"])))]
            with self.lock:
                self.kept[program.path] = kept
                self.path.write_text(json.dumps(self.kept))
        return set(kept[1])


class Mutation:
    """A mutant's objects and programs, below a directory of its own."""

    def __init__(self, mutant: Any, directory: pathlib.Path, links: Links, options: Sequence[str] = ()) -> None:
        self.mutant = mutant  # or what else has an id, files and apply()
        self.options = options  # for the changed objects and the linker
        self.directory = directory
        self.links = links
        self.compiled: Dict[str, str] = {}
        for file, text in mutant.apply().items():
            changed = directory / file
            changed.parent.mkdir(parents=True, exist_ok=True)
            changed.write_text(text)
        self.changed = set().union(*map(objects_of, mutant.files))
        if not self.changed:
            raise Broken(f"{mutant.id}: nothing is compiled of {mutant.files}")

    def is_in(self, program: Program) -> bool:
        return bool(self.changed & self.links.of(program))

    def object(self, output: str) -> str:
        """The path of the changed object."""
        if output not in self.compiled:
            path = self.directory / f"{len(self.compiled)}.o"
            source = self.directory / source_of(output)
            changed = source if source.exists() else None
            compile_object(output, path, changed, self.directory / "src", "-w", *self.options)
            self.compiled[output] = str(path)
        return self.compiled[output]

    def link(self, program: Program) -> pathlib.Path:
        """The program with the mutant in it: the linker takes the first definition that it is given, and says which it took."""
        objects = {output: self.object(output) for output in sorted(self.changed & self.links.of(program))}
        path = self.directory / f"test-{program.name}"
        command = [objects.get(word, word) for word in without_whole_archives(link_command(program), set(objects))]
        at = command.index("-o")
        command[at + 1] = str(path)
        command[at + 2 : at + 2] = [*self.options, *(new for new in objects.values() if new not in command)]
        taken = traced(run([*command, "-Wl,-t"]))
        if not set(objects.values()) <= taken or set(objects) & taken:
            raise Broken(f"{self.mutant.id}: {program.name} has another object than the mutant's")
        return path


def find_program(name: str) -> Optional[Program]:
    return next((program for program in programs() if program.name == name), None)
