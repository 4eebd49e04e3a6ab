"""deploy/local/cast: what it plays works, and the picture that is checked in is whole and of the same commands."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree

from test_local_cluster import ROOT, pytestmark  # noqa: F401

SCRIPT = ROOT / "deploy/local/cast"
PICTURE = ROOT / "docs/demo.svg"
BYTES_MAX = 150_000
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture):
    return [element.text or "" for element in ElementTree.parse(picture).iter(f"{SVG}text")]


def commands(picture):
    """As they are typed, but for the node that leads, which chance decides."""
    return [re.sub(r"\bn[123]\b", "LEADER", text[2:]) for text in texts(picture) if text.startswith("$ ")]


def is_whole(picture):
    """Each line has its time in the animation, in order; nothing is loaded, and nothing of the machine is told."""
    text = picture.read_text()
    assert len(text) < BYTES_MAX and "http" not in re.sub(r'xmlns="[^"]*"|<text.*', "", text) and "<script" not in text
    assert str(ROOT) not in text and "~/baton" in text
    names = [element.get("id") for element in ElementTree.parse(picture).iter(f"{SVG}text")]
    assert names == [f"l{number}" for number in range(len(names))]
    times = [float(re.search(rf"@keyframes {name}\{{0\.000%\{{[^}}]*\}}([\d.]+)%", text)[1]) for name in names]
    assert times == sorted(times) and times[-1] < 100


def test_the_picture_shows_what_the_script_plays():
    is_whole(PICTURE)
    played = re.findall(r'^    \("(.*)", [\d.]+\),$', SCRIPT.read_text(), re.MULTILINE)
    assert len(played) >= 5 and commands(PICTURE) == played
    assert "](docs/demo.svg)" in (ROOT / "README.md").read_text()


def test_cast_is_played(tmp_path):
    picture = tmp_path / "demo.svg"
    done = subprocess.run([SCRIPT, picture], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    is_whole(picture)
    shown = texts(picture)
    assert shown.index("hello") < shown.index("still here") and any(re.search(r"cannot connect", line) for line in shown)
    assert shown[-1].startswith("Equal: ") and commands(picture) == commands(PICTURE)
