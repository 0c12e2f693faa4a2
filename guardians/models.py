"""Who may look after whom."""

import datetime as dt
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
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("guardianship")
        verbose_name_plural = _("guardianships")
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

    class Meta:
        verbose_name = _("emergency contact")
        verbose_name_plural = _("emergency contacts")

    def __str__(self) -> str:
        return str(self.pk)


class PersonaBlock(models.Model):
    """A persona that a minor's guardian has blocked. Stores the public id: personas live above this package."""

    id = models.BigAutoField(primary_key=True)
    minor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="persona_blocks")
    persona = models.UUIDField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["minor", "persona"], name="persona_block_once")
        ]


class Limits(models.Model):
    """Daily time and quiet hours that somebody set for a person. A history: the newest row in force counts.

    What makes limits wider is in force from the next day on, so that nobody talks themselves out of one at night.
    """

    class Setter(models.TextChoices):
        SELF = "self", _("Oneself")
        GUARDIAN = "guardian", _("Guardian")

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="limits")
    setter = models.CharField(max_length=10, choices=Setter)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    daily_minutes = models.PositiveSmallIntegerField(null=True, blank=True)  # None: no limit of this setter's
    quiet_from = models.TimeField(null=True, blank=True)  # local time; both or neither
    quiet_until = models.TimeField(null=True, blank=True)
    valid_from = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "setter", "-valid_from", "-id"], name="limits_in_force")
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="limits_quiet_both_or_neither",
                condition=models.Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | models.Q(quiet_from__isnull=False, quiet_until__isnull=False),
            ),
            models.CheckConstraint(
                name="limits_at_most_a_day",
                condition=models.Q(daily_minutes__isnull=True) | models.Q(daily_minutes__lte=1440),
            ),
        ]

    @property
    def quiet(self) -> tuple[dt.time, dt.time] | None:
        """From, until."""
        if self.quiet_from is None or self.quiet_until is None:
            return None
        return self.quiet_from, self.quiet_until
