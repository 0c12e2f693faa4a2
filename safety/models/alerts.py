"""Notices on their way, and what keeps watch over them."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from safety.models.cases import CrisisCase


class OperationsAlert(models.Model):
    """Something is wrong with the machinery itself: told to the people on call, once as long as it lasts."""

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=40)  # one of safety.operations.CODES
    subject = models.CharField(max_length=80, blank=True)  # which row or process; ids only
    opened_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    count = models.PositiveIntegerField(default=1)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("alert about the service")
        verbose_name_plural = _("alerts about the service")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["code", "subject"],
                name="operations_alert_once",
                condition=Q(resolved_at__isnull=True),
            )
        ]


class CareNotice(models.Model):
    """Something that a guardian or a contact is told outside of a case; safety/care_notices.py tells it."""

    class Kind(models.TextChoices):
        CONTACT_ASK = "contact_ask", _("Asks a contact to confirm")
        CONTACT_TEST = "contact_test", _("Test notice to a contact")
        TIME_REQUEST = "time_request", _("A minor asks for more time")
        SPENDING = "spending", _("A minor bought something")
        UNLINK = "unlink", _("A minor asks to end the link")
        GUARDIANS = "guardians", _("Who looks after a minor has changed")
        MODE = "mode", _("Minors' mode has changed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="care_notices")
    kind = models.CharField(max_length=16, choices=Kind)
    about = models.CharField(max_length=80)  # the row it is about, "request:<id>"
    data = models.JSONField(default=dict)  # figures and codes for the text, never words of anybody
    created_at = models.DateTimeField(default=timezone.now)
    over_at = models.DateTimeField(null=True)  # answered or out of date: what is not sent yet is not sent

    class Meta:
        verbose_name = _("notice to guardians or contacts")
        verbose_name_plural = _("notices to guardians or contacts")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "kind", "-created_at"], name="care_notice_of_person"),
            # Serves what ends the notices about a row.
            models.Index(fields=["about"], name="care_notice_about"),
        ]


class Delivery(models.Model):
    """One notice to one recipient by one channel. The unique key is the idempotency key and makes the Message-ID."""

    class Channel(models.TextChoices):
        IN_APP = "in_app", _("On their page")
        EMAIL = "email", _("E-mail")
        EMAIL_2 = "email_2", _("E-mail, second provider")
        PUSH = "push", _("Web push")
        SMS = "sms", _("Text message")
        VOICE = "voice", _("Telephone call")

    class State(models.TextChoices):
        PENDING = "pending", _("Waiting")
        LEASED = "leased", _("Being sent")
        ACCEPTED = "accepted", _("Handed over")
        CONFIRMED = "confirmed", _("Arrived")
        FAILED = "failed", _("Failed")
        QUARANTINED = "quarantined", _("Set aside: it cannot be sent")
        CANCELLED = "cancelled", _("Not wanted any more")

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(CrisisCase, models.CASCADE, null=True, related_name="deliveries")
    alert = models.ForeignKey(OperationsAlert, models.CASCADE, null=True, related_name="deliveries")
    care = models.ForeignKey(CareNotice, models.CASCADE, null=True, related_name="deliveries")
    template = models.CharField(max_length=24)  # which text: one of safety.alert_texts.TEMPLATES
    level = models.PositiveSmallIntegerField(default=0)
    rung = models.PositiveSmallIntegerField(default=0)
    round = models.PositiveSmallIntegerField(default=0)
    channel = models.CharField(max_length=8, choices=Channel)
    recipient = models.CharField(
        max_length=80
    )  # safety.recipients: "staff:<id>", "contact:<id>", "oncall:<n>" …
    state = models.CharField(max_length=12, choices=State, default=State.PENDING)
    attempt_no = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True)
    owner = models.CharField(max_length=80, blank=True)  # the dispatcher that holds the lease
    provider_id = models.CharField(max_length=200, blank=True)
    error = models.CharField(max_length=40, blank=True)  # code of the last failure
    created_at = models.DateTimeField(default=timezone.now)
    accepted_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="delivery_of_one_thing",
                condition=Q(case__isnull=False, alert__isnull=True, care__isnull=True)
                | Q(case__isnull=True, alert__isnull=False, care__isnull=True)
                | Q(case__isnull=True, alert__isnull=True, care__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["case", "template", "level", "rung", "round", "channel", "recipient"],
                name="delivery_once",
                condition=Q(case__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["alert", "round", "channel", "recipient"],
                name="delivery_of_alert_once",
                condition=Q(alert__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["care", "channel", "recipient"],
                name="delivery_of_care_notice_once",
                condition=Q(care__isnull=False),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # Serve the claim: what is due, and what a dead dispatcher left behind.
            models.Index(fields=["-level", "next_at"], name="delivery_due", condition=Q(state="pending")),
            models.Index(fields=["lease_until"], name="delivery_leased", condition=Q(state="leased")),
            # Serves the receipts of providers.
            models.Index(fields=["provider_id"], name="delivery_receipt", condition=~Q(provider_id="")),
        ]


class DeliveryAttempt(models.Model):
    """That a sending was begun is committed before the network is used."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempts")
    attempt_no = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    result = models.CharField(
        max_length=12, blank=True
    )  # accepted, temporary, permanent; "" when nobody knows
    detail = models.CharField(max_length=60, blank=True)  # a code, never a text


class PushSubscription(models.Model):
    """A browser that may be woken (RFC 8030), as long as its login lasts. The endpoint is a secret of the person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="push_subscriptions")
    login = models.OneToOneField(
        "usersessions.UserSession", models.CASCADE, related_name="push_subscription"
    )  # however it ends: logout, new password, ban, ended from another device
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the endpoint: the same browser once
    subscription = models.BinaryField()  # endpoint and keys as JSON, sealed with the person's key
    created_at = models.DateTimeField(default=timezone.now)


class Heartbeat(models.Model):
    """That a process of the alert path lives."""

    process = models.CharField(max_length=80, primary_key=True)  # role, instance and process id
    role = models.CharField(max_length=16)  # alerts, auditor, web
    started_at = models.DateTimeField(default=timezone.now)
    at = models.DateTimeField(db_index=True)  # serves the count of those alive
