"""The mutants of tests/mutants fit the source, are all dead, and are those that the catalogue of faults asks for."""

import json
import pathlib
import sys

import pytest
from test_structure import ROOT

FOLDER = ROOT / "tests/mutants"
sys.path.insert(0, str(FOLDER))

import catalogue  # noqa: E402

MUTANTS = {mutant.id: mutant for mutant in catalogue.mutants()}
RESULTS = json.loads((FOLDER / "results.json").read_text())["mutants"]


@pytest.mark.parametrize("id", MUTANTS)
def test_mutant_fits_the_source(id):
    """Each old text is there once; a change that moves it changes the mutant, too."""
    for path, text in MUTANTS[id].apply().items():
        assert text != (ROOT / path).read_text()


def test_mutants_of_the_catalogue():
    """M01 to M58, each as a mutant or with the reason why it cannot be one."""
    known = set(MUTANTS) | set(catalogue.absent())
    assert {f"M{number:02}" for number in range(1, 59)} <= known


def test_mutants_are_dead():
    """Each was killed when it last ran: make mutants ONLY=... after it was added."""
    assert [id for id in MUTANTS if not RESULTS.get(id, {}).get("killed_by")] == []


def test_mutants_over_all_rooms():
    rooms = {pathlib.Path(file).parts[1] for mutant in MUTANTS.values() for file in mutant.files}
    assert {"raft", "wal", "state", "policy", "verbs", "node", "rpc", "tls", "baton_worker"} <= rooms
