"""A person in danger, from the first sign until a human closes the case."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import keyring


class CrisisCase(models.Model):
    """One danger to one person. Its id is the number that people say: C-1042.

    Until a human closes it there is always a next due time (a constraint), and the states change only along the arrows
    of docs/safety-policy.md (a trigger). Times are the database's.
    """

    class Category(models.TextChoices):
        SELF_HARM = "self_harm", _("Danger to their own life")
        ABUSE = "abuse", _("Harm by family, partner or others")
        MEDICAL = "medical", _("Medical emergency")
        PROPERTY_LOSS = "property_loss", _("Fraud or major loss")
        OTHER = "other", _("Other danger")

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        ESCALATING = "escalating", _("Escalating")
        ACKNOWLEDGED = "acknowledged", _("Seen by staff")
        IN_CARE = "in_care", _("With a human")
        CLOSED = "closed", _("Closed")

    class CloseReason(models.TextChoices):
        SAFE = "safe", _("The person is safe for now")
        HANDED_TO_HELP = "handed_to_help", _("Others help: family, doctor, emergency services")
        FALSE_ALARM = "false_alarm", _("False alarm: not a danger")
        STORY = "story", _("A story, a quotation or a game")
        OTHER_PERSON = "other_person", _("About somebody else")
        UNREACHABLE = "unreachable", _("Not reachable; everything possible was done")

    class Outcome(models.TextChoices):
        NONE = "none", _("Nothing further")
        HELP_LINE = "help_line", _("Help line named, person agreed to call")
        CONTACT_WITH_THEM = "contact_with_them", _("Guardian or contact is with them")
        EMERGENCY_ARRIVED = "emergency_arrived", _("Emergency services confirmed that they arrived")
        FOLLOW_UP = "follow_up", _("Follow-up agreed for the next day")

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    conversation = models.UUIDField()  # public id of the conversation of the newest signal
    level = models.PositiveSmallIntegerField()  # 2, 3 or 4: the gravest signal
    category = models.CharField(max_length=16, choices=Category)
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    opened_at = models.DateTimeField(default=timezone.now)
    ladder_at = models.DateTimeField(
        default=timezone.now
    )  # the ladder counts from here; a higher level restarts it
    rung = models.PositiveSmallIntegerField(default=0)  # the last one climbed
    round = models.PositiveSmallIntegerField(
        default=0
    )  # how often the ladder was restarted or its last rung repeated
    # Somebody near may be the danger: no guardian or contact is told, the safeguarding lead is.
    safeguarding = models.BooleanField(default=False)
    climb_due_at = models.DateTimeField(null=True)  # the next rung; None while a human has the case
    next_due_at = models.DateTimeField(
        null=True
    )  # the sweep looks again: the earliest of all times below and above
    # Guardian or contact are told then, claimed or not, unless a moderator decides otherwise.
    # None: they were told, or nobody is to be.
    contact_due_at = models.DateTimeField(null=True)
    contacts_told = models.PositiveSmallIntegerField(default=0)
    # Who is told on each rung, frozen at the opening: ids only (safety/ladder.py). Later changes add, never remove,
    # except a contact marked unsafe.
    ladder = models.JSONField(default=dict)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    acknowledged_until = models.DateTimeField(null=True)
    holder = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="held_cases"
    )
    active_at = models.DateTimeField(null=True)  # the holder's last act
    first_notice_at = models.DateTimeField(null=True)  # the first moderator's page had it
    first_seen_at = models.DateTimeField(null=True)  # first acknowledgement by a human
    first_held_at = models.DateTimeField(null=True)  # first taking over
    handed_back_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    close_reason = models.CharField(max_length=24, choices=CloseReason, blank=True)
    outcome = models.CharField(max_length=24, choices=Outcome, blank=True)
    # An imminent case needs a second human's look within 24 hours of its closing.
    second_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    second_at = models.DateTimeField(null=True)
    earlier = models.ForeignKey("self", models.SET_NULL, null=True, related_name="later")
    # The companion is silent towards this person, in every conversation, until a human hands back.
    ai_muted = models.BooleanField(default=False)
    script_step = models.PositiveSmallIntegerField(
        default=0
    )  # of the reviewed text while nobody has taken over
    # The oldest entry of the record that the person is still to read about (escalation.NEWS); None: nothing new.
    news_from = models.BigIntegerField(null=True)
    is_canary = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("crisis case")
        verbose_name_plural = _("crisis cases")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user"], name="case_one_open", condition=~Q(state="closed")),
            # No case is ever forgotten: there is a time to look again, or a human who closed it.
            models.CheckConstraint(
                name="case_is_due_or_closed",
                condition=Q(state="closed", closed_at__isnull=False, next_due_at__isnull=True)
                | (~Q(state="closed") & Q(closed_at__isnull=True, next_due_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="case_in_care_has_holder",
                condition=~Q(state="in_care") | Q(holder__isnull=False, active_at__isnull=False),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # Serves the sweep and the queue of the console.
            models.Index(fields=["next_due_at"], name="case_due", condition=~Q(state="closed")),
            # Serves the gentle days after a case, and the history of a person's cases.
            models.Index(fields=["user", "-opened_at"], name="case_of_person"),
            # Serves takeover.tell_people each second.
            models.Index(fields=["news_from"], name="case_news", condition=Q(news_from__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"C-{self.pk}"


class CaseSignal(models.Model):
    """A message that raised a case or joined it. The excerpt stays readable for the case when the message is erased."""

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(CrisisCase, models.CASCADE, related_name="signals")
    message = models.UUIDField(unique=True)  # public id; of no row when the message was refused
    conversation = models.UUIDField()
    level = models.PositiveSmallIntegerField()
    category = models.CharField(max_length=16, choices=CrisisCase.Category)
    reasons = models.JSONField(default=list)  # rule ids
    excerpt = models.BinaryField()  # sealed with the person's key
    created_at = models.DateTimeField(default=timezone.now)

    def seal(self, user_id: uuid.UUID, text: str) -> None:
        self.excerpt = keyring.encrypt(user_id, "case_signal.excerpt", self.public_id, text)

    def open(self, user_id: uuid.UUID) -> str:
        return keyring.decrypt(user_id, "case_signal.excerpt", self.public_id, self.excerpt)


class CaseEvent(models.Model):
    """Everything that happened in a case, in order; ids and codes only. The database refuses to change a row."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(CrisisCase, models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=40)  # one of safety.escalation.EVENTS
    actor = models.UUIDField(null=True)  # None: the system
    data = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["case", "id"], name="case_event_order"),  # serves the record of a case
        ]


class CaseNote(models.Model):
    """A moderator's private note on a case, never part of the chat. Sealed with the person's key."""

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(CrisisCase, models.CASCADE, related_name="notes")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    body = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)

    def seal(self, user_id: uuid.UUID, text: str) -> None:
        self.body = keyring.encrypt(user_id, "case_note.body", self.public_id, text)

    def open(self, user_id: uuid.UUID) -> str:
        return keyring.decrypt(user_id, "case_note.body", self.public_id, self.body)
