"""The documents are true: the generated ones are up to date, and every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from docs import generate
from example_project import settings as demo

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_what_the_tables_say(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == generate.PAGES[name](), "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path) if path else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name} links to {target}"


def test_every_page_can_be_found_from_the_readme() -> None:
    linked = {target.partition("#")[0] for target in _LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= linked


def test_the_recipe_for_other_origins_is_what_the_demo_does_and_a_browser_proves() -> None:
    page = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    [recipe] = re.findall(r"^```python\n(INSTALLED_APPS = .*?)^```", page, re.MULTILINE | re.DOTALL)
    settings: dict[str, Any] = {}
    exec(recipe, {}, settings)
    assert settings["INSTALLED_APPS"][0] in demo.INSTALLED_APPS
    assert settings["MIDDLEWARE"][0] == demo.MIDDLEWARE[0]
    # The demo's pages are on any port of this machine.
    assert settings.pop("CORS_ALLOWED_ORIGINS")
    wanted = {name: value for name, value in settings.items() if name.startswith("CORS_")}
    assert wanted == {name: getattr(demo, name) for name in wanted}
    assert len(wanted) == 5


def test_no_address_in_the_guide_lacks_its_slash() -> None:
    page = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    addresses = re.findall(r"https://your\.site/[\w./-]*", page)
    assert len(addresses) > 5
    assert [each for each in addresses if not each.endswith("/")] == []
