"""The documentation site: built without a warning, whole, and asking nothing of other hosts."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import rllib_configs.config
import rllib_configs.presets
import vla_envs.errors
import vla_envs.group
import vla_envs.wrappers
from tests.docs.pages import PAGES, ROOT

SITE_PAGES = [page.relative_to(ROOT / "docs").with_suffix("") for page in PAGES if page.is_relative_to(ROOT / "docs")]
DOCUMENTED = {
    "api/environments": [
        "vla_envs.tabletop.TabletopEnv",
        "vla_envs.libero.LiberoEnv",
        "vla_envs.robotwin.RoboTwinEnv",
        "vla_envs.base.VLAEnv.step_chunk",
        *(f"vla_envs.errors.{name}" for name in set(vla_envs.errors.__all__) - {"DependencyNotInstalled"}),
    ],
    "api/wrappers": [f"vla_envs.wrappers.{name}" for name in vla_envs.wrappers.__all__],
    "api/group": [f"vla_envs.group.{name}" for name in vla_envs.group.__all__],
    "api/policies": ["policies.interface.Policy.get_action_and_value", "policies.registry.load_policy"],
    "api/rllib_configs": [
        *(f"rllib_configs.config.{name}" for name in rllib_configs.config.__all__),
        *(f"rllib_configs.presets.{name}.{name}" for name in set(rllib_configs.presets.__all__) - {"PRESETS"}),
        "rllib_configs.algorithm.VLAPPO",
        "rllib_configs.algorithm.VLAPPOConfig",
        "rllib_configs.config.TTRL.n_votes_per_prompt",
    ],
}
"""Page -> names that have a place on it."""


class Page(HTMLParser):
    """What a built page names, links to and loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {value for key in ("id", "name") if (value := given.get(key))}
        loaded = given.get("src") or (given.get("href") if tag == "link" else None)
        if loaded:
            self.loads.append(loaded)
        elif tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the site is built. Warnings fail it: of links, anchors, names, and pages outside the navigation."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(folder) -> dict[Path, Page]:
    """Every page of the site but the one for missing pages, whose links begin at the root of a server."""
    return {path: Page(path) for path in folder.rglob("*.html") if path.name != "404.html"}


@pytest.mark.slow
def test_every_page_is_built(folder, pages):
    assert {path.relative_to(folder).with_suffix("") for path in pages} == set(SITE_PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", DOCUMENTED)
def test_the_reference_has_the_public_names(folder, pages, page):
    assert set(DOCUMENTED[page]) <= pages[folder / f"{page}.html"].names


@pytest.mark.slow
def test_every_link_within_the_site_leads_somewhere(pages):
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            target = urlsplit(link)
            if target.scheme or link.startswith("data:"):
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            file = file / "index.html" if file.is_dir() else file
            assert file.is_file(), f"{path.name}: {link}"
            if target.fragment and not target.fragment.startswith("__"):
                assert unquote(target.fragment) in pages[file].names, f"{path.name}: {link}"


@pytest.mark.slow
def test_links_of_the_readme_lead_to_pages(folder, pages):
    links = re.findall(r"\]\(docs/([\w/]+)\.md(?:#([^)]+))?\)", (ROOT / "README.md").read_text())
    assert links
    for page, name in links:
        assert not name or name in pages[folder / f"{page}.html"].names, name


@pytest.mark.slow
def test_the_site_loads_nothing_from_other_hosts(pages):
    loaded = {each for page in pages.values() for each in page.loads}
    assert loaded
    assert not {each for each in loaded if urlsplit(each).netloc}


@pytest.mark.slow
def test_lists_and_tables_are_rendered(pages):
    """What GitHub takes for a list or a table is one on the site too: within lists it is indented by four spaces."""
    for path in pages:
        text = re.sub(r"<(pre|code).*?</\1>", "", path.read_text(), flags=re.DOTALL)
        left = re.search(r"<p>(?:(?!</p>).)*?\n\s*(?:[*-] |\d+\. |\|)", text, re.DOTALL)
        assert not left, f"{path.name}: {left[0]}"


@pytest.mark.slow
def test_docstrings_are_markdown(pages):
    """No role of Sphinx is left, and no example has become a quotation."""
    for path in (path for path in pages if path.parent.name == "api"):
        text = path.read_text()
        assert not re.search(r":(class|func|meth|mod|data|attr):", text)
        assert not re.search(r"<blockquote>\s*<blockquote>", text)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.name)
def test_a_page_opens_with_what_a_hurried_reader_needs(page):
    """A quotation of a few lines below the title."""
    title, empty, *rest = page.read_text().splitlines()
    opening = list(itertools.takewhile(lambda line: line.startswith(">"), rest))
    assert title.startswith("# ")
    assert not empty
    assert 4 <= sum(line.startswith("> - ") for line in opening) <= 6
    assert len(opening) <= 9
