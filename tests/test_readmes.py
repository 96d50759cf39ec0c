"""Attacks the READMEs: a link must lead somewhere, and a verb that people are told to type must exist."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PLACES = ("proto", "shared", "services", "deploy", "tests", ".github")
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MAKE = re.compile(r"\bmake ([a-z]+)\b")


def readmes() -> list[Path]:
    pages = [PROJECT / "README.md", *(file for place in PLACES for file in (PROJECT / place).rglob("*.md"))]
    return [page for page in pages if "third_party" not in page.parts]


def name_of(file: Path) -> str:
    return str(file.relative_to(PROJECT))


def anchor(heading: str) -> str:
    """How a heading is linked to: lower case, words joined by hyphens, other signs left out."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", readmes(), ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    dead = []
    for target, part in LINK.findall(page.read_text("utf-8")):
        if ":" in target:
            continue
        file = page.parent / target
        anchors = {f"#{anchor(heading)}" for heading in HEADING.findall(file.read_text("utf-8"))} if part and file.is_file() else set()
        if not file.exists() or (part and part not in anchors):
            dead.append(target + part)
    assert not dead


def test_every_verb_that_a_page_tells_to_make_exists() -> None:
    verbs = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    told = {(name_of(page), verb) for page in readmes() for block in _code(page) for verb in MAKE.findall(block)}
    assert ("README.md", "demo") in told
    assert not {(page, verb) for page, verb in told if verb not in verbs}


def _code(page: Path) -> list[str]:
    text = page.read_text("utf-8")
    return [*re.findall(r"```.*?\n(.*?)```", text, re.DOTALL), *re.findall(r"`(make [^`]+)`", text)]
