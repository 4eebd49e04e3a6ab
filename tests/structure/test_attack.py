"""tests/attack/catalogue.toml: each fault of the disk and of snapshots has a verdict, and names tests that exist."""

import tomllib

from test_documents import known_tests
from test_structure import ROOT

FAULTS = [f"B{number}" for number in (20, 26, 27, 35, *range(48, 55), *range(62, 70))]
VERDICTS = {"test", "mutant", "cannot occur"}


def test_catalogue_of_the_disk():
    with open(ROOT / "tests/attack/catalogue.toml", "rb") as file:
        faults = tomllib.load(file)["fault"]
    assert [fault["id"] for fault in faults] == FAULTS
    known = known_tests()
    for fault in faults:
        assert fault["verdict"] in VERDICTS, fault["id"]
        assert fault["tests"] and set(fault["tests"]) <= known, fault["id"]
        assert fault["why"] or fault["verdict"] == "test", fault["id"]
