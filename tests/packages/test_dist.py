"""`make dist`: the same commit, built twice in other places and under other settings, gives the same bytes; and what they are."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Dict, List

import pytest
from system import ROOT

SECONDS = 600
NAME = r"baton-(\d+\.\d+\.\d+(?:-dev[.\w+]*)?)"


def make(folder: Path, mask: int, **environment: str) -> Path:
    """What deploy/dist makes in a clone at this place. Optimising would take thrice as long, and say no more about paths."""
    folder.parent.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, folder], check=True, capture_output=True, umask=mask)
    settings = {**os.environ, "CCACHE_DISABLE": "1", "DIST_OPTIONS": "-Doptimization=0", **environment}
    done = subprocess.run([folder / "deploy/dist"], env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=SECONDS, umask=mask)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build/dist"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> List[Path]:
    tmp = tmp_path_factory.mktemp("dist")
    return [make(tmp / "a/baton", 0o022, TZ="UTC", LC_ALL="C"),
            make(tmp / "another/and longer/place", 0o077, TZ="Asia/Tokyo", LC_ALL="C.UTF-8", SOURCE_DATE_EPOCH="1")]  # fmt: skip


def sums(folder: Path) -> Dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def only(folder: Path, pattern: str) -> Path:
    (found,) = (path for path in folder.iterdir() if re.fullmatch(pattern, path.name))
    return found


def TestDistIsReproducible(made: List[Path]) -> None:
    first, second = map(sums, made)
    assert len(first) == 4
    assert first == second
    listed = dict(reversed(line.split()) for line in (made[0] / "SHA256SUMS").read_text().splitlines())
    assert listed == {name: digest for name, digest in first.items() if name != "SHA256SUMS"}


def TestDistHasTheSource(made: List[Path], tmp_path: Path) -> None:
    """All that is committed, and a VERSION that says which commit it is, without git."""
    path = only(made[0], NAME + r"\.tar\.xz")
    version = path.name.removeprefix("baton-").removesuffix(".tar.xz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        archive.extractall(tmp_path)
    root = tmp_path / f"baton-{version}"
    committed = subprocess.run(["git", "ls-tree", "-r", "--name-only", "-z", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert sorted(str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()) == sorted(committed.stdout.split("\0")[:-1])
    assert [member.name for member in members] == sorted((member.name for member in members), key=lambda name: name.split("/"))
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
    assert {member.mode for member in members if not member.issym()} == {0o644, 0o755}
    said = subprocess.run([root / "deploy/version"], check=True, capture_output=True, text=True).stdout.strip()
    assert said == version and said.startswith((ROOT / "VERSION").read_text().strip())


def TestDistHasThePrograms(made: List[Path], tmp_path: Path) -> None:
    """They run, know their version, and tell nothing of where they were built."""
    path = only(made[0], NAME + r"-linux-\w+\.tar\.xz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path)
    root = tmp_path / path.name.removesuffix(".tar.xz")
    version = re.match(NAME, path.name)[1]  # type: ignore[index]
    assert sorted(program.name for program in (root / "bin").iterdir()) == ["baton-bench", "batonctl", "batond"]
    for program in (root / "bin").iterdir():
        shown = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
        assert shown == f"{program.name} {version}\n"
        assert str(made[0].parents[1]).encode() not in program.read_bytes()
    documents = root / "share/doc/baton"
    assert {"LICENSE", "CHANGELOG.md", "licences.md", "upgrading.md"} <= {document.name for document in documents.iterdir()}
    sbom = json.loads((documents / "sbom.spdx.json").read_text())
    digests = {package["name"]: package["checksums"][0]["checksumValue"] for package in sbom["packages"] if "checksums" in package}
    assert digests == {name: digest for name, digest in sums(root / "bin").items()}
    assert (documents / "sbom.spdx.json").read_bytes() == only(made[0], NAME + r"\.spdx\.json").read_bytes()
