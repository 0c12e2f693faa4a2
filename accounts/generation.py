"""Generations: two counters per person that open sockets compare before they serve a frame.

`session_generation` says whether the login still counts, `policy_generation` whether the rights read at
connect still hold. The counters are the promise; the doorbell after the commit only makes it
quick (threat T19).
"""

import uuid
from collections.abc import Collection

from allauth.usersessions.models import UserSession
from django.db import connection, transaction
from django.db.models import F

from accounts import audit, realtime
from accounts.models import User

POLICY_CHANGED = "policy.changed"


def revoke_sessions(user: User, *, actor: uuid.UUID | None, reason: str) -> None:
    """Log a person out everywhere: all login sessions, every socket. `reason` is a code for the audit log."""
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(session_generation=F("session_generation") + 1)
        for session in UserSession.objects.filter(user_id=user.pk):
            session.end()
        audit.record("account.sessions_revoked", actor=actor, subject=user.pk, reason=reason)
        transaction.on_commit(lambda: realtime.close_all_sessions(user.pk))


def deactivate(user: User, *, actor: uuid.UUID | None, reason: str) -> None:
    """Close an account for logins and end its sessions in the same transaction."""
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_active=False)
        revoke_sessions(user, actor=actor, reason=reason)


def policy_changed(user_id: uuid.UUID) -> None:
    """Say in the caller's transaction that what a person may do has changed; an event tells their pages."""
    with transaction.atomic():
        User.objects.filter(pk=user_id).update(policy_generation=F("policy_generation") + 1)
        realtime.emit(user_id, realtime.NewEvent(POLICY_CHANGED))


def count_policies(people: Collection[uuid.UUID]) -> None:
    """The same for many in one statement; their pages learn from the caller's own events."""
    with connection.cursor() as cursor:
        # In one order, so that two who do this never wait for each other.
        cursor.execute(
            "WITH locked AS MATERIALIZED (SELECT id FROM accounts_user WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE) "
            "UPDATE accounts_user u SET policy_generation = policy_generation + 1 FROM locked WHERE u.id = locked.id",
            [list(people)],
        )
