"""What guardians and people themselves set: time, companions, features."""

import datetime as dt
import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


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


class MinorSettings(models.Model):
    """What guardians opened or closed for a minor. Without a row: the defaults. The log has who changed what."""

    minor = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="minor_settings"
    )
    approved_only = models.BooleanField(default=False)
    approved = ArrayField(models.UUIDField(), default=list, blank=True)  # public ids of companions
    blocked_tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)  # in lower case
    voice = models.BooleanField(default=True)
    memory = models.BooleanField(default=True)
    images = models.BooleanField(default=True)
    changed_at = models.DateTimeField(default=timezone.now)


class TimeRequest(models.Model):
    """A minor asks for more time today; a guardian answers. Minutes given count on the day they were asked for."""

    class State(models.TextChoices):
        OPEN = "open", _("Waiting")
        GRANTED = "granted", _("Given")
        DECLINED = "declined", _("Not given")
        LAPSED = "lapsed", _("The day is over")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    minor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="time_requests")
    day = models.DateField()  # of the zone that counts for the minor's limits
    asked = models.PositiveSmallIntegerField()  # minutes
    granted = models.PositiveSmallIntegerField(default=0)  # minutes
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    asked_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["minor"], name="one_open_time_request", condition=models.Q(state="open")
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["minor", "day"], name="time_requests_of_a_day")
        ]


class PanelOpening(models.Model):
    """That a guardian opened the panel of a minor: the minor sees each time."""

    id = models.BigAutoField(primary_key=True)
    minor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="panel_openings")
    guardian = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    opened_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["minor", "-opened_at"], name="panel_openings_of_a_minor")
        ]
