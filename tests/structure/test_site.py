"""The site of `make site`: it is built without a warning, every link of every page leads somewhere, and no page asks others for anything."""

import html.parser
import pathlib
import subprocess
import urllib.parse

import pytest
from test_structure import ROOT, tracked


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded = set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag in ("link", "img", "script", "iframe", "source", "object"):
            self.loaded += [attributes[name] for name in ("href", "src", "data") if name in attributes and attributes.get("rel") != "canonical"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """{path: Page} of a site that was built for this."""
    pytest.importorskip("myst_parser", reason="python3-myst-parser is not installed: make deps")
    out = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run([ROOT / "deploy/site/build", out], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return {path.relative_to(out): Page(path) for path in out.rglob("*.html")}, out


def resolved(page, link):
    """The file, seen from the site's root, and the place in it."""
    parts = urllib.parse.urlsplit(link)
    target = pathlib.Path(urllib.parse.unquote(parts.path))
    inside = pathlib.PurePosixPath(page.parent / target) if parts.path else page
    normal = pathlib.Path(*pathlib.Path("/", inside).resolve().parts[1:])
    return normal, urllib.parse.unquote(parts.fragment)


def test_site_has_every_document(site):
    pages, _ = site
    documents = {path.relative_to(ROOT).with_suffix(".html") for path in tracked("*.md")} - {pathlib.Path("README.html")}
    assert documents <= set(pages) and pathlib.Path("index.html") in pages


def test_site_links_lead_somewhere(site):
    pages, out = site
    lost = []
    for page, content in pages.items():
        for link in content.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target, fragment = resolved(page, link)
            if not (out / target).is_file() or (fragment and target in pages and fragment not in pages[target].ids | {"top"}):
                lost.append(f"{page}: {link}")
    assert not lost, "\n".join(lost)


def test_site_needs_nothing_from_elsewhere(site):
    pages, out = site
    loaded = [(page, link) for page, content in pages.items() for link in content.loaded]
    assert len(loaded) > len(pages)
    for page, link in loaded:
        assert not urllib.parse.urlsplit(link).netloc, f"{page} loads {link}"
        assert (out / resolved(page, link)[0]).is_file(), f"{page} loads {link}"
    for sheet in out.rglob("*.css"):
        assert "url(http" not in sheet.read_text() and "url(//" not in sheet.read_text() and "@import url(http" not in sheet.read_text()


def test_readme_names_the_site():
    assert "`make site`" in (ROOT / "README.md").read_text()
