"""What must be true at every moment if nobody in danger is forgotten: one statement each; every row is a violation.

The auditor (safety/auditor.py) asks them each minute and calls the outside world only while none returns a row. Each is a
question about rows, so that a wrong program cannot answer it for itself. Ids and codes only.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from accounts import audit_chain

HEAD_WITHIN: Final = dt.timedelta(minutes=2)
_WINDOW: Final = (
    20_000  # the newest messages and assessments: found by primary key, whatever the table has grown to
)

INVARIANTS: Final[Mapping[str, str]] = {
    # (i) The sweep passes each second.
    "case.overdue": """
        SELECT id FROM safety_crisiscase WHERE state <> 'closed' AND next_due_at < %(now)s - interval '60 s'""",
    # (ii) Another dispatcher claims a lease that is over.
    "delivery.lease_over": """
        SELECT id FROM safety_delivery WHERE state = 'leased' AND lease_until < %(now)s - interval '60 s'""",
    # (iii)
    "delivery.never_tried": """
        SELECT id FROM safety_delivery
        WHERE state = 'pending' AND attempt_no = 0 AND next_at < %(now)s - interval '60 s'""",
    # (iv) Whoever had seen the case did not act, and the ladder did not begin again.
    "case.acknowledged_for_ever": """
        SELECT id FROM safety_crisiscase WHERE state = 'acknowledged'
        AND (acknowledged_until IS NULL OR acknowledged_until < %(now)s - interval '10 s')""",
    # Nobody has it, and the moderators' ladder stands still.
    "case.without_a_clock": """
        SELECT id FROM safety_crisiscase WHERE state IN ('open', 'escalating') AND climb_due_at IS NULL""",
    # (v) Messages live above this package, so their table is named and not imported.
    "message.not_assessed": f"""
        SELECT m.id FROM (SELECT * FROM companion_message ORDER BY id DESC LIMIT {_WINDOW}) m
        LEFT JOIN safety_assessment a ON a.message = m.public_id
        WHERE m.author = 'user' AND m.created_at < %(now)s - interval '30 s' AND a.id IS NULL""",
    # (vi) Case and assessment are written in the transaction of the message: 0, always.
    "assessment.without_case": f"""
        SELECT a.id FROM (SELECT * FROM safety_assessment ORDER BY id DESC LIMIT {_WINDOW}) a
        LEFT JOIN safety_casesignal s ON s.message = a.message
        WHERE a.level >= 3 AND a.created_at > %(now)s - interval '1 day' AND s.id IS NULL""",
    # (vii) One may die or be restarted and nobody notices.
    "dispatchers.too_few": """
        SELECT 'alive-' || count(*) FROM safety_heartbeat
        WHERE role = 'alerts' AND at > %(now)s - interval '10 s' HAVING count(*) < 2""",
    # (viii) safety/canary.py raises the alert; it stands until a canary came home.
    "canary.lost": """
        SELECT id FROM safety_operationsalert WHERE code = 'canary.lost' AND resolved_at IS NULL
        UNION ALL SELECT id FROM safety_crisiscase
        WHERE is_canary AND state <> 'closed' AND opened_at < %(now)s - interval '12 min'""",
}
# A duty of people, not of machines: told, but the outside world is not alarmed.
_SECOND_LOOK: Final = """
    SELECT 'C-' || id FROM safety_crisiscase WHERE state = 'closed' AND level = 4 AND NOT is_canary
    AND second_at IS NULL AND closed_at < %(now)s - interval '24 h'"""


def violations(now: dt.datetime) -> Mapping[str, Sequence[str]]:
    """The names of what does not hold, with the ids of the offending rows (the first of them)."""
    found = {name: rows for name, sql in INVARIANTS.items() if (rows := _ask(sql, now))}
    if head_is_late(now):  # (ix)
        found["audit.head_late"] = ["head"]
    return found


def head_is_late(now: dt.datetime) -> bool:
    """The head of the audit chain leaves this machine each minute, or a rewritten log would go unnoticed."""
    if not settings.AUDIT_HEADS_FILE:
        return False
    last = audit_chain.last_head_at()
    return last is None or last < now - HEAD_WITHIN


def without_second_look(now: dt.datetime) -> Sequence[str]:
    """Numbers of imminent cases that one human closed and no other has looked at within 24 hours."""
    return _ask(_SECOND_LOOK, now)


def _ask(sql: str, now: dt.datetime) -> Sequence[str]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"{sql} LIMIT 20", {"now": now})
            return [str(row[0]) for row in cursor.fetchall()]
    except DatabaseError:
        if not connection.is_usable():
            raise
        return ["unanswered"]  # too slow or broken: nobody knows that it holds
