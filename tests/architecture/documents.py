"""The project's documents, read once, for the tests that hold them to the code."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
PACKAGES = ("accounts", "guardians", "safety", "companion")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Without code blocks: what stands in backticks or links there is somebody else's."""
    return _FENCE.sub("", text)


def first_cells(text: str) -> list[str]:
    """The first cell of every row of every table."""
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]


def sources(*roots: str) -> list[Path]:
    """The project's own Python files below `roots`."""
    return [path for root in roots for path in sorted((REPOSITORY / root).rglob("*.py"))]
