"""Periodic work on accounts."""

from celery import shared_task
from django.core.management import call_command


@shared_task
def forget_ended_logins() -> None:
    """Expired sessions hold nothing anybody needs."""
    call_command("clearsessions")
