"""Measures against an account."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def conversations() -> list[str]:
    """What a restriction closes unless it names something else."""
    return ["chat"]


class Sanction(models.Model):
    """A graded measure against an account (final article 24). Help lines, leaving and appeal stay reachable."""

    class Kind(models.TextChoices):
        RESTRICT = "restrict", _("Some functions are closed")
        SUSPEND = "suspend", _("Account suspended")
        END = "end", _("Service ended")

    class Function(models.TextChoices):
        PERSONAS = "personas", _("Writing companions")
        PUBLISHING = "publishing", _("Offering companions to others")
        CHAT = "chat", _("Conversations")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sanctions")
    kind = models.CharField(max_length=16, choices=Kind)
    functions = models.JSONField(
        default=conversations
    )  # of a restriction; the graver kinds close all of them
    reason = models.CharField(
        max_length=40
    )  # a code: safety.sanctions.Reason, in words in docs/safety-policy.md
    evidence = models.CharField(max_length=80, blank=True)  # number of a report or case, never a text
    imposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True)  # None: until lifted
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        verbose_name = _("measure")
        verbose_name_plural = _("measures")
        indexes: ClassVar[list[models.Index]] = [
            # Serves the gate of every turn: is a measure in force?
            models.Index(
                fields=["user"], name="sanction_unlifted", condition=models.Q(lifted_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)
