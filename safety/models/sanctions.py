"""Measures against an account."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Sanction(models.Model):
    """A graded measure against an account (final article 24). Help lines, export and appeal stay reachable."""

    class Kind(models.TextChoices):
        RESTRICT = "restrict", _("Conversations paused")
        SUSPEND = "suspend", _("Account suspended")
        END = "end", _("Service ended")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sanctions")
    kind = models.CharField(max_length=16, choices=Kind)
    reason = models.CharField(max_length=40)  # a code; docs/safety-policy.md lists them
    imposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True)  # None: until lifted
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            # Serves the gate of every turn: is a measure in force?
            models.Index(
                fields=["user"], name="sanction_unlifted", condition=models.Q(lifted_at__isnull=True)
            )
        ]
