"""Periodic work. Nothing a person waits for rests on it."""

import datetime as dt

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from accounts.models import Event
from companion import (
    coming_of_age,
    dependence,
    erasure,
    purchases,
    reminders,
    replies,
    service_mail,
    service_notices,
    unassessed,
    usage,
)
from companion.models import TokenBudget
from guardians import requests
from safety import age_reviews, care_notices, complaints

EVENTS_KEPT = dt.timedelta(days=7)  # a page that slept longer loads itself anew


@shared_task
def close_interrupted_replies() -> int:
    """Replies whose process died are marked as interrupted, with a retry for the person."""
    return replies.close_interrupted()


@shared_task
def remind_of_breaks() -> int:
    """Who has been here for long is reminded, also while they neither write nor reload."""
    reminders.end_stretches()
    count = 0
    while found := reminders.raise_due():
        count += found
    return count


@shared_task
def assess_what_is_pending() -> int:
    """Messages that the rules judged alone are read again once the embedding model is back."""
    return unassessed.look_again()


@shared_task
def escalate_overdue() -> int:
    """Reports, complaints and appeals without an answer in time come before the people on call."""
    return complaints.escalate_overdue(timezone.now())


@shared_task
def carry_out_service_notices() -> int:
    """What was announced happens at its time, and not without its notice."""
    return service_notices.carry_out(timezone.now())


@shared_task
def mail_service_notices() -> int:
    """People whom a notice concerns are written to, each once."""
    now = timezone.now()
    service_mail.enrol(now)
    return service_mail.send(now)


@shared_task
def lapse_time_requests() -> int:
    """More time that was asked for a day that is over is asked of nobody any more."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        gone = requests.outdated(now)
        for request in gone:
            care_notices.over(f"request:{request}", now)
        return requests.lapse(gone, now)


@shared_task
def erase_what_waited() -> int:
    """Conversations that somebody wanted deleted while a case was open."""
    return erasure.carry_out(timezone.now())


@shared_task
def judge_dependence() -> int:
    """People who were here since they were judged last."""
    return dependence.look_at_active(timezone.now())


@shared_task
def catch_up_with_payments() -> int:
    """What a process left between a provider's report and the wallet, or between a decision and the refund."""
    return purchases.catch_up()


@shared_task
def end_guardianships_of_age() -> int:
    """Who is of age has no guardians any more; rights are read so before the rows are (guardians/access.py)."""
    return coming_of_age.end_all(timezone.now())


@shared_task
def forget_old_use() -> int:
    """Minutes and stretches of use serve charts and complaints for half a year."""
    return usage.forget(timezone.now())


@shared_task
def forget_old_events() -> int:
    """Events serve open pages and budgets their period; both are content-free."""
    now = timezone.now()
    deleted, _ = Event.objects.filter(created_at__lt=now - EVENTS_KEPT).delete()
    TokenBudget.objects.filter(expires_at__lt=now).delete()
    age_reviews.forget_old(now)
    return deleted
