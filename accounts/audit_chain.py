"""Each audit entry is tied to the one before, so that an edit, a gap or a rewritten end can be seen (threat T11).

Links are made a moment later by seal(), one process at a time, so that no person's transaction waits for a lock of all.
Each link holds SHA-256(hash before ‖ canonical JSON of the entry). Who owns the database can compute a new chain as well:
what they cannot reach is the file of heads on another machine, "time count hash" once a minute.
"""

import datetime as dt
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Final

from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils import timezone

from accounts.models import AuditEntry, AuditLink

log = logging.getLogger(__name__)

START: Final = bytes(32)  # before the first link
LOCK: Final = 0x617564697463  # of this application's advisory locks: the end of the chain
# Entries get their number before their commit. One that is later than so many others is left out and verify() names it.
WINDOW: Final = 5_000
BATCH: Final = 2_000  # links in one transaction
EVERY: Final = 1.0  # seconds
HEAD_EVERY: Final = dt.timedelta(minutes=1)
UNSEALED_FOR: Final = dt.timedelta(minutes=1)  # an older entry without a link is a finding


@dataclass(frozen=True)
class Head:
    """What a line of the file of heads says: so long was the chain then, and this was its last hash."""

    count: int
    hash: bytes


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong, by its code; the command verify_audit has a sentence for each."""

    code: str
    link: int = 0
    entry: int = 0


def seal(now: dt.datetime | None = None) -> int:
    """Link what was committed since; the number of links. Nothing happens while another process does it.

    Called outside of transactions.
    """
    made = 0
    with transaction.atomic(durable=True):
        if _alone():
            made = _link()
    write_head(now or timezone.now())
    return made


def keep(stop: Event) -> None:
    """Seal each second until told to stop. For a thread of its own: the file of heads may lie on a mount that hangs, and
    what must not wait for it goes on beside it.
    """
    while not stop.wait(EVERY):
        try:
            seal()
        except (
            Exception
        ) as error:  # the database may be away, or somebody has spoilt the chain: verify() says it
            log.error("audit entries were not linked: %s", type(error).__name__)
            connections.close_all()


def write_head(now: dt.datetime) -> bool:
    """Append the head to AUDIT_HEADS_FILE, at most once a minute. A file that is away is logged and stops nobody."""
    if not settings.AUDIT_HEADS_FILE:
        return False
    try:
        with Path(settings.AUDIT_HEADS_FILE).open("a+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the loop runs in several processes
            before = _last_line(file.name)
            if before and now < dt.datetime.fromisoformat(before.split()[0]) + HEAD_EVERY:
                return False
            last = AuditLink.objects.order_by("-pk").values_list("pk", "hash").first()
            count, value = last or (0, START)
            file.write(f"{now.isoformat()} {count} {bytes(value).hex()}\n")
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError) as error:
        log.error("the head of the audit chain was not written: %s", type(error).__name__)
        return False
    return True


def last_head_at() -> dt.datetime | None:
    """When the last head was written; None without a file or a readable line."""
    try:
        return dt.datetime.fromisoformat(_last_line(settings.AUDIT_HEADS_FILE).split()[0])
    except (OSError, ValueError, IndexError):
        return None


def read_heads(path: Path) -> Iterator[Head]:
    """Raises ValueError for a line that is none."""
    with path.open(encoding="ascii") as file:
        for line in file:
            _, count, value = line.split()
            yield Head(int(count), bytes.fromhex(value))


def verify(heads: Iterable[Head] = (), *, now: dt.datetime | None = None) -> Fault | None:
    """Walk the whole chain; the first fault, or None. Reads only, in one snapshot, in the order of the links."""
    wanted: dict[int, set[bytes]] = {}
    for head in heads:
        wanted.setdefault(head.count, set()).add(head.hash)
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SET LOCAL statement_timeout = 0")
        return _walk(wanted) or _unsealed(now or timezone.now())


def _walk(wanted: dict[int, set[bytes]]) -> Fault | None:
    before, count = START, 0
    if wanted.get(0, {START}) != {START}:
        return Fault("heads")
    links = AuditLink.objects.order_by("pk").iterator(chunk_size=2_000)
    while chunk := list(islice(links, 2_000)):
        entries = AuditEntry.objects.in_bulk([link.entry for link in chunk])
        for link in chunk:
            if link.pk != count + 1:
                return Fault("link_missing", count + 1)
            entry = entries.get(link.entry)
            if entry is None:
                return Fault("deleted", link.pk, link.entry)
            if bytes(link.prev) != before:
                return Fault("chain_broken", link.pk, link.entry)
            before, count = _hash(before, entry), link.pk
            if bytes(link.hash) != before:
                return Fault("edited", link.pk, link.entry)
            if wanted.get(count, {before}) != {before}:
                return Fault("rewritten", link.pk, link.entry)
    return Fault("cut", count + 1) if max(wanted, default=0) > count else None


def _unsealed(now: dt.datetime) -> Fault | None:
    """An entry that has long been there and has no link: somebody removed it, or it came in from the side."""
    old = _without_link().filter(at__lt=now - UNSEALED_FOR).order_by("pk").first()
    return Fault("not_sealed", entry=old.pk) if old else None


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def _link() -> int:
    last = AuditLink.objects.order_by("-pk").first()
    number, before = (last.pk, bytes(last.hash)) if last else (0, START)
    highest = AuditLink.objects.aggregate(Max("entry"))["entry__max"] or 0
    links = []
    for entry in _without_link().filter(pk__gt=highest - WINDOW).order_by("pk")[:BATCH]:
        value = _hash(before, entry)
        number += 1
        links.append(AuditLink(number=number, entry=entry.pk, prev=before, hash=value))
        before = value
    AuditLink.objects.bulk_create(links)
    return len(links)


def _without_link() -> QuerySet[AuditEntry]:
    return AuditEntry.objects.exclude(Exists(AuditLink.objects.filter(entry=OuterRef("pk"))))


def _hash(before: bytes, entry: AuditEntry) -> bytes:
    fields = {
        "id": entry.pk,
        "at": entry.at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "action": entry.action,
        "actor": str(entry.actor) if entry.actor else None,
        "subject": str(entry.subject) if entry.subject else None,
        "target": entry.target,
        "data": entry.data,
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(before + text.encode()).digest()


def _last_line(path: str) -> str:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 256))
        return (file.read().splitlines() or [b""])[-1].decode("ascii")
