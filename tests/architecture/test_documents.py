"""Links lead somewhere, commands exist, decisions are numbered, pictures are small."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.architecture.documents import DOCUMENTS, PACKAGES, REPOSITORY, name_of, prose, read, sources

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_MAKE = re.compile(r"(?:^|`| )make ([a-z]+)(?=$|`|[ ;,)])", re.MULTILINE)
_PATH = re.compile(r"`([\w.-]+/[\w./-]+\.(?:py|toml|md|html|css|js|po|json))`")
ADRS = sorted((REPOSITORY / "docs/adr").glob("*.md"))
SECTIONS = ["Context", "Decision", "Consequences", "Out of scope"]
LONGEST_ADR = 40  # lines
LARGEST_PICTURE = 200_000  # bytes

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)


def anchors(text: str) -> set[str]:
    """As code hosts make them: lower case, spaces to hyphens, punctuation away."""
    return {
        re.sub(r"[^\w\s-]", "", title.lower()).strip().replace(" ", "-") for title in _HEADING.findall(text)
    }


@every_document
def test_every_link_leads_to_something_that_is_there(path: Path) -> None:
    for pair in _LINK.findall(prose(path.read_text())):
        target = pair[0] or pair[1]
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found.read_text()), target


@every_document
def test_every_make_command_is_in_the_makefile(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    # Prose like "make sure" stands outside of code; commands stand in backticks or blocks.
    code = "\n".join(re.findall(r"`[^`\n]+`|^```.*?^```$", path.read_text(), re.MULTILINE | re.DOTALL))
    assert set(_MAKE.findall(code)) <= targets


@every_document
def test_every_management_command_exists(path: Path) -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", path.read_text()))
    assert named <= set(get_commands())


@every_document
def test_every_file_that_is_named_exists(path: Path) -> None:
    missing = {name for name in _PATH.findall(prose(path.read_text())) if not (REPOSITORY / name).exists()}
    assert missing == set()


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_a_readme_begins_with_the_two_commands(name: str) -> None:
    block = read(name).split("```")[1]
    assert re.findall(r"^make \w+", block, re.MULTILINE) == ["make run", "make test"]


def test_the_demo_accounts_of_the_readmes_are_those_that_are_made() -> None:
    cast = set(re.findall(r'Member\("(\w+)"', read("accounts/management/commands/demo_data.py")))
    for name in ("README.md", "README.zh-CN.md"):
        assert set(re.findall(r"^\| `(\w+)` \|", read(name), re.MULTILINE)) == cast


def test_decisions_are_numbered_without_gaps_and_have_one_shape() -> None:
    assert [path.name[:5] for path in ADRS] == [f"{number:04}-" for number in range(1, len(ADRS) + 1)]
    for path in ADRS:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]} ")
        assert [title for title in _HEADING.findall(text) if title in SECTIONS] == SECTIONS
        assert len(text.splitlines()) <= LONGEST_ADR


def test_the_architecture_lists_every_decision() -> None:
    overview = read("docs/architecture.md")
    assert [path.name for path in ADRS if f"adr/{path.name}" not in overview] == []


def test_the_names_in_the_architecture_are_names_in_the_code() -> None:
    code = "\n".join(path.read_text() for path in sources(*PACKAGES, "devstack")) + read(".importlinter")
    names = set(re.findall(r"`([A-Za-z_][\w.]*)(?:\(\))?`", prose(read("docs/architecture.md"))))
    unknown = {name for name in names if not re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", code)}
    assert unknown == set()


def test_pictures_are_small() -> None:
    pictures = list((REPOSITORY / "docs/images").iterdir())
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size >= LARGEST_PICTURE] == []
