"""The audit log: an explicit call with a registered action. Ids and codes only, never text or names."""

import uuid
from typing import Any

from accounts.models import AuditEntry

ACTIONS = frozenset(
    {
        "account.created",
        "account.care_completed",
        "account.contact_unsafe",
        "guardian.invited",
        "guardian.accepted",
        "guardian.confirmed",
        "guardian.refused",
        "guardian.consent_given",
        "guardian.consent_withdrawn",
        "account.sessions_revoked",
        "notice.acknowledged",
        "conversation.ended",
        "account.age_corrected",
        "persona.submitted",
        "persona.approved",
        "persona.published",
        "persona.refused",
        "persona.withdrawn",
        "persona.reopened",
        "sanction.imposed",
        "sanction.lifted",
        "report.filed",
        "report.decided",
        "complaint.filed",
        "complaint.decided",
        "appeal.filed",
        "appeal.decided",
        "authority.proposed",
        "authority.approved",
        "authority.sent",
        "authority.withdrawn",
        "keyring.rewrapped",
        "case.opened",
        "case.acknowledged",
        "case.claimed",
        "case.transferred",
        "case.handed_back",
        "case.closed",
        "case.second_look",
        "case.contact_notice",
        "case.contact_withheld",
        "case.contact_answered",
        "case.noted",
        "case.checklist",
        "case.follow_up",
        "reading.requested",
        "reading.opened",
        "reading.refused",
        "reading.approved",
        "reading.reviewed",
        "alert.acknowledged",
        "switch.changed",
        "dependence.step",
        "dependence.review_asked",
        "dependence.reviewed",
        "limits.set",
        "service_notice.drafted",
        "service_notice.published",
        "service_notice.withdrawn",
        "service_notice.resolved",
        "service_notice.carried_out",
        "persona.retired",
        "persona.removed",
        "account.exported",
    }
)


def record(
    action: str,
    *,
    actor: uuid.UUID | None,
    subject: uuid.UUID | None = None,
    target: str = "",
    **data: Any,
) -> None:
    """Write one entry in the caller's transaction, so that act and entry stand or fall together."""
    if action not in ACTIONS:
        raise ValueError(f"unregistered audit action {action!r}")
    AuditEntry.objects.create(action=action, actor=actor, subject=subject, target=target, data=data)
