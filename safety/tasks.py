"""A third pair of hands for the alert path. Nothing depends on it: `manage.py run_alerts` does the same each second."""

import socket

from celery import shared_task

from safety import escalation, outbox


@shared_task
def sweep_alerts() -> int:
    """Climb what is due and send it."""
    return escalation.sweep() + outbox.dispatch(outbox.new_owner(f"celery/{socket.gethostname()}"))
