"""Reports, complaints, appeals, and reports to an authority: each a ticket with a deadline and a human who decides.

Nobody decides about what they said themselves, and an appeal is never decided by whoever decided first. The code says
so with a reason (safety/moderation.py); the constraints here say it again for code that forgets.
"""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import keyring

DECIDED = Q(state="decided", decided_at__isnull=False) & ~Q(decision="")
OPEN = Q(state="open", decided_at__isnull=True, decision="")


class Lane(models.TextChoices):
    """Which line a ticket waits in; docs/safety-policy.md has the hours of each."""

    SAFETY = "safety", _("Safety")
    MINORS = "minors", _("Minors")
    ORDINARY = "ordinary", _("Everything else")


class State(models.TextChoices):
    OPEN = "open", _("Open")
    DECIDED = "decided", _("Decided")


class Ticket(models.Model):
    """What waits for a human. The number names it towards people and cannot be guessed."""

    Decision: ClassVar[type[models.TextChoices]]

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=20, unique=True)
    lane = models.CharField(max_length=12, choices=Lane)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    escalated_at = models.DateTimeField(null=True)  # the people on call were told that it is late
    decision = models.CharField(max_length=24, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.number

    @property
    def outcome(self) -> str:
        """The decision in words; empty while there is none."""
        return str(self.Decision(self.decision).label) if self.decision else ""


def queue(name: str) -> models.Index:
    return models.Index(fields=["due_at"], name=f"{name}_queue", condition=Q(state="open"))


class Report(Ticket):
    """Somebody says that a reply or a companion should not be as it is."""

    class Kind(models.TextChoices):
        MESSAGE = "message", _("A reply")
        PERSONA = "persona", _("A companion")

    class Reason(models.TextChoices):
        DANGER = "danger", _("It could lead somebody to hurt themselves or others")
        MINOR = "minor", _("It is not fit for children or young people")
        SEXUAL = "sexual", _("It is sexual, and nobody asked for that")
        PRESSURE = "pressure", _("It pressed or shamed me, or would not let me go")
        DECEPTIVE = "deceptive", _("It pretends to be a human, or lies about money or health")
        HATE = "hate", _("It insults or despises people")
        REAL_PERSON = "real_person", _("It plays a real person, or tells private things of one")
        OTHER = "other", _("Something else")

    class Decision(models.TextChoices):
        NO_BREACH = "no_breach", _("It keeps to the rules")
        BREACH = "breach", _("It broke the rules; we record it and correct the check")
        WITHDRAWN = "withdrawn", _("The companion is closed to others until it is reviewed anew")

    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    target = models.UUIDField()  # public id of the message or of the companion
    persona = models.UUIDField()  # public id of the companion that it is about
    conversation = models.UUIDField(null=True)  # public id, of a reply
    reason = models.CharField(max_length=16, choices=Reason)
    comment = models.BinaryField(null=True)  # sealed with the reporter's key

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="report_open_or_decided", condition=OPEN | DECIDED),
            models.CheckConstraint(
                name="report_not_by_oneself",
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("reporter")),
            ),
            models.CheckConstraint(
                name="report_reply_has_place", condition=~Q(kind="message") | Q(conversation__isnull=False)
            ),
            # The same person twice is one ticket for as long as nobody has decided.
            models.UniqueConstraint(
                fields=["reporter", "kind", "target"], name="report_once", condition=Q(state="open")
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [queue("report")]  # serves the queue and what is late

    def seal(self, text: str) -> None:
        self.comment = keyring.encrypt(self.reporter_id, "report.comment", self.public_id, text)

    def open_comment(self) -> str:
        if self.comment is None:
            return ""
        return keyring.decrypt(self.reporter_id, "report.comment", self.public_id, self.comment)


class Complaint(Ticket):
    """A complaint of anybody, with an account or without.

    There may be no person whose key could seal the text, so the key-encryption key does (keyring.seal_secret).
    """

    class Category(models.TextChoices):
        DANGER = "danger", _("Somebody is or was in danger")
        MINORS = "minors", _("Children and young people")
        STAFF = "staff", _("How somebody of the team acted")
        PRIVACY = "privacy", _("My data")
        CONTENT = "content", _("What companions say")
        ACCOUNT = "account", _("My account")
        OTHER = "other", _("Something else")

    class Decision(models.TextChoices):
        UPHELD = "upheld", _("You are right")
        PARTLY = "partly", _("You are right in part")
        NOT_UPHELD = "not_upheld", _("We see it otherwise")
        PASSED_ON = "passed_on", _("Passed on to whoever can act on it")

    # Who was signed in: so that nobody of the team answers their own complaint. Nobody is shown it.
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    category = models.CharField(max_length=12, choices=Category)
    text = models.TextField()  # sealed
    email = models.TextField(blank=True)  # sealed; where the answer is sent besides the page of the ticket
    answer = models.TextField(blank=True)  # sealed

    class Meta:
        verbose_name = _("complaint")
        verbose_name_plural = _("complaints")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="complaint_open_or_decided", condition=OPEN | DECIDED),
            models.CheckConstraint(
                name="complaint_not_by_oneself",
                condition=Q(decided_by__isnull=True) | Q(person__isnull=True) | ~Q(decided_by=F("person")),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [queue("complaint")]  # serves the queue and what is late


class Appeal(Ticket):
    """Somebody asks that another human looks again at a decision about them."""

    class Subject(models.TextChoices):
        AGE = "age", _("The age we go by")
        PERSONA = "persona", _("A companion that was not accepted")
        SANCTION = "sanction", _("A measure against the account")
        REPORT = "report", _("What was decided about a report")
        DEPENDENCE = "dependence", _("What your use is taken for")
        GUARDIAN = "guardian", _("Somebody who looks after you")

    class Decision(models.TextChoices):
        UPHELD = "upheld", _("Granted")
        REJECTED = "rejected", _("Not granted")

    class Reason(models.TextChoices):
        MISTAKE = "mistake", _("The first decision was a mistake.")
        NEW_FACTS = "new_facts", _("What you told us changes the picture.")
        TOO_HARD = "too_hard", _("A milder step is enough.")
        CONFIRMED = "confirmed", _("A second person looked at it and came to the same result.")
        NOT_SHOWN = "not_shown", _("What you told us could not be confirmed.")

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    subject = models.CharField(max_length=12, choices=Subject)
    subject_id = models.UUIDField()  # public id of what was decided; the person's own for their age
    text = models.BinaryField()  # sealed with the person's key
    # Who decided first, as it was when the appeal came. None: not known, or they are gone.
    first_decider = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=16, choices=Reason, blank=True)
    answer = models.BinaryField(null=True)  # sealed with the person's key

    class Meta:
        verbose_name = _("appeal")
        verbose_name_plural = _("appeals")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="appeal_open_or_decided", condition=OPEN | DECIDED),
            models.CheckConstraint(
                name="appeal_second_person",
                condition=Q(decided_by__isnull=True)
                | (
                    ~Q(decided_by=F("person"))
                    & (Q(first_decider__isnull=True) | ~Q(decided_by=F("first_decider")))
                ),
            ),
            models.UniqueConstraint(
                fields=["person", "subject", "subject_id"], name="appeal_once", condition=Q(state="open")
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            queue("appeal"),  # serves the queue and what is late
            models.Index(fields=["person", "-id"], name="appeal_of_person"),  # "your appeals"
        ]

    def seal(self, field: str, text: str) -> None:
        setattr(self, field, keyring.encrypt(self.person_id, f"appeal.{field}", self.public_id, text))

    def open(self, field: str) -> str:
        value = getattr(self, field)
        if value is None:
            return ""
        return keyring.decrypt(self.person_id, f"appeal.{field}", self.public_id, value)


