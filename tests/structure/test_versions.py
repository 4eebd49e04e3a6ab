"""A release's version, its changes and its compatibility, wherever they are written; and what deploy/version makes of a tag."""

import os
import re
import shutil
import subprocess

import pytest
from test_structure import BUILD, ROOT

VERSION = (ROOT / "VERSION").read_text().strip()
BASE = VERSION.removesuffix("-dev")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
UPGRADING = (ROOT / "docs/upgrading.md").read_text()
SECTIONS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]  # of Keep a Changelog, in this order


def releases():
    """Those of the changelog, newest first."""
    return re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d{2}-\d{2}$", CHANGELOG, re.MULTILINE)


def test_programs_and_worker_have_the_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+(-dev)?", VERSION)
    assert "version: files('VERSION')," in (ROOT / "meson.build").read_text()
    assert f'\n__version__ = "{VERSION}"\n' in (ROOT / "worker/baton_worker/__init__.py").read_text()
    program = BUILD / "src/cmd/batond"
    if program.exists():
        assert subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout == f"batond {VERSION}\n"


def test_changelog_is_kept():
    """Under each version are the sections of Keep a Changelog; a release has a date, and nothing is unreleased in it."""
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert len(releases()) == len(headings) - 1
    for part in CHANGELOG.split("\n## ")[1:]:
        sections = re.findall(r"^### (.*)$", part, re.MULTILINE)
        assert sections == [name for name in SECTIONS if name in sections], part.splitlines()[0]
    if VERSION == BASE:
        assert releases()[0] == VERSION
    else:
        assert releases()[0] != BASE


def test_every_release_has_an_upgrade_note():
    noted = re.findall(r"^## (?:To )?(\d\S*)$", UPGRADING, re.MULTILINE)
    assert noted == list(dict.fromkeys([BASE, *releases()]))


def enum(path, name):
    return re.search(rf"\b{name} = (\w+)", (ROOT / "src" / path).read_text())[1]


def test_compatibility_is_that_of_the_source():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in UPGRADING.splitlines() if line.startswith("|")]
    assert rows[0][1:] == [*reversed(releases()), *([] if BASE in releases() else [BASE])]
    last = {row[0].split(",")[0]: row[-1] for row in rows[2:] if "reads" not in row[0] or "level" in row[0]}
    assert last["log"] == enum("wal/record.h", "WAL_FORMAT_VERSION")
    assert last["images (snapshots"] == enum("wal/image.h", "WAL_IMAGE_VERSION")
    assert last["level"] == enum("wire/command.h", enum("wire/command.h", "COMMAND_LEVEL"))
    assert last["between nodes"] == enum("wire/raft_messages.h", "WIRE_PROTOCOL_VERSION")


# --- deploy/version ---


@pytest.fixture
def tree(tmp_path):
    """A repository of two commits, with VERSION 0.2.0-dev."""
    root = tmp_path / "tree"
    (root / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "deploy/version", root / "deploy")
    git(root, "init", "--quiet")
    for version in ("0.1.0", "0.2.0-dev"):
        commit(root, version)
    return root


def git(root, *words):
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", *words], cwd=root, env={**os.environ, **who}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(root, version):
    (root / "VERSION").write_text(version + "\n")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", version)


def said(root, status=0):
    done = subprocess.run([root / "deploy/version"], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return (done.stderr if status else done.stdout).strip()


def test_version_of_a_commit(tree):
    head = git(tree, "rev-parse", "--short=8", "HEAD")
    assert said(tree) == f"0.2.0-dev.2+g{head}"
    git(tree, "tag", "v0.1.0", "HEAD~1")
    assert said(tree) == f"0.2.0-dev.1+g{head}"
    (tree / "deploy/version").write_text((tree / "deploy/version").read_text() + "\n")
    assert said(tree) == f"0.2.0-dev.1+g{head}.changed"


def test_version_of_a_release(tree):
    commit(tree, "0.2.0")
    assert said(tree) == "0.2.0"
    git(tree, "tag", "--annotate", "--message", "0.2.0", "v0.2.0")
    assert said(tree) == "0.2.0"


def test_version_of_a_tag_that_says_another(tree):
    git(tree, "tag", "v0.2.0")
    assert "write 0.2.0 into VERSION" in said(tree, status=1)


def test_version_without_history(tree, tmp_path):
    """In a shallow clone nobody knows the number of commits; without git, or inside another tree's, VERSION has all there is."""
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tree}", "shallow")
    assert said(tmp_path / "shallow") == f"0.2.0-dev+g{git(tree, 'rev-parse', '--short=8', 'HEAD')}"
    shutil.copytree(tree, tree / "inner", ignore=shutil.ignore_patterns(".git"))
    assert said(tree / "inner") == "0.2.0-dev"
    shutil.rmtree(tree / ".git")
    assert said(tree) == "0.2.0-dev"
