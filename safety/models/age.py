"""Signs that somebody is younger than their birth date says, and the human who looks at them."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import keyring
from safety.models.moderation import DECIDED, OPEN, Ticket, queue


class AgeSign(models.Model):
    """One message spoke like somebody under 18: a code and when, never a word of it (safety/age_signs.py).

    Deleted when a human has decided, and by themselves when they no longer count.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    message = models.UUIDField()  # public id: several signs of one message count once
    code = models.CharField(max_length=16)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("sign of a younger age")
        verbose_name_plural = _("signs of a younger age")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["message", "code"], name="age_sign_once")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "-created_at"], name="age_signs_of_person"),
            models.Index(fields=["created_at"], name="age_signs_by_time"),  # serves forgetting
        ]


class AgeReview(Ticket):
    """Somebody is in minors' mode because of such signs: a human decides, and the signs are gone afterwards."""

    class Decision(models.TextChoices):
        LIFTED = "lifted", _("An adult: the mode is lifted")
        CONFIRMED = "confirmed", _("Under 18: the mode stays, and a guardian is needed")

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    version = models.CharField(max_length=24)  # of the signs
    statement = models.BinaryField(null=True)  # what the person says to it; their key; gone with the decision

    class Meta:
        verbose_name = _("question of age")
        verbose_name_plural = _("questions of age")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="age_review_open_or_decided", condition=OPEN | DECIDED),
            models.CheckConstraint(
                name="age_review_not_of_oneself",
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("person")),
            ),
            # What was told is not kept longer than it is needed.
            models.CheckConstraint(
                name="age_review_forgets", condition=Q(state="open") | Q(statement__isnull=True)
            ),
            models.UniqueConstraint(fields=["person"], name="age_review_once", condition=Q(state="open")),
        ]
        indexes: ClassVar[list[models.Index]] = [
            queue("age_review"),  # serves the queue and what is late
            models.Index(fields=["person", "-id"], name="age_review_of_person"),
        ]

    def seal(self, text: str) -> None:
        self.statement = keyring.encrypt(self.person_id, "age_review.statement", self.public_id, text)

    def open(self) -> str:
        if self.statement is None:
            return ""
        return keyring.decrypt(self.person_id, "age_review.statement", self.public_id, self.statement)
