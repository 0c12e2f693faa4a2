"""Is someone at risk, and what did we do."""

from safety.models.alerts import Delivery, DeliveryAttempt, Heartbeat, OperationsAlert, PushSubscription
from safety.models.assessments import Assessment
from safety.models.cases import CaseEvent, CaseNote, CaseSignal, CrisisCase
from safety.models.duty import Presence, Shift, StaffSession
from safety.models.sanctions import Sanction

__all__ = [
    "Assessment",
    "CaseEvent",
    "CaseNote",
    "CaseSignal",
    "CrisisCase",
    "Delivery",
    "DeliveryAttempt",
    "Heartbeat",
    "OperationsAlert",
    "Presence",
    "PushSubscription",
    "Sanction",
    "Shift",
    "StaffSession",
]
