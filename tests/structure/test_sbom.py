"""What the programs link is what deploy/sbom says and docs/licences.md names: no more, and no less."""

import json
import re
import subprocess

import pytest
from test_structure import BUILD, ROOT

PROGRAMS = [BUILD / "src/cmd" / name for name in ("batond", "batonctl", "baton-bench", "wanlink")]
SECONDS = 1700000000


@pytest.fixture(scope="module")
def sbom():
    if not all(program.exists() for program in PROGRAMS):
        pytest.skip("build/release is not built yet")
    command = [ROOT / "deploy/sbom", "0.2.0", str(SECONDS), *PROGRAMS]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def names(sbom):
    return {package["SPDXID"]: package["name"] for package in sbom["packages"]}


def related(sbom, name, how):
    known = names(sbom)
    return {known[each["relatedSpdxElement"]] for each in sbom["relationships"]
            if known.get(each["spdxElementId"]) == name and each["relationshipType"] == how}  # fmt: skip


@pytest.fixture(scope="module")
def packages():
    """{library: Debian package} of all that the programs load, by the names of the packages' files."""
    loaded = set()
    for program in PROGRAMS:
        listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
        loaded |= {line.split()[0].split("/")[-1] for line in listing.splitlines() if "linux-vdso" not in line}
    folder = subprocess.run(["gcc", "-print-multiarch"], check=True, capture_output=True, text=True).stdout.strip()
    command = ["dpkg-query", "--search", *(f"*/{folder}/{name}" for name in loaded)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {line.split("/")[-1]: line.split(":")[0] for line in listing.splitlines()}
    assert set(found) == loaded
    return found


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_sbom_has_what_a_program_needs(sbom, packages, program):
    dynamic = subprocess.run(["readelf", "-dW", program], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"NEEDED\)\s+Shared library: \[(.*)\]", dynamic)
    assert len(needed) >= 2
    assert related(sbom, program.name, "DYNAMIC_LINK") == {packages[name] for name in needed}


def test_sbom_has_what_is_loaded(sbom, packages):
    libraries = set(names(sbom).values()) - {"baton", *(program.name for program in PROGRAMS)}
    assert libraries == set(packages.values())


def test_licences_name_what_is_linked(sbom):
    """With the same licences; a row for what is linked no more would be left otherwise."""
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", (ROOT / "docs/licences.md").read_text(), re.MULTILINE))
    assert rows == {package["name"]: package["licenseConcluded"] for package in sbom["packages"] if "externalRefs" in package}


def test_sbom_has_the_form_of_spdx(sbom):
    """What version 2.3 of the specification requires of a document, a package and a relationship (clauses 6, 7 and 11)."""
    assert (sbom["spdxVersion"], sbom["dataLicense"], sbom["SPDXID"]) == ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT")
    assert re.fullmatch(r"[a-z]+:[^#\s]+", sbom["documentNamespace"])
    assert sbom["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    assert all(re.match("(Person|Organization|Tool): ", creator) for creator in sbom["creationInfo"]["creators"])
    ids = list(names(sbom))
    assert len(ids) == len(sbom["packages"])
    for package in sbom["packages"]:
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"]) and package["name"] and package["downloadLocation"]
        assert package["filesAnalyzed"] is False and package["versionInfo"]
        identifiers = re.split(r" (?:OR|AND) ", package["licenseConcluded"])
        assert all(re.fullmatch(r"[A-Za-z]+-[\d.]+(-(Clause|or-later|only))?|MIT", name) for name in identifiers), package["name"]
    for each in sbom["relationships"]:
        assert each["relationshipType"] in ("DESCRIBES", "CONTAINS", "DYNAMIC_LINK", "DEPENDS_ON")
        assert {each["spdxElementId"], each["relatedSpdxElement"]} <= {*ids, "SPDXRef-DOCUMENT"}
