"""N14, N30: many at the same moment, and none overtakes the other. The suite has the same in small."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError
from django.db.models import QuerySet

from accounts import audit_chain
from accounts.models import AuditEntry, AuditLink
from tests.accounts.test_audit_chain import WRITERS, verify, write_at_once
from tests.chaos.attacks import say
from tests.chaos.crowd import member, staff
from tests.safety.test_escalation import pool, race

__all__ = ["pool"]

pytestmark = pytest.mark.django_db(transaction=True)

RACES, ENTRIES = 1000, 1000


def test_n14_a_thousand_races_between_an_acknowledgement_and_two_sweepers(pool: ThreadPoolExecutor) -> None:
    began = time.monotonic()
    faults = race(member("person"), staff(), pool, RACES)
    say(f"N14: {RACES} races in {time.monotonic() - began:.0f} s, faults {dict(faults)}")
    assert faults == {}


def test_n14_control_without_locks_they_overtake_each_other(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_options: rows)
    faults = race(member("person"), staff(), pool, 50)
    say(f"N14 control, no locks: 50 races, faults {dict(faults)}")
    assert faults


def test_n30_eight_writers_with_a_thousand_entries_each() -> None:
    made, seconds = write_at_once(ENTRIES)
    fault = verify()
    say(f"N30: {made} links for {WRITERS} x {ENTRIES} entries, {made / seconds:.0f} a second; fault {fault}")
    assert made == AuditLink.objects.count() == AuditEntry.objects.count() == WRITERS * ENTRIES
    assert fault is None
    assert made / seconds >= 300


def test_n30_control_without_the_lock_two_ends_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_chain, "_alone", lambda: True)
    with pytest.raises(IntegrityError):
        write_at_once(100)
    say("N30 control, no lock: the second link of one number was refused by the database")
