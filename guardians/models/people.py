"""Who looks after whom, and who is called."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Guardianship(models.Model):
    """A guardian of a minor: named (invited), has agreed and waits for the other side (accepted), in force (active)."""

    class State(models.TextChoices):
        INVITED = "invited", _("Invited")
        ACCEPTED = "accepted", _("Waiting for a confirmation")
        ACTIVE = "active", _("Active")
        ENDED = "ended", _("Ended")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    minor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="guardianships")
    guardian = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="wards", null=True, blank=True
    )
    # Name, relation, e-mail and phone as JSON, sealed with the minor's key.
    details = models.BinaryField()
    state = models.CharField(max_length=16, choices=State, default=State.INVITED)
    consented_at = models.DateTimeField(null=True, blank=True)
    # The guardian in force who named this one, and the role they had in mind; without: the minor named them.
    named_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    role_offered = models.CharField(max_length=8, blank=True)  # of guardians/access.py
    end_asked_at = models.DateTimeField(null=True, blank=True)  # by the minor
    end_declined_at = models.DateTimeField(null=True, blank=True)  # by the guardian
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("guardianship")
        verbose_name_plural = _("guardianships")
        # What a guardian may do with this link; guardians/access.py gives and asks.
        permissions = (
            ("view_usage", "Can see the panel"),
            ("edit_limits", "Can change limits, features, companions, spending and consent"),
            ("receive_alerts", "Is told of a danger"),
            ("delete_history", "Can delete conversations on the minor's behalf"),
        )
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # An active guardianship has a guardian and a consent.
            models.CheckConstraint(
                name="guardianship_active_is_complete",
                condition=~models.Q(state__in=["accepted", "active"])
                | models.Q(guardian__isnull=False, consented_at__isnull=False),
            ),
            models.CheckConstraint(
                name="guardianship_not_of_oneself", condition=~models.Q(guardian=models.F("minor"))
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Invitation(models.Model):
    """A link to answer as a guardian: sent to an address, or shown on the minor's screen. Only the token's hash is kept."""

    class Method(models.TextChoices):
        MAIL = "mail", _("Link by e-mail")
        CODE = "code", _("Code on the screen")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    link = models.ForeignKey(Guardianship, models.CASCADE, related_name="invitations")
    method = models.CharField(max_length=8, choices=Method)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the token
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()  # or when a newer one took its place
    used_at = models.DateTimeField(null=True)
    used_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")


class Consent(models.Model):
    """A guardian's consent: to which text, by which way, when, and when it was withdrawn. Rows are never overwritten."""

    id = models.BigAutoField(primary_key=True)
    link = models.ForeignKey(Guardianship, models.CASCADE, related_name="consents")
    version = models.CharField(max_length=16)  # of the text in templates/guardians/_consent.html
    method = models.CharField(max_length=8, choices=Invitation.Method)
    # The three boxes, each ticked by the guardian (personal information law, articles 14, 23, 29 and 31).
    companionship = models.BooleanField()
    sensitive_data = models.BooleanField()
    third_parties = models.BooleanField()
    given_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    given_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["link"], name="one_consent_in_force", condition=models.Q(withdrawn_at__isnull=True)
            )
        ]


class EmergencyContact(models.Model):
    """Whom we reach when a person is in danger, and for nothing else (final article 13)."""

    class State(models.TextChoices):
        GIVEN = "given", _("Given")
        CONFIRMED = "confirmed", _("Confirmed")
        REFUSED = "refused", _("Refused")
        UNSAFE = "unsafe", _("Marked unsafe")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="emergency_contacts")
    # Name, relation, e-mail and phone as JSON, sealed with the person's key.
    details = models.BinaryField()
    state = models.CharField(max_length=16, choices=State, default=State.GIVEN)
    created_at = models.DateTimeField(default=timezone.now)
    asked_at = models.DateTimeField(
        null=True
    )  # when they were last told why they are named, with a link to answer
    answered_at = models.DateTimeField(null=True)
    tested_at = models.DateTimeField(null=True)  # when the person last sent them a test notice

    class Meta:
        verbose_name = _("emergency contact")
        verbose_name_plural = _("emergency contacts")

    def __str__(self) -> str:
        return str(self.pk)
