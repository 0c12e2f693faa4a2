"""Who someone is and what we owe them."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.age import AgeBand, age_band


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person. The primary key is a random UUID: it names socket groups and appears in authenticated data."""

    class MinorsMode(models.TextChoices):
        OFF = "", _("By birth date only")
        CHOSEN = "chosen", _("Turned on by themselves")
        SUSPECTED = "suspected", _("Turned on because of signs of a younger age")
        CONFIRMED = "confirmed", _("Confirmed by a human")

    class Role(models.TextChoices):
        PERSON = "person", _("Person")
        MODERATOR = "moderator", _("Moderator")
        OPERATOR = "operator", _("Operator")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(_("e-mail address"), unique=True)
    # What the person is called by companions and by staff; empty until given.
    nickname = models.CharField(_("what we call you"), max_length=40, blank=True)
    role = models.CharField(max_length=16, choices=Role, default=Role.PERSON)
    birth_date = models.DateField(_("birth date"), null=True, blank=True)
    language = models.CharField(max_length=10, default="zh-hans")
    time_zone = models.CharField(max_length=64, default="Asia/Shanghai")
    # Days of limits follow the zone that was registered before, until that day is over (threat T35).
    previous_zone = models.CharField(max_length=64, blank=True)
    previous_zone_since = models.DateTimeField(null=True, blank=True)
    previous_zone_until = models.DateTimeField(null=True, blank=True)
    simple_mode = models.BooleanField(default=False)
    # Minors' mode beside the birth date, which can only add to it: state of the account, never of a browser.
    minors_mode = models.CharField(max_length=10, choices=MinorsMode, default=MinorsMode.OFF, blank=True)
    minors_mode_at = models.DateTimeField(null=True, blank=True)
    agreement_version = models.CharField(max_length=16, blank=True)
    agreed_at = models.DateTimeField(null=True, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)
    # Raised by password change, ban and "sign out everywhere": every open socket of the person closes (4401).
    session_generation = models.PositiveIntegerField(default=0)
    # Raised by whatever changes what the person may do: open sockets read their rights again before the next frame.
    policy_generation = models.PositiveIntegerField(default=0)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")

    def __str__(self) -> str:
        return str(self.pk)  # never the address: this string reaches logs

    @property
    def age_band(self) -> AgeBand | None:
        """None until the birth date is known; nothing may be offered before."""
        return age_band(self.birth_date, self.time_zone, timezone.now()) if self.birth_date else None


class UserKey(models.Model):
    """The person's data key, wrapped by a key-encryption key. Deleting the row makes all of their text unreadable."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="data_key")
    wrapped = models.BinaryField()
    kek_id = models.CharField(max_length=32, db_index=True)  # serves the rotation command
    created_at = models.DateTimeField(auto_now_add=True)


class Event(models.Model):
    """Something that happened and that the person's pages must learn. Ids and codes only, never text."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="+", db_index=False)  # event_user_seq serves
    seq = models.BigIntegerField()  # 1, 2, 3 … per person, without gaps, in order of commit
    kind = models.CharField(max_length=40)
    conversation = models.UUIDField(null=True)
    message = models.UUIDField(null=True)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)  # serves forget_old_events

    class Meta:
        # Serves the replay "since" of one person and makes a second event with the same number impossible.
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "seq"], name="event_user_seq")
        ]


class EventCounter(models.Model):
    """The last event number of a person. Its row lock makes numbers follow the order of commit."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="+")
    last = models.BigIntegerField(default=0)


class AuditEntry(models.Model):
    """Who did what to whom; ids and codes only. Rows are never changed or deleted."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    action = models.CharField(max_length=64)
    # Plain UUIDs, not foreign keys: the log outlives the account.
    actor = models.UUIDField(null=True)  # None: the system itself
    subject = models.UUIDField(null=True, db_index=True)  # serves "who looked at my data"
    target = models.CharField(max_length=80, blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("entry of the log")
        verbose_name_plural = _("log of actions")

    def __str__(self) -> str:
        return str(self.pk)


class AuditLink(models.Model):
    """A place in the chain of audit entries (accounts/audit_chain.py). Rows are never changed or deleted."""

    # 1, 2, 3 … without gaps: the length of the chain up to here.
    number = models.BigIntegerField(primary_key=True)
    # No foreign key: that an entry is gone must be seen, not prevented.
    entry = models.BigIntegerField(unique=True)
    prev = models.BinaryField(unique=True)  # no two links follow the same one
    hash = models.BinaryField()


class Notice(models.Model):
    """A notice that a person must confirm: raised by the server, shown by a page, acknowledged by the person.

    Draft articles 16 and 17, final article 18; General Business Law § 1702 (New York).
    """

    class Kind(models.TextChoices):
        AI = "ai", _("This is AI")  # first use and every login
        START = "start", _("This is AI, at the start of a session")
        BREAK = "break", _("Time for a break")
        REALITY = "reality", _("This is not a person")  # minors
        DEPENDENCE = "dependence", _("This is AI, after signs of dependence")

    class Answer(models.TextChoices):
        UNDERSTOOD = "understood", _("Understood")
        PAUSE = "pause", _("Paused")
        CONTINUE = "continue", _("Continued")
        LAPSED = "lapsed", _("No longer of use")  # nobody came before the stretch of use was over

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    # notice_once_per_occasion serves.
    user = models.ForeignKey(User, models.CASCADE, related_name="notices", db_index=False)
    kind = models.CharField(max_length=16, choices=Kind)
    version = models.CharField(max_length=16)
    # What it is about, so that it is raised once: the SHA-256 of the session key for a login, "<stretch>:<n>" for a break.
    occasion = models.CharField(max_length=80)
    raised_at = models.DateTimeField(default=timezone.now)
    shown_at = models.DateTimeField(null=True)  # by the first page that said so
    acknowledged_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=12, choices=Answer, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "kind", "occasion"], name="notice_once_per_occasion")
        ]
        indexes: ClassVar[list[models.Index]] = [
            # Serves the check before each conversation.
            models.Index(fields=["user"], name="notice_pending", condition=models.Q(answer=""))
        ]


class Switch(models.Model):
    """A function of the service that an operator has turned off or on (accounts/switches.py). Without a row: on."""

    class Name(models.TextChoices):
        SIGN_UPS = "sign_ups", _("New accounts")
        PERSONAS = "personas", _("Companions")
        WRITTEN_PERSONAS = "written_personas", _("Companions written by members")
        MINORS = "minors", _("Access of people under 18")
        VOICE = "voice", _("Voice")
        PAYMENTS = "payments", _("Payments")

    name = models.CharField(max_length=24, choices=Name, primary_key=True)
    off = models.BooleanField(default=False)
    reason = models.CharField(max_length=16, blank=True)  # a code of accounts.switches.Reason
    note = models.CharField(max_length=200, blank=True)  # for the team
    # What people read in place of our own sentence.
    sentence_zh = models.CharField(max_length=200, blank=True)
    sentence_en = models.CharField(max_length=200, blank=True)
    changed_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+"
    )  # None: command or notice
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("switch")
        verbose_name_plural = _("switches")

    def __str__(self) -> str:
        return self.name
