"""Docs: links lead somewhere, and the reference is what the code says."""

import re
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from parts import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text):
    """Of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_there_are(page):
    text = page.read_text()
    for link in LINK.findall(text):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target.read_text()), f"{page.name}: {link}"


def test_readme_leads_to_every_page():
    linked = {link.partition("#")[0] for link in LINK.findall((ROOT / "README.md").read_text())}
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= linked


def test_files_that_messages_and_help_name_exist():
    named = set()
    for path in (ROOT / "memreg").rglob("*.py"):
        named.update(re.findall(r"docs/[\w-]+\.md", path.read_text()))
    assert named
    assert all((ROOT / name).exists() for name in named), named


def test_the_reference_is_up_to_date():
    spec = spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "reference.md").read_text() == module.page(), "run python docs/reference.py"
    for name in ("--targets", "--halfwidth", "--thresholds", "--statistic", "top:K"):
        assert name in module.page()
