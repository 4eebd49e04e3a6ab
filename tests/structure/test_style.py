"""The formatter and the linter have nothing to say, and what the documents refer to is there."""

import os
import pathlib
import re
import subprocess

import pytest
from test_structure import ROOT, name_of, tracked


def check(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]


def test_clang_format():
    """Braces and the order of includes, too: .clang-format inserts the ones and sorts the others."""
    check(["clang-format-16", "--dry-run", "-Werror", *map(name_of, tracked("src/*.[ch]", "tests/*.[ch]", "bench/*.[ch]", "proto/baton/*.proto"))])


def scripts():
    for path in tracked("*"):
        with open(path, "rb") as file:
            if re.match(rb"#!.*\b(ba)?sh\b", file.readline(200)):
                yield path


def test_shellcheck():
    check(["shellcheck", *map(name_of, scripts())])


def test_images_are_built_from_what_the_context_has():
    """What the Dockerfile copies is there, and .dockerignore lets it in."""
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "deploy/docker/Dockerfile").read_text(), re.MULTILINE)
    sources = " ".join(copies).split()
    assert sources and [path for path in sources if not (ROOT / path).exists()] == []
    assert [path for path in sources if not any(f"{path}/".startswith(f"{folder}/") for folder in let_in)] == []


def test_scripts_may_be_run():
    shebangs = [path for path in tracked("*") if path.read_bytes()[:2] == b"#!"]
    assert not [name_of(path) for path in shebangs if not os.access(path, os.X_OK)]


@pytest.mark.parametrize("document", tracked("*.md"), ids=name_of)
def test_document(document):
    text = document.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    missing = [f"make {target}" for target in re.findall(r"`make ([a-z][a-z-]*)", text) if target not in targets]
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in link and not link.startswith("mailto:") and not (document.parent / pathlib.Path(link)).exists():
            missing.append(link)
    assert not missing, f"{name_of(document)} refers to {missing}"
