"""Invitations to guardians: a token of 256 bits, kept as its hash, for one use within 48 hours (threat T23).

A link by e-mail is bound to the address that the minor gave; a code on the minor's screen to the minor, who then confirms
who answered. Opening the link changes nothing: programs that check mail open every link.
"""

import datetime as dt
import hashlib
import secrets
import uuid

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts import audit
from accounts.generation import policy_changed
from accounts.models import User
from guardians import access, consents, limits, links
from guardians.access import Role
from guardians.consents import Boxes
from guardians.models import Guardianship, Invitation

VALID_FOR = dt.timedelta(hours=48)
PER_DAY = 5  # invitations of one minor by e-mail: nobody is to be flooded from here
State = Guardianship.State


class InvitationError(Exception):
    """Why an invitation cannot be made or answered. `code` names a sentence of the page (views/invitations.py)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def create(link: Guardianship, method: str, *, actor: uuid.UUID, now: dt.datetime) -> str:
    """The token of a new invitation; those before it count no more.

    Raises InvitationError: too_many, no_address, answered.
    """
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        row = Guardianship.objects.select_for_update().get(pk=link.pk)
        if row.state != State.INVITED:
            raise InvitationError("answered")
        if method == Invitation.Method.MAIL:
            if not links.open_details(row).email:
                raise InvitationError("no_address")
            recent = Invitation.objects.filter(
                link__minor=row.minor_id, method=method, created_at__gt=now - dt.timedelta(days=1)
            )
            if recent.count() >= PER_DAY:
                raise InvitationError("too_many")
        Invitation.objects.filter(link=row, used_at=None, expires_at__gt=now).update(expires_at=now)
        Invitation.objects.create(
            link=row, method=method, digest=_digest(token), created_at=now, expires_at=now + VALID_FOR
        )
        audit.record(
            "guardian.invited",
            actor=actor,
            subject=row.minor_id,
            target=f"guardianship:{row.pk}",
            method=method,
        )
    return token


def find(token: str, now: dt.datetime) -> Invitation:
    """Raises InvitationError: unknown, over (used, or its time is)."""
    row = (
        Invitation.objects.select_related("link__minor")
        .filter(digest=_digest(token))
        .exclude(link__state=State.ENDED)
        .first()
    )
    if row is None:
        raise InvitationError("unknown")
    if row.used_at is not None or row.expires_at <= now or row.link.state != State.INVITED:
        raise InvitationError("over")
    return row


def check(invitation: Invitation, user: User, *, minors_browser: bool, now: dt.datetime) -> None:
    """May this account answer? Raises InvitationError; every rule that can see a minor's second account is here."""
    minor = invitation.link.minor
    if user.pk == minor.pk:
        raise InvitationError("own")
    policy = limits.effective_policy(user, now)
    if policy.age_band is None or policy.missing in ("birth_date", "agreement"):
        raise InvitationError("incomplete")
    if policy.is_minor:
        raise InvitationError("minor")
    verified = {
        address.lower()
        for address in EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    }
    if not verified:
        raise InvitationError("unverified")
    if any(_mailbox(address) == _mailbox(minor.email) for address in verified):
        raise InvitationError("own")  # the minor's own mailbox under another name
    if (
        invitation.method == Invitation.Method.MAIL
        and links.open_details(invitation.link).email not in verified
    ):
        raise InvitationError("other_address")
    if minors_browser:
        raise InvitationError("same_browser")
    if Guardianship.objects.filter(minor=minor, guardian=user).exclude(state=State.ENDED).exists():
        raise InvitationError("already")


def accept(token: str, user: User, boxes: Boxes, *, minors_browser: bool, now: dt.datetime) -> Guardianship:
    """The guardian agrees. In force at once when whoever has to say yes named this very address themselves.

    That is the minor for the first guardian, somebody who manages for a further one. Otherwise they confirm who answered.
    Exactly one of any number of attempts with a token succeeds. Raises InvitationError, and ValueError for missing boxes.
    """
    invitation = find(token, now)
    check(invitation, user, minors_browser=minors_browser, now=now)
    with transaction.atomic():
        links.lock(invitation.link.minor_id)
        used = Invitation.objects.filter(pk=invitation.pk, used_at=None, expires_at__gt=now).update(
            used_at=now, used_by=user
        )
        if not used:
            raise InvitationError("over")
        link = Guardianship.objects.select_for_update().get(pk=invitation.link_id)
        if link.state != State.INVITED:
            raise InvitationError("over")
        second = links.in_force(link.minor)
        by_guardian = link.named_by is not None and links.manages(link.named_by, link.minor)
        trusted = by_guardian if second else not link.role_offered
        asked = not trusted or invitation.method == Invitation.Method.CODE
        link.state = State.ACCEPTED if asked else State.ACTIVE
        link.guardian, link.consented_at = user, now
        link.save(update_fields=["state", "guardian", "consented_at"])
        audit.record(
            "guardian.accepted",
            actor=user.pk,
            subject=link.minor_id,
            target=f"guardianship:{link.pk}",
            method=invitation.method,
            waits=asked,
        )
        consents.write(link, user, boxes, invitation.method, now)
        if link.state == State.ACTIVE:
            access.give(link, Role(link.role_offered) if second else Role.MANAGE)
    return link


def confirm(link: Guardianship, *, by: User, role: Role = Role.VIEW) -> None:
    """The other yes. The minor's own for the first guardian, who manages. For a further one that of somebody who manages,
    and they choose the role. Raises LinkError.
    """
    with transaction.atomic():
        links.lock(link.minor_id)
        row = Guardianship.objects.select_for_update().filter(pk=link.pk, state=State.ACCEPTED).first()
        if row is None or not may_confirm(row, by):
            raise links.LinkError("not_yours")
        first = not links.in_force(row.minor)
        row.state = State.ACTIVE
        row.save(update_fields=["state"])
        role = Role.MANAGE if first else role
        access.give(row, role)
        audit.record(
            "guardian.confirmed",
            actor=by.pk,
            subject=row.minor_id,
            target=f"guardianship:{row.pk}",
            role=role.value,
        )
        policy_changed(row.minor_id)


def refuse(link: Guardianship, *, by: User, now: dt.datetime) -> None:
    """The other no; the minor may name somebody else. Raises LinkError."""
    with transaction.atomic():
        links.lock(link.minor_id)
        row = Guardianship.objects.select_for_update().filter(pk=link.pk, state=State.ACCEPTED).first()
        if row is None or not may_confirm(row, by):
            raise links.LinkError("not_yours")
        row.state, row.ended_at = State.ENDED, now
        row.save(update_fields=["state", "ended_at"])
        consents.over(row, by, now)
        audit.record("guardian.refused", actor=by.pk, subject=row.minor_id, target=f"guardianship:{row.pk}")
        policy_changed(row.minor_id)


def may_confirm(link: Guardianship, by: User) -> bool:
    """Where a guardian is in force those who manage decide on further ones; otherwise the minor does."""
    if links.in_force(link.minor):
        return links.manages(by, link.minor)
    return by.pk == link.minor_id


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _mailbox(address: str) -> str:
    """Without the part after a plus sign, which providers deliver to the same person."""
    name, _, host = address.lower().partition("@")
    return f"{name.partition('+')[0]}@{host}"
