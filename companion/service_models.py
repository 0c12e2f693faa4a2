"""What is announced to people before it happens: rows of service notices (Measures, draft article 19, final article 20)."""

import datetime as dt
import uuid
from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# Days between the publication of a notice and what it announces. The draft and the final Measures ask for notice beforehand
# and name no figure. A companion is somebody's company: a month to say goodbye and to keep a copy. A feature is replaced
# more easily: two weeks. What merely changes: one. Settings may only lengthen these; the database refuses anything shorter.
FLOORS: Final[dict[str, int]] = {
    "persona_retirement": 30,
    "feature_retirement": 14,
    "end_of_service": 30,
    "change": 7,
}
READING_FLOOR: Final = 30  # days of reading and export after the end


class ServiceNotice(models.Model):
    """Something that will happen to the service, or did. A draft until published; afterwards its text stands."""

    class Kind(models.TextChoices):
        PERSONA_RETIREMENT = "persona_retirement", _("A companion ends")
        PERSONA_REMOVAL = "persona_removal", _("A companion was taken away at once")
        FEATURE_RETIREMENT = "feature_retirement", _("A feature ends")
        CHANGE = "change", _("A change")
        OUTAGE = "outage", _("Something does not work")
        END_OF_SERVICE = "end_of_service", _("The service ends")

    class Why(models.TextChoices):
        """Of a removal that did not wait: for the log, and for people in words."""

        HARMFUL = "harmful", _("It could have led people to harm themselves or others.")
        ILLEGAL = "illegal", _("The law did not allow it.")
        REAL_PERSON = "real_person", _("It was like a real person.")
        AUTHOR = "author", _("Whoever wrote it has deleted it.")
        OTHER = "other", _("We cannot offer it any longer.")

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=24, choices=Kind)
    persona = models.ForeignKey(
        "companion.Persona", models.PROTECT, related_name="service_notices", null=True, blank=True
    )
    feature = models.CharField(
        max_length=24, blank=True
    )  # a switch that is turned off when the time has come
    why = models.CharField(max_length=16, choices=Why, blank=True)
    title_zh = models.CharField(max_length=80, blank=True)
    title_en = models.CharField(max_length=120, blank=True)
    text_zh = models.TextField(blank=True)
    text_en = models.TextField(blank=True)
    takes_effect_at = models.DateTimeField(default=timezone.now)
    # Until when at least everything stays readable and can be exported.
    readable_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    published_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)  # it will not happen
    resolved_at = models.DateTimeField(null=True, blank=True)  # an outage is over
    carried_out_at = models.DateTimeField(null=True, blank=True)
    # How far the list of who is mailed has come, by the person's id; complete once enrolled_at is set.
    enrolled_to = models.UUIDField(null=True, blank=True)
    enrolled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("service notice")
        verbose_name_plural = _("service notices")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="service_notice_names_its_companion",
                condition=Q(kind__in=["persona_retirement", "persona_removal"], persona__isnull=False)
                | ~Q(kind__in=["persona_retirement", "persona_removal"]) & Q(persona__isnull=True),
            ),
            *(
                models.CheckConstraint(
                    name=f"service_notice_in_time_{kind}",
                    condition=~Q(kind=kind)
                    | Q(published_at__isnull=True)
                    | Q(takes_effect_at__gte=F("published_at") + dt.timedelta(days=days)),
                )
                for kind, days in FLOORS.items()
            ),
            models.CheckConstraint(
                name="service_notice_end_by_two",
                condition=~Q(kind="end_of_service")
                | Q(published_by__isnull=True)
                | ~Q(published_by=F("created_by")),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # Serves banners, the status page and the tasks: few rows, read often.
            models.Index(fields=["-published_at"], name="service_notice_published")
        ]

    def __str__(self) -> str:
        return str(self.public_id)


class ServiceNoticeSeen(models.Model):
    """Who has seen a notice in their inbox, and who has put its banner away."""

    id = models.BigAutoField(primary_key=True)
    notice = models.ForeignKey(ServiceNotice, models.CASCADE, related_name="seen_by")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    seen_at = models.DateTimeField(null=True)
    dismissed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "notice"], name="service_notice_seen_once")
        ]


class ServiceNoticeMail(models.Model):
    """A mail about a notice to one person: sent once, or given up after several attempts."""

    id = models.BigAutoField(primary_key=True)
    notice = models.ForeignKey(ServiceNotice, models.CASCADE, related_name="mails")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True)  # None: nothing more is to be done
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["notice", "user"], name="service_notice_mail_once")
        ]
        indexes: ClassVar[list[models.Index]] = [
            # Serves the claim of what is due.
            models.Index(
                fields=["next_at"], name="service_notice_mail_due", condition=Q(next_at__isnull=False)
            )
        ]
