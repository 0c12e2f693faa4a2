"""The chain over the audit log (T11): whoever edits, deletes, cuts or computes it anew is found (N30, N31)."""

import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts import audit, audit_chain
from accounts.audit_chain import Fault
from accounts.models import AuditEntry, AuditLink

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 8
EACH = 250  # tests/chaos has the number of N30
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def heads(settings: Any, tmp_path: Path) -> Path:
    settings.AUDIT_HEADS_FILE = str(tmp_path / "heads")
    return tmp_path / "heads"


def write(count: int) -> None:
    for number in range(count):
        audit.record("case.noted", actor=uuid.uuid4(), target=f"C-{number}", text=0.1, name="名")


def chain(count: int) -> list[AuditEntry]:
    write(count)
    assert audit_chain.seal() == count
    return list(AuditEntry.objects.order_by("pk"))


@contextmanager
def owner() -> Iterator[None]:
    """The owner of the database, whom no trigger stops."""

    def switch(how: str) -> None:
        with connection.cursor() as cursor:
            for table in ("accounts_auditentry", "accounts_auditlink"):
                cursor.execute(f"ALTER TABLE {table} {how} TRIGGER ALL")

    switch("DISABLE")
    yield
    switch("ENABLE")


def verify(heads: Path | None = None) -> Fault | None:
    return audit_chain.verify(audit_chain.read_heads(heads) if heads else ())


def write_at_once(each: int) -> tuple[int, float]:
    """WRITERS write so many entries each while two processes seal; how many links were made, and in how many seconds."""
    done = Event()

    def person(_: int) -> None:
        try:
            for _number in range(each):
                with transaction.atomic():
                    write(1)
        finally:
            connection.close()

    def process(_: int) -> int:
        try:
            made = 0
            while not done.is_set():
                made += audit_chain.seal()
            return made
        finally:
            connection.close()

    began = time.monotonic()
    with ThreadPoolExecutor(WRITERS + 2) as pool:
        sealed = [pool.submit(process, number) for number in range(2)]
        try:
            for writer in [pool.submit(person, number) for number in range(WRITERS)]:
                writer.result()
        finally:
            done.set()
        made = sum(process.result() for process in sealed) + audit_chain.seal()
    return made, time.monotonic() - began


def test_eight_writers_make_one_chain_without_forks() -> None:
    """N30. Two processes seal meanwhile; the writers wait for neither."""
    made, seconds = write_at_once(EACH)
    assert made / seconds >= 300
    assert made == AuditLink.objects.count() == AuditEntry.objects.count() == WRITERS * EACH
    assert verify() is None


def test_an_entry_that_is_committed_late_is_linked_late() -> None:
    first = Event()
    last = Event()

    def slow() -> None:
        with transaction.atomic():
            write(1)
            first.set()
            last.wait(10)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(slow)
        first.wait(10)
        write(2)
        assert audit_chain.seal() == 2
        last.set()
        running.result()
    assert audit_chain.seal() == 1
    entries = list(AuditLink.objects.order_by("pk").values_list("entry", flat=True))
    assert entries[2] == min(entries)
    assert verify() is None


@pytest.mark.parametrize("act", ["edit", "delete", "delete with link", "unlink", "relink"])
def test_the_first_bad_row_is_named(act: str) -> None:
    """N31: what the owner of the database does in the middle."""
    third = chain(6)[2]
    with owner():
        if act == "edit":
            AuditEntry.objects.filter(pk__gte=third.pk).update(action="notice.acknowledged")
        elif act == "delete":
            AuditEntry.objects.filter(pk=third.pk).delete()
        elif act == "delete with link":
            AuditEntry.objects.filter(pk=third.pk).delete()
            AuditLink.objects.filter(entry=third.pk).delete()
        elif act == "unlink":
            AuditLink.objects.filter(entry=third.pk).delete()
        else:
            AuditLink.objects.filter(entry=third.pk).update(prev=b"x" * 32)
    assert (
        verify()
        == {
            "edit": Fault("edited", 3, third.pk),
            "delete": Fault("deleted", 3, third.pk),
            "delete with link": Fault("link_missing", 3),
            "unlink": Fault("link_missing", 3),
            "relink": Fault("chain_broken", 3, third.pk),
        }[act]
    )
    with pytest.raises(CommandError, match=r"link 3.*: "):
        call_command("verify_audit")


