"""What people on duty read is what the code does: times, alerts and where the desk is."""

import datetime as dt
import re
from pathlib import Path

import pytest
from django.urls import reverse

from safety import case_clocks, cases, invariants, ladder, operations

DOCS = Path(__file__).parents[2] / "docs"
RUNBOOK = (DOCS / "runbook.md").read_text("utf-8")
POLICY = (DOCS / "safety-policy.md").read_text("utf-8").partition("\n## Cases\n")[2]


def seconds(text: str) -> int | None:
    """ "90 s", "2 min" → seconds; None where nothing happens by itself."""
    found = re.match(r"(\d+) (s|min)", text)
    return int(found[1]) * (60 if found[2] == "min" else 1) if found else None


def in_table(rung: int) -> dict[int, str]:
    row = re.search(rf"^\| {rung} [^|]+\|([^|]+)\|([^|]+)\|([^|]+)\|$", POLICY, re.MULTILINE)
    assert row
    return dict(zip((4, 3, 2), (cell.strip() for cell in row.groups()), strict=True))


@pytest.mark.parametrize("rung", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("level", [2, 3, 4])
def test_the_times_of_the_policy_are_those_of_the_ladder(rung: int, level: int) -> None:
    said, at = in_table(rung)[level], ladder.plan(level).rungs.get(rung)
    assert (0 if said == "at once" else seconds(said)) == (None if at is None else at.total_seconds())
    if rung == ladder.LAST_RUNG:
        assert seconds(said.partition("every ")[2]) == ladder.plan(level).repeat.total_seconds()


@pytest.mark.parametrize("level", [2, 3, 4])
def test_contacts_are_told_when_the_policy_says(level: int) -> None:
    at = ladder.plan(level).contact
    assert seconds(in_table(ladder.CONTACT_RUNG)[level]) == (None if at is None else at.total_seconds())
    assert "a second one five minutes later" in POLICY and dt.timedelta(minutes=5) == ladder.SECOND_CONTACT


def test_every_alert_has_its_line_and_none_is_invented() -> None:
    alerts, _, named = RUNBOOK.partition("What `invariant` can name:")
    assert set(re.findall(r"^\| `([\w.]+)` \|", alerts, re.MULTILINE)) == operations.CODES
    first = re.findall(r"^\| (`[^|]+`) \|", named, re.MULTILINE)
    others = {"audit.head_late", "auditor", "canary.failed", "audit.failed"}
    assert set(re.findall(r"`([\w.]+)`", " ".join(first))) == {*invariants.INVARIANTS, *others}


def test_the_figures_of_the_runbook_are_those_of_the_code() -> None:
    assert "worth ten minutes" in RUNBOOK and dt.timedelta(minutes=10) == ladder.ACKNOWLEDGED_FOR
    assert "**15 minutes** without an act" in RUNBOOK and dt.timedelta(minutes=15) == ladder.SILENT_FOR
    assert "three severe cases" in RUNBOOK and cases.MOST_SEVERE == 3
    assert "gently, for 72 hours" in RUNBOOK and dt.timedelta(hours=72) == cases.GENTLE_FOR
    assert f"`{reverse('console')}`" in RUNBOOK
    for name, clock in (("Take over", case_clocks._CLAIM), ("Next reply", case_clocks._REPLY)):
        row = re.search(rf"^\| {name} \| (.+?) · (.+?) · (.+?) \|", RUNBOOK, re.MULTILINE)
        assert row and [seconds(cell) for cell in row.groups()] == [clock[level] for level in (4, 3, 2)]
