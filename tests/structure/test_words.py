"""What is made from the tables of commands and options: the manual pages, and completing batonctl's words, in real shells."""

import os
import pty
import re
import select
import subprocess
import time

import pytest
from test_structure import BUILD

DEADLINE_S = 10
PROGRAM = BUILD / "src/cmd/batonctl"
PATH = {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "TERM": "dumb", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, env=PATH, timeout=DEADLINE_S).stdout


def words(listing, start):
    """The first words of the lines that begin with two spaces, after the line `start` and up to an empty one."""
    block = listing.split(f"\n{start}", 1)[1].split("\n\n", 1)[0]
    return block.splitlines()[1:]


class Shell:
    """An interactive shell on a terminal of its own, which has sourced the completions."""

    def __init__(self, shell, *arguments, before):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(shell, [shell, *arguments], {**PATH, "PS1": "$ "})
        self.seen = ""
        self.type(f"{before} source <(batonctl completion {shell}); echo rea''dy\n")
        self.wait_for("ready")

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, text):
        until = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            readable, _, _ = select.select([self.terminal], [], [], max(0, until - time.monotonic()))
            assert readable, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self.terminal, 4096).decode(errors="replace")

    def end(self):
        os.close(self.terminal)  # a hangup
        os.waitpid(self.pid, 0)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_words_are_completed_in(shell, tmp_path):
    """A tab makes a command of its beginning, and a path of a file's: the command that is then run says so."""
    (tmp_path / "nightly-backup").write_text("not one")
    how = {"bash": (["--norc", "--noprofile", "-i"], ""), "zsh": (["-f", "-i"], "autoload -U compinit; compinit -u -D;")}[shell]
    interactive = Shell(shell, *how[0], before=how[1])
    try:
        interactive.type("batonctl backup che\t/nonexistent/file\n")
        interactive.wait_for("opening /nonexistent/file")
        interactive.type(f"batonctl backup check {tmp_path}/nigh\t\n")
        interactive.wait_for(f"{tmp_path}/nightly-backup:")
    finally:
        interactive.end()


def test_words_are_completed_in_fish(tmp_path):
    def complete(line):
        lines = run("fish", "--no-config", "-c", f"batonctl completion fish | source; complete -C '{line}'").splitlines()
        return [line.split("\t")[0] for line in lines]

    (tmp_path / "nightly-backup").write_text("")
    assert complete("batonctl worker ") == ["list", "show"]
    assert complete("batonctl -o j") == ["json"]
    assert "--expect" in complete("batonctl put k v --") and "--expect" not in complete("batonctl get k --")
    assert complete(f"batonctl backup check {tmp_path}/nigh") == [f"{tmp_path}/nightly-backup"]


def test_words_are_completed_with_all_of_them():
    """Every command and every option of --help is a candidate where it may stand."""
    listing = run(PROGRAM, "--help")
    commands = [re.match(r"  ([a-z]+(?: [a-z]+)?)(?= |$)", line)[1] for line in words(listing, "commands")]
    assert len(commands) > 15
    for command in commands:
        first, _, second = command.partition(" ")
        assert f"{first}\t" in run(PROGRAM, "__complete", first)
        if second:
            assert re.search(rf"^{second}\t", run(PROGRAM, "__complete", first, ""), re.MULTILINE)
    options = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", listing, re.MULTILINE)
    assert re.findall(r"^(--[a-z-]+)", run(PROGRAM, "__complete", "--"), re.MULTILINE) == options


@pytest.mark.parametrize("page", ["batond.8", "batonctl.1"])
def test_manual_page(page, tmp_path):
    """It has every option of --help, and groff and mandoc have nothing to say about it."""
    file = BUILD / "src/cmd" / page
    program = file.stem
    help_text = run(BUILD / "src/cmd" / program, "--help")
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-P-cbou", file], capture_output=True, text=True, check=True, timeout=DEADLINE_S)
    assert done.stderr == ""
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", file], capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert not [line for line in lint.stdout.splitlines() if "missing date" not in line]  # a build has none
    plain = re.sub("[\u2010\u2212]", "-", done.stdout)
    for option in re.findall(r"^  (?:-\w, )?(--[a-z-]+)", help_text, re.MULTILINE):
        assert re.search(rf"^ +(?:-\w, )?{option}(?: |$)", plain, re.MULTILINE), option
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"):
        assert f"\n{section}\n" in plain
