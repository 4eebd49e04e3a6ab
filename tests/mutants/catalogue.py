"""The mutants of tests/mutants/*.toml: what each changes, and whether that still fits the source."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import tomllib
from typing import Any, Dict, List

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(__file__).resolve().parent


class Misfit(Exception):
    """A mutant that does not fit the source any more, or a file that does not say what it must."""


@dataclasses.dataclass(frozen=True)
class Edit:
    file: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Mutant:
    id: str
    what: str
    source: str  # the paper's place, the fault of the catalogue, or why it is worth a mutant
    edits: List[Edit]
    subject: str  # the file of the catalogue

    @property
    def files(self) -> List[str]:
        return sorted({edit.file for edit in self.edits})

    def apply(self) -> Dict[str, str]:
        """The changed files' contents."""
        texts: Dict[str, str] = {}
        for edit in self.edits:
            text = texts.get(edit.file) or (ROOT / edit.file).read_text()
            if text.count(edit.old) != 1 or edit.old == edit.new:
                raise Misfit(f"{self.id}: its old text is {text.count(edit.old)} times in {edit.file}, not once:\n{edit.old}")
            texts[edit.file] = text.replace(edit.old, edit.new)
        return texts


def _mutant(table: Dict[str, Any], subject: str) -> Mutant:
    known = {"id", "what", "source", "file", "old", "new", "also"}
    if set(table) - known or not known - {"also"} <= set(table):
        raise Misfit(f"{subject}: {table.get('id')} has the fields {sorted(table)}")
    also = [Edit(other.get("file", table["file"]), other["old"], other["new"]) for other in table.get("also", [])]
    return Mutant(table["id"], table["what"], table["source"], [Edit(table["file"], table["old"], table["new"]), *also], subject)


def _order(id: str) -> Any:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", id)]


def mutants() -> List[Mutant]:
    """All of them, by id."""
    found: Dict[str, Mutant] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        for table in tomllib.loads(path.read_text()).get("mutant", []):
            mutant = _mutant(table, path.stem)
            if mutant.id in found:
                raise Misfit(f"two mutants are called {mutant.id}")
            found[mutant.id] = mutant
    return [found[id] for id in sorted(found, key=_order)]


def absent() -> Dict[str, str]:
    """Mutants that cannot be written here, and why."""
    return {
        table["id"]: table["reason"]
        for path in sorted(FOLDER.glob("*.toml"))
        for table in tomllib.loads(path.read_text()).get("absent", [])
    }
