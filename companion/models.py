"""Personas, conversations, messages and memories. Text columns hold sealed bytes; see accounts/keyring.py."""

import json
import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import keyring
from companion.cards import AgeRating, Relationship
from companion.service_models import ServiceNotice, ServiceNoticeMail, ServiceNoticeSeen

__all__ = ["ServiceNotice", "ServiceNoticeMail", "ServiceNoticeSeen"]  # Django looks for models here


class Persona(models.Model):
    """A companion. Built-in ones read their card from companion/builtin/; written ones keep it sealed here."""

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        IN_REVIEW = "in_review", _("Waiting for review")
        PUBLISHED = "published", _("Published")
        REFUSED = "refused", _("Not accepted")
        RETIRED = "retired", _("Retired")

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    # None: built in. A written persona belongs to its author and to nobody else until published.
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="personas", null=True, blank=True
    )
    state = models.CharField(max_length=16, choices=State, default=State.DRAFT)
    relationship = models.CharField(max_length=24, choices=[(r.value, r.value) for r in Relationship])
    age_rating = models.CharField(max_length=8, choices=[(r.value, r.value) for r in AgeRating])
    version = models.PositiveIntegerField(default=1)
    card = models.BinaryField(null=True)  # sealed JSON of a written persona
    review_reason = models.CharField(max_length=40, blank=True)  # a code, shown to the author when refused
    # The first of the two approvals; the second, or who refused, is reviewed_by.
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, related_name="+", null=True, blank=True
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, related_name="+", null=True, blank=True
    )
    submitted_at = models.DateTimeField(null=True, blank=True)
    # The notice that told of its end; see companion/retirement.py.
    retired_by = models.ForeignKey(ServiceNotice, models.PROTECT, related_name="+", null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("companion")
        verbose_name_plural = _("companions")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # A built-in persona keeps its text in files, a written one keeps it sealed.
            models.CheckConstraint(
                name="persona_card_follows_author",
                condition=models.Q(author__isnull=True, card__isnull=True)
                | models.Q(author__isnull=False, card__isnull=False),
            ),
            # None of ours ends without a notice (draft article 19). What its author deletes is the author's to delete.
            models.CheckConstraint(
                name="persona_retired_with_notice",
                condition=~models.Q(state="retired")
                | models.Q(retired_by__isnull=False)
                | models.Q(author__isnull=False),
            ),
            models.CheckConstraint(
                name="persona_two_reviewers",
                condition=models.Q(approved_by__isnull=True)
                | models.Q(reviewed_by__isnull=True)
                | ~models.Q(approved_by=models.F("reviewed_by")),
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    def seal_card(self, fields: dict[str, Any]) -> None:
        assert self.author_id is not None
        text = json.dumps(fields, ensure_ascii=False)
        self.card = keyring.encrypt(self.author_id, "persona.card", self.public_id, text)

    def open_card(self) -> dict[str, Any]:
        assert self.author_id is not None and self.card is not None
        fields: dict[str, Any] = json.loads(
            keyring.decrypt(self.author_id, "persona.card", self.public_id, self.card)
        )
        return fields


class Conversation(models.Model):
    """One person's thread with one persona."""

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="conversations")
    persona = models.ForeignKey(Persona, models.PROTECT, related_name="conversations")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(
        null=True, blank=True
    )  # the person left; nothing is sent until they return
    # A human of the team is in charge: messages are kept for them and the persona stays silent.
    ai_muted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "persona"], name="one_thread_per_persona")
        ]


class Message(models.Model):
    """One entry of a conversation. `id` gives the order; `public_id` is what leaves the server."""

    class Author(models.TextChoices):
        USER = "user", _("You")
        AI = "ai", _("AI")
        STAFF = "staff", _("Staff")
        SYSTEM = "system", _("Notice")

    class State(models.TextChoices):
        STREAMING = "streaming", _("Being written")
        COMPLETE = "complete", _("Complete")
        STOPPED = "stopped", _("Stopped")  # by the person
        INTERRUPTED = "interrupted", _("Interrupted")  # by a crash or a fault of the model
        CUT = "cut", _("Cut")  # by the stream guard
        REPLACED = "replaced", _("Replaced")  # by a regenerated reply

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    author = models.CharField(max_length=8, choices=Author)
    state = models.CharField(max_length=12, choices=State, default=State.COMPLETE)
    client_id = models.UUIDField(null=True)  # chosen by the client: a resent message is the same message
    answers = models.ForeignKey("self", models.CASCADE, null=True, related_name="answered_by")
    staff = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )  # who wrote it
    body = models.BinaryField(null=True)  # sealed text; None for system lines, which have a code
    code = models.CharField(max_length=48, blank=True)  # sentence of a system line or reason of a state
    model = models.CharField(max_length=120, blank=True)
    prompt_version = models.CharField(max_length=24, blank=True)
    verdict = models.JSONField(default=list)  # reason codes of the stream guard
    stop_requested = models.BooleanField(default=False)
    # The process that writes this reply, and until when its silence is believed.
    owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            # Serves the page of history before a message and the window given to the model.
            models.Index(fields=["conversation", "-id"], name="message_history"),
            # Serves the sweep for replies whose process died.
            models.Index(
                fields=["lease_until"], name="message_streaming", condition=models.Q(state="streaming")
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["conversation", "client_id"],
                name="message_client_once",
                condition=models.Q(client_id__isnull=False),
            ),
            # Two replies at once would talk over each other.
            models.UniqueConstraint(
                fields=["conversation"], name="one_reply_at_a_time", condition=models.Q(state="streaming")
            ),
        ]

    def seal(self, user_id: uuid.UUID, text: str) -> None:
        self.body = keyring.encrypt(user_id, "message.body", self.public_id, text)

    def open(self, user_id: uuid.UUID) -> str:
        return (
            "" if self.body is None else keyring.decrypt(user_id, "message.body", self.public_id, self.body)
        )


