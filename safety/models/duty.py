"""Who of the staff is there, and what they read."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Shift(models.Model):
    """When somebody is on duty. Without any shift at all every moderator counts as being on duty."""

    class Role(models.TextChoices):
        MODERATOR = "moderator", _("Moderator")
        LEAD = "lead", _("Shift lead")
        SAFEGUARDING = "safeguarding", _("Safeguarding lead")

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="shifts")
    role = models.CharField(max_length=16, choices=Role, default=Role.MODERATOR)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()

    class Meta:
        verbose_name = _("shift")
        verbose_name_plural = _("shifts")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="shift_ends_after_start", condition=Q(ends_at__gt=F("starts_at")))
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["role", "ends_at", "starts_at"], name="shift_now")  # serves "who is on duty"
        ]


class Presence(models.Model):
    """When a member of staff was last seen working: by an act of theirs, not by a login."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    seen_at = models.DateTimeField()


class StaffSession(models.Model):
    """The right of one member of staff to read one person's words: with a reason, a limit and a log (threat T12).

    Either for a case, or "break glass" with a written reason of at least 20 characters. The person can see it afterwards.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    staff = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    subject = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="read_by")
    case = models.ForeignKey("safety.CrisisCase", models.CASCADE, null=True, related_name="readings")
    conversation = models.UUIDField()
    reason = models.BinaryField(null=True)  # break glass: sealed with the subject's key
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    flagged = models.BooleanField(default=False)  # for the review: staff and subject are close, or at random
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    messages_read = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("reading by staff")
        verbose_name_plural = _("readings by staff")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="reading_not_of_oneself", condition=~Q(staff=F("subject"))),
            models.CheckConstraint(
                name="reading_has_cause", condition=Q(case__isnull=False) | Q(reason__isnull=False)
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["subject", "-created_at"], name="reading_of_person")  # "who read this"
        ]
