"""The models hold within small bounds, and the broken variants of them are found, but for the slowest; `make model` has larger
bounds, and all variants."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import model  # noqa: E402
import traces  # noqa: E402


@pytest.mark.parametrize("check", model.CHECKS, ids=lambda check: check.name)
def test_model(check: model.Check) -> None:
    wrong = [f"{result.variant or 'the model'}: {result.verdict()}" for result in model.verify_all(check, full=False) if not result.ok]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("trace", traces.TRACES, ids=lambda trace: trace.name)
def test_trace_is_the_models(trace: traces.Trace) -> None:
    assert trace.path.read_text() == traces.text_of(trace)
