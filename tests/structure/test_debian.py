"""debian/ agrees with the rest: what a build needs, and what the programs link."""

import re

from test_structure import ROOT

IMPLIED = {"gcc", "libc6-dev", "make", "ninja-build", "python3"}  # by build-essential, meson, python3-all


def group(name):
    """Of deploy/packages."""
    return set(re.sub(rf"(?m)^(?!{name} ).*$|^{name} ", "", (ROOT / "deploy/packages").read_text()).split())


def build_depends():
    control = (ROOT / "debian/control").read_text()
    field = re.search(r"^Build-Depends:\n((?: .*\n)+)", control, re.MULTILINE)[1]
    return set(re.findall(r"^ ([\w+.-]+)", field, re.MULTILINE))


def test_build_depends_are_those_of_deps():
    """But for debhelper-compat, which debhelper provides."""
    assert group("build") - IMPLIED <= build_depends()
    assert build_depends() - {"debhelper-compat"} <= group("build") | group("deb")
