"""The cases of tests/badinput/cases, as parameters of tests."""

from __future__ import annotations

import pathlib
import tomllib
from typing import Any

import pytest

CASES = pathlib.Path(__file__).resolve().parent / "cases"


def cases(file: str) -> list[Any]:
    """Each a test of its own, named by its class, if it is of one, and its name."""
    listed = tomllib.loads((CASES / f"{file}.toml").read_text())["case"]
    names = [" ".join(filter(None, (case.get("id"), case["name"]))) for case in listed]
    assert len(set(names)) == len(names), f"{file}.toml has a name twice"
    return [pytest.param(case, id=name) for case, name in zip(listed, names)]


def one_of(expected: Any) -> list[Any]:
    return expected if isinstance(expected, list) else [expected]
