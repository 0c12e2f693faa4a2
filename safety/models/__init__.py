"""Is someone at risk, and what did we do."""

from safety.models.age import AgeReview, AgeSign
from safety.models.alerts import (
    CareNotice,
    Delivery,
    DeliveryAttempt,
    Heartbeat,
    OperationsAlert,
    PushSubscription,
)
from safety.models.assessments import Assessment
from safety.models.cases import CaseEvent, CaseNote, CaseSignal, CrisisCase
from safety.models.duty import Presence, Shift, StaffSession
from safety.models.moderation import Appeal, AuthorityReport, Complaint, Lane, Report, Ticket, UseReview
from safety.models.sanctions import Sanction

__all__ = [
    "AgeReview",
    "AgeSign",
    "Appeal",
    "Assessment",
    "AuthorityReport",
    "CareNotice",
    "CaseEvent",
    "CaseNote",
    "CaseSignal",
    "Complaint",
    "CrisisCase",
    "Delivery",
    "DeliveryAttempt",
    "Heartbeat",
    "Lane",
    "OperationsAlert",
    "Presence",
    "PushSubscription",
    "Report",
    "Sanction",
    "Shift",
    "StaffSession",
    "Ticket",
    "UseReview",
]
