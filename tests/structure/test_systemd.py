"""deploy/systemd: the units are sound and confined, and /etc/default/baton has batond's options."""

import os
import re
import subprocess

import pytest
from test_documents import flags_of
from test_structure import BUILD, ROOT

FOLDER = ROOT / "deploy/systemd"
UNITS = ("baton.service", "baton@.service")
EXPOSURE_MAX = 2.0


def analyze(*words):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, words)], capture_output=True, text=True, timeout=60)


def setting(unit, name):
    return re.findall(rf"^{name}=(.*)$", (FOLDER / unit).read_text(), re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_confined(unit):
    done = analyze("security", "--offline=true", FOLDER / unit)
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= EXPOSURE_MAX, done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_verified(unit, tmp_path):
    """With the program that was built in place of the installed one, which must be there."""
    program = BUILD / "src/cmd/batond"
    if not program.exists():
        pytest.skip("build/release is not built yet")
    copy = tmp_path / unit
    copy.write_text((FOLDER / unit).read_text().replace("ExecStart=/usr/bin/batond", f"ExecStart={program}"))
    done = analyze("verify", "--man=no", copy)
    told = [line for line in done.stderr.splitlines() if not line.startswith("# Not showing unlisted system calls")]
    assert done.returncode == 0 and not told, done.stderr


def test_an_instance_differs_in_its_name_alone():
    """Comments aside."""
    one, many = ([line for line in (FOLDER / unit).read_text().splitlines() if not line.startswith("#")] for unit in UNITS)
    named = {"Description=baton control plane node": " %i", "Environment=BATON_DATA_DIR=/var/lib/baton": "-%i",
             "EnvironmentFile=/etc/default/baton": "-%i", "StateDirectory=baton": "-%i"}  # fmt: skip
    assert many == [line + named.get(line, "") for line in one]
    assert set(named) <= set(one)


def test_units_allow_the_files_that_batond_wants():
    limits = (ROOT / "src/base/limits.h").read_text()
    most, share = (int(re.search(rf"\b{name} = (\d+)", limits)[1]) for name in ("CONNECTIONS_MAX", "CONNECTIONS_SHARE"))
    assert setting("baton.service", "LimitNOFILE") == [str(most * share)]


def test_no_restart_where_it_is_of_no_use():
    """Neither for a usage error, nor for data that a person must look at."""
    status = dict(re.findall(r"\b(EXIT_\w+) = (\d)", (ROOT / "src/base/mem.h").read_text()))
    wanted = [status[name] for name in ("EXIT_USAGE", "EXIT_WAL_DAMAGED", "EXIT_LATER_VERSION")]
    assert setting("baton.service", "RestartPreventExitStatus") == [" ".join(wanted)]


def defaults():
    """Each variable with its example."""
    return dict(re.findall(r"^#(BATON_\w+)=(.*)$", (FOLDER / "baton.default").read_text(), re.MULTILINE))


def test_defaults_name_every_option():
    variables = {variable for _, variable, _ in flags_of("batond").values() if variable}
    assert set(defaults()) == variables - {"BATON_INSECURE"}
    assert "BATON_INSECURE=true" in (FOLDER / "baton.default").read_text()


def test_defaults_set_nothing():
    """A node that nobody has configured does not start."""
    assert not re.findall(r"^[^#\n].*", (FOLDER / "baton.default").read_text(), re.MULTILINE)


def test_defaults_are_valid_examples():
    """All but the certificates, which are not there."""
    examples = {name: value for name, value in defaults().items() if "TLS" not in name and "ADVERTISE" not in name}
    environment = {"PATH": os.environ["PATH"], "BATON_INSECURE": "true", **examples}
    done = subprocess.run([BUILD / "src/cmd/batond", "--check-config"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
