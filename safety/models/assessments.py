"""What the engine found in a message."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Assessment(models.Model):
    """The verdict on one message: level, action and reason codes, never a copy of the text (draft article 11)."""

    id = models.BigAutoField(primary_key=True)
    message = models.UUIDField(unique=True)  # public id of the message: messages live above this package
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    level = models.PositiveSmallIntegerField()
    action = models.CharField(max_length=24)
    reasons = models.JSONField(default=list)
    rules_version = models.CharField(max_length=24)
    # The meaning was late or down and the rules decided alone: on the list of the unassessed until it was looked at again.
    pending = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("verdict on a message")
        verbose_name_plural = _("verdicts on messages")
        indexes: ClassVar[list[models.Index]] = [
            # Serves "recent signals of this person" without reading the quiet ones.
            models.Index(
                fields=["user", "-created_at"], name="assessment_raised", condition=models.Q(level__gt=0)
            ),
            # Serves the days on which somebody's words spoke of dependence (companion/dependence.py): no level, a few codes.
            models.Index(fields=["user", "-created_at"], name="assessment_of_person"),
            models.Index(fields=["id"], name="assessment_pending", condition=models.Q(pending=True)),
        ]
