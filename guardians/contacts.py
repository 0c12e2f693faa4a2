"""Emergency contacts: whom we reach when a person is in danger, and for nothing else (final article 13)."""

import datetime as dt
import uuid
from collections.abc import Sequence

from django.db import transaction

from accounts import audit
from accounts.care import ContactDetails
from accounts.generation import policy_changed
from accounts.models import User
from guardians import limits
from guardians.models import EmergencyContact

_PLACE = "emergency_contact.details"


def add(
    user: User,
    details: ContactDetails,
    *,
    actor: uuid.UUID,
    now: dt.datetime,
    instead_of: EmergencyContact | None = None,
) -> EmergencyContact:
    """Note a contact, or replace one by it. Raises ValidationError for details that cannot be right."""
    details = details.checked(owner=user)
    row = EmergencyContact(user=user, created_at=now)
    with transaction.atomic(durable=True):
        if instead_of is not None:
            EmergencyContact.objects.filter(pk=instead_of.pk, user=user).delete()
        row.details = details.seal(user.pk, _PLACE, row.pk)
        row.save(force_insert=True)
        audit.record(
            "account.care_completed",
            actor=actor,
            subject=user.pk,
            target=f"emergency_contact:{row.pk}",
            step="contact_given",
        )
        policy_changed(user.pk)
    limits.forget(user)
    return row


def mark_unsafe(contact: EmergencyContact, *, actor: uuid.UUID) -> None:
    """The person says that this contact is not safe for them: never told again. In the caller's transaction.

    Whoever calls takes the contact out of open cases first (safety.cases.contact_unsafe).
    """
    EmergencyContact.objects.filter(pk=contact.pk).update(state=EmergencyContact.State.UNSAFE)
    audit.record(
        "account.contact_unsafe",
        actor=actor,
        subject=contact.user_id,
        target=f"emergency_contact:{contact.pk}",
    )
    policy_changed(contact.user_id)


def of(user: User) -> Sequence[EmergencyContact]:
    return list(EmergencyContact.objects.filter(user=user).order_by("created_at"))


def open_details(contact: EmergencyContact) -> ContactDetails:
    return ContactDetails.open(contact.user_id, _PLACE, contact.pk, contact.details)