def test_no_field_of_an_entry_can_be_changed_unseen() -> None:
    entry = chain(2)[0]
    changed = {
        "at": entry.at + dt.timedelta(microseconds=1),
        "action": "notice.acknowledged",
        "actor": None,
        "subject": entry.actor,
        "target": "",
        "data": {},
    }
    for field, value in changed.items():
        with owner():
            AuditEntry.objects.filter(pk=entry.pk).update(**{field: value})
            assert verify() == Fault("edited", 1, entry.pk), field
            AuditEntry.objects.filter(pk=entry.pk).update(**{field: getattr(entry, field)})
    assert verify() is None


def test_a_cut_end_is_found_by_the_heads_only(heads: Path) -> None:
    fifth = chain(6)[4]
    with owner():
        AuditEntry.objects.filter(pk__gte=fifth.pk).delete()
        AuditLink.objects.filter(entry__gte=fifth.pk).delete()
    assert verify() is None
    assert verify(heads) == Fault("cut", 5)
    write(4)  # grown again over the place
    audit_chain.seal()
    assert verify(heads) == Fault("rewritten", 6, AuditLink.objects.get(pk=6).entry)


def test_an_end_that_was_computed_anew_is_found_by_the_heads_only(
    heads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fifth = chain(6)[4]
    call_command("verify_audit")
    assert "6 links, all in order, with heads" in capsys.readouterr().out
    with owner():
        AuditEntry.objects.filter(pk=fifth.pk).update(action="notice.acknowledged")
        AuditLink.objects.filter(entry__gte=fifth.pk).delete()
    assert audit_chain.seal() == 2
    assert verify() is None
    sixth = AuditLink.objects.get(pk=6).entry
    assert verify(heads) == Fault("rewritten", 6, sixth)
    with pytest.raises(CommandError, match=f"link 6, entry {sixth}: rewritten"):
        call_command("verify_audit")


def test_an_entry_without_a_link_is_found_after_a_minute(heads: Path) -> None:
    chain(2)
    write(1)
    assert verify(heads) is None
    late = audit_chain.verify(now=timezone.now() + audit_chain.UNSEALED_FOR)
    assert late == Fault("not_sealed", entry=AuditEntry.objects.latest("pk").pk)


def test_the_application_cannot_change_or_delete_links() -> None:
    chain(2)
    link = AuditLink.objects.get(pk=1)
    for act in (
        lambda: AuditLink.objects.update(entry=0),
        lambda: AuditLink.objects.all().delete(),
        lambda: link.delete(),
        lambda: AuditLink.objects.create(number=3, entry=99, prev=link.prev, hash=b""),  # a fork
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()
    assert verify() is None


def test_heads_are_written_once_a_minute_and_a_file_that_is_away_stops_nobody(
    heads: Path, settings: Any
) -> None:
    now = timezone.now()
    write(1)
    audit_chain.seal(now)
    write(1)
    audit_chain.seal(now + MINUTE / 2)
    assert len(heads.read_text().splitlines()) == 1
    audit_chain.seal(now + MINUTE)
    assert [line.split()[1] for line in heads.read_text().splitlines()] == ["1", "2"]
    assert audit_chain.last_head_at() == now + MINUTE
    assert verify(heads) is None
    heads.write_text("no head\n")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("verify_audit")
    settings.AUDIT_HEADS_FILE = str(heads / "nowhere")
    write(1)
    assert audit_chain.seal(now + 2 * MINUTE) == 1


def test_a_thread_seals_each_second_and_outlives_a_chain_that_somebody_spoilt(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit_chain, "EVERY", 0.01)
    AuditLink.objects.create(number=1, entry=1, prev=b"", hash=b"")
    AuditLink.objects.create(number=2, entry=2, prev=audit_chain.START, hash=b"x")
    with owner():
        AuditLink.objects.filter(pk=1).update(prev=b"x")  # what the next link would follow
    write(1)
    stop = Event()

    def wait_for(what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not what() and time.monotonic() < deadline:
            stop.wait(0.01)
        assert what()

    def loop() -> None:
        audit_chain.keep(stop)
        connection.close()

    thread = Thread(target=loop)
    thread.start()
    try:
        wait_for(lambda: "IntegrityError" in caplog.text)
        with owner():
            AuditLink.objects.all().delete()
        wait_for(lambda: AuditLink.objects.count() == 1)
    finally:
        stop.set()
        thread.join()
