"""deploy/local/compare: what it compares of nodes whose logs begin at different entries, and that it never compares nothing."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def batond(tmp_path):
    """In place of the program: prints the file `dump` of the directory."""
    program = tmp_path / "batond"
    program.write_text('#!/bin/sh\n[ "$1 $3 $4" = "--dump-wal --to 9" ] && exec cat "$2/dump"\n')
    program.chmod(0o755)
    return program


def compare(tmp_path, batond, *nodes):
    """A node is its entries and its images, each a text by index."""
    words = []
    for number, (entries, images) in enumerate(nodes, start=1):
        node = tmp_path / f"n{number}"
        (node / "snap").mkdir(parents=True)
        (node / "dump").write_text("".join(f'{{"index":{index},"{text}"}}\n' for index, text in entries.items()))
        for index, text in images.items():
            (node / "snap" / f"{index:016}-1.snap").write_text(text)
        words.append(f"n{number}={node}")
    environment = {**os.environ, "BATOND": str(batond)}
    command = [str(ROOT / "deploy/local/compare"), "9", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def entries(first, **others):
    return {index: others.get(f"e{index}", "same") for index in range(first, 10)}


def test_what_all_have_is_compared(tmp_path, batond):
    done = compare(tmp_path, batond, (entries(1), {4: "a"}), (entries(5), {4: "a", 6: "b"}), (entries(7), {6: "b"}))
    assert done.returncode == 0, done
    last = done.stdout.splitlines()[-1]
    assert last == "Equal: entries 7 to 9 on n1, n2, n3; the snapshot at 6 on n2, n3; the snapshot at 4 on n1, n2."
    same = [line.split()[-1] for line in done.stdout.splitlines() if "entries 7 to 9  " in line]
    assert len(same) == 3 and len(set(same)) == 1


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ((entries(5, e8="other"), {4: "a"}), "Different: entries 5 to 9 on n1, n2."),
        (({5: "same"}, {4: "a"}), "Different: entries 5 to 9 on n1, n2."),
        ((entries(5), {4: "b"}), "Different: the snapshot at 4 on n1, n2."),
        (({}, {}), "Nothing of n1, n2 could be compared"),
        (({}, {3: "a"}), "Nothing of n1, n2 could be compared"),
    ],
)
def test_a_difference_is_found(tmp_path, batond, other, says):
    done = compare(tmp_path, batond, (entries(1), {4: "a"}), other)
    assert done.returncode == 1 and done.stderr.startswith(says), done


def test_each_node_is_compared(tmp_path, batond):
    done = compare(tmp_path, batond, (entries(1), {4: "a"}), (entries(5), {4: "a"}), ({}, {9: "c"}))
    assert done.returncode == 1 and done.stderr.startswith("Nothing of n3 could be compared"), done


def test_an_entry_before_the_common_part_does_not_count(tmp_path, batond):
    done = compare(tmp_path, batond, (entries(1, e2="other"), {}), (entries(3), {}))
    assert done.returncode == 0 and "Equal: entries 3 to 9 on n1, n2.\n" in done.stdout, done


def test_a_log_that_cannot_be_read(tmp_path, batond):
    batond.write_text("#!/bin/sh\nexit 3\n")
    done = compare(tmp_path, batond, (entries(1), {}), (entries(1), {}))
    assert done.returncode == 1 and "n1: the log cannot be read" in done.stderr, done
