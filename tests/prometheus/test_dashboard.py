"""deploy/grafana/baton.json: what its script makes, in the form that Grafana loads, of metrics and recorded series that exist."""

import json
import re
import subprocess

import pytest
from test_rules import OPERATIONS, ROOT, promtool, rules

SCRIPT = ROOT / "deploy/grafana/dashboard"
DASHBOARD = json.loads((ROOT / "deploy/grafana/baton.json").read_text())
PANELS = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in SHOWN for target in panel["targets"]]

GRID_WIDTH = 24
UNITS = {"short", "s", "ms", "bytes", "Bps", "ops", "rps", "wps", "percentunit"}  # of Grafana's, by its own ids
VARIABLES = {"datasource", "job", "instance"}
BUILT_IN = {"__rate_interval"}


def as_promql(expression):
    """With values in place of Grafana's variables."""
    values = {"$__rate_interval": "1m", "$instance": ".+", "$job": "baton"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    return expression


def test_it_is_what_its_script_makes():
    assert subprocess.run([SCRIPT, "--check"], check=False).returncode == 0, "run deploy/grafana/dashboard"


def test_it_has_what_grafana_asks_of_a_dashboard():
    assert DASHBOARD["schemaVersion"] >= 36 and "id" not in DASHBOARD  # an id is the database's
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", DASHBOARD["uid"])
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert set(variables) == VARIABLES
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in SHOWN:
        assert panel["title"] and panel["description"] and panel["type"] in ("stat", "timeseries")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert refs == [chr(ord("A") + i) for i in range(len(refs))]
        assert {entry["datasource"]["uid"] for entry in (panel, *panel["targets"])} == {"${datasource}"}
    used = {name for expression in EXPRESSIONS for name in re.findall(r"\$(\w+)", expression)}
    assert used == (VARIABLES - {"datasource"}) | BUILT_IN


def test_panels_do_not_overlap():
    taken = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert 0 <= place["x"] and place["x"] + place["w"] <= GRID_WIDTH and place["h"] > 0
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_expressions_parse(tmp_path):
    """By promtool, as if each were recorded."""
    file = tmp_path / "panels.yml"
    recorded = [{"record": f"panel{i}", "expr": as_promql(expression)} for i, expression in enumerate(EXPRESSIONS)]
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))
    promtool("check", "rules", str(file))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_metrics_exist(expression):
    """In the table of docs/operations.md, which other tests compare with the source, or in the rules."""
    table = OPERATIONS.split("## Metrics", 1)[1].split("\n## ", 1)[0]
    metrics = re.findall(r"^\| `(\w+)(?:\{[^`]*\})?` \| (\w+)", table, re.MULTILINE)
    known = {f"{name}_bucket" if kind == "histogram" else name for name, kind in metrics} | {"up", "ALERTS"} | set(rules("record"))
    used = set(re.findall(r"([A-Za-z_:][\w:]*)\{", expression))
    assert used and used <= known


def test_every_selector_names_the_cluster():
    """Else two clusters under one Prometheus would be added up."""
    for expression in EXPRESSIONS:
        selectors = re.findall(r"[\w:]+\{([^}]*)\}", expression)
        assert selectors and all('job="$job"' in selector for selector in selectors), expression


def test_workers_are_the_leaders():
    """Every node exports baton_workers: three nodes would show each worker three times."""
    assert not [expression for expression in EXPRESSIONS if "baton_workers" in expression]
    assert [expression for expression in EXPRESSIONS if "baton:workers" in expression]
