"""Who may look after whom, and what was set for a minor."""

from guardians.models.limits import Limits, MinorSettings, PanelOpening, PersonaBlock, TimeRequest
from guardians.models.people import Consent, EmergencyContact, Guardianship, Invitation
from guardians.models.permissions import GuardianRight
from guardians.models.spending import Payment, Refund, SpendingCap, Wallet, WalletEntry, WalletHold

__all__ = [
    "Consent",
    "EmergencyContact",
    "GuardianRight",
    "Guardianship",
    "Invitation",
    "Limits",
    "MinorSettings",
    "PanelOpening",
    "Payment",
    "PersonaBlock",
    "Refund",
    "SpendingCap",
    "TimeRequest",
    "Wallet",
    "WalletEntry",
    "WalletHold",
]