class UseReview(Ticket):
    """Signs of dependence have come before a human: the score and its reasons, never what somebody said."""

    class Decision(models.TextChoices):
        EXPLAINED = "explained", _("It has another explanation: nothing follows from it for four weeks")
        GUIDANCE = "guidance", _("The companion keeps clear boundaries for four weeks")
        NOTHING = "nothing", _("What happens by itself is enough")

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    score = models.PositiveSmallIntegerField()
    version = models.CharField(max_length=24)  # of the signal set
    reasons = models.JSONField(default=list)  # as in companion.models.DependenceScore

    class Meta:
        verbose_name = _("sign of dependence")
        verbose_name_plural = _("signs of dependence")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="use_review_open_or_decided", condition=OPEN | DECIDED),
            models.CheckConstraint(
                name="use_review_not_of_oneself",
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("person")),
            ),
            models.UniqueConstraint(fields=["person"], name="use_review_once", condition=Q(state="open")),
        ]
        indexes: ClassVar[list[models.Index]] = [
            queue("use_review"),  # serves the queue and what is late
            models.Index(fields=["person", "-id"], name="use_review_of_person"),
        ]


class AuthorityReport(models.Model):
    """That something about a person was, or is to be, told to an authority. What was sent is named, never kept here."""

    class Basis(models.TextChoices):
        LIFE = "life", _("Danger to somebody's life or body")
        MINOR = "minor", _("Protection of a child or young person")
        CRIME = "crime", _("A duty to report a crime")
        ORDER = "order", _("A written order of an authority")

    class State(models.TextChoices):
        PROPOSED = "proposed", _("Waits for a second person")
        APPROVED = "approved", _("Approved")
        SENT = "sent", _("Sent")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    subject = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    case = models.ForeignKey("safety.CrisisCase", models.SET_NULL, null=True, related_name="+")
    authority = models.CharField(max_length=120)
    basis = models.CharField(max_length=12, choices=Basis)
    reference = models.CharField(max_length=120, blank=True)  # file number of what was sent, kept elsewhere
    note = models.BinaryField()  # why; sealed with the person's key
    state = models.CharField(max_length=12, choices=State, default=State.PROPOSED)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(default=timezone.now)
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("report to an authority")
        verbose_name_plural = _("reports to authorities")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="authority_two_people",
                condition=~Q(proposed_by=F("subject"))
                & (
                    Q(approved_by__isnull=True)
                    | (~Q(approved_by=F("proposed_by")) & ~Q(approved_by=F("subject")))
                ),
            ),
            models.CheckConstraint(
                name="authority_sent_is_approved",
                condition=~Q(state__in=["approved", "sent"])
                | Q(approved_by__isnull=False, approved_at__isnull=False),
            ),
            models.CheckConstraint(
                name="authority_sent_is_named",
                condition=~Q(state="sent") | (Q(sent_at__isnull=False) & ~Q(reference="")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"

    def seal(self, text: str) -> None:
        self.note = keyring.encrypt(self.subject_id, "authority_report.note", self.public_id, text)

    def open(self) -> str:
        return keyring.decrypt(self.subject_id, "authority_report.note", self.public_id, self.note)
