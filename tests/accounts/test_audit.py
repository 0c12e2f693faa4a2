"""The log grows and never changes."""

import uuid

import pytest
from django.db import DatabaseError, transaction

from accounts import audit
from accounts.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_an_entry_is_written_once_and_stays() -> None:
    actor = uuid.uuid4()
    audit.record("notice.acknowledged", actor=actor, subject=actor, target="notice:1", version="1")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.target, entry.data) == (actor, "notice:1", {"version": "1"})
    for act in (
        lambda: AuditEntry.objects.update(action="other"),
        lambda: AuditEntry.objects.all().delete(),
        lambda: entry.delete(),
        lambda: entry.save(),
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            act()
    assert AuditEntry.objects.count() == 1


def test_an_action_nobody_registered_is_refused() -> None:
    with pytest.raises(ValueError, match="unregistered"):
        audit.record("something.new", actor=None)
    assert not AuditEntry.objects.exists()
