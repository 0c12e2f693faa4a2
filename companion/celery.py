"""Celery carries slow and periodic work; nothing a person waits for depends on it."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "companion.settings")

app = Celery("anban")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