class Memory(models.Model):
    """Something a companion may remember about a person: theirs to see, change and erase."""

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memories")
    # Each companion remembers for itself: people expect secrecy between characters.
    persona = models.ForeignKey(Persona, models.CASCADE, related_name="memories")
    body = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "persona", "-id"], name="memory_recall")  # serves memory.recall
        ]

    def seal(self, text: str) -> None:
        self.body = keyring.encrypt(self.user_id, "memory.body", self.public_id, text)

    def open(self) -> str:
        return keyring.decrypt(self.user_id, "memory.body", self.public_id, self.body)


class TokenBudget(models.Model):
    """Model tokens reserved and used in one period by one person or by the whole deployment."""

    scope = models.CharField(max_length=80, primary_key=True)
    used = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(db_index=True)  # serves the clean-up


class UsageMinute(models.Model):
    """A minute of the server's clock in which a person was there, on whatever device, tab or persona: the proof of time."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    minute = models.DateTimeField()  # UTC, seconds are zero
    persona = models.ForeignKey(
        Persona, models.SET_NULL, null=True, related_name="+"
    )  # the first one of the minute

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "minute"], name="usage_minute_once")
        ]
        indexes: ClassVar[list[models.Index]] = [
            # Serves "who was here since": rows come in order of time, so a few pages say where the last hours lie.
            BrinIndex(fields=["minute"], name="usage_minute_time", autosummarize=True, pages_per_range=32)
        ]


class UsageSession(models.Model):
    """A stretch of continuous use: a pause shorter than half an hour does not end it (companion/usage.py)."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    conversation = models.UUIDField(null=True)  # where the person was last, for the line of a reminder
    break_every = models.PositiveSmallIntegerField()  # minutes, by jurisdiction and age
    breaks = models.PositiveSmallIntegerField(default=0)  # reminders of it so far
    reality_every = models.PositiveSmallIntegerField(null=True)  # minutes; minors
    realities = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True)  # of the next reminder; None once the stretch is over
    ended = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["user"], name="usage_session_open", condition=models.Q(ended=False)
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            # Serves the reminders that are due among any number of people.
            models.Index(
                fields=["due_at"], name="usage_session_due", condition=models.Q(due_at__isnull=False)
            )
        ]


class Departure(models.Model):
    """A person went: nothing is sent to them for a day (draft article 18, final article 19)."""

    class How(models.TextChoices):
        BUTTON = "button", _("Button")
        WORDS = "words", _("Words")
        VOICE = "voice", _("Voice")
        PAUSE = "pause", _("Break")
        WINDOW = "window", _("Window closed")

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    conversation = models.UUIDField()
    how = models.CharField(max_length=8, choices=How)
    left_at = models.DateTimeField(default=timezone.now)
    returned_at = models.DateTimeField(null=True)  # by the person, to the same conversation

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "-left_at"], name="departure_latest")
        ]


class Erasure(models.Model):
    """That somebody asked for conversations to be deleted, and when it was done (companion/erasure.py)."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+"
    )  # whose conversations
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    persona = models.UUIDField(null=True)  # public id; None: all of them
    asked_at = models.DateTimeField(default=timezone.now)
    over_at = models.DateTimeField(null=True)  # done, or not wanted any more

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["asked_at"], name="erasure_waiting", condition=models.Q(over_at__isnull=True)
            )
        ]


class DependenceScore(models.Model):
    """What a person's use says about dependence on one of their days: a number, its reasons and the step taken."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    day = models.DateField()
    version = models.CharField(max_length=24)  # of the signal set
    score = models.PositiveSmallIntegerField()
    reasons = models.JSONField(default=list)  # [code, points, figure] each; never text
    step = models.CharField(max_length=16, blank=True)  # the gentlest first; see safety/dependence.py
    objected_at = models.DateTimeField(null=True)  # the person says that it is wrong: a human looks
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "day"], name="dependence_once_a_day")
        ]
