"""The conversation and the composition root of Anban."""

from companion.celery import app as celery_app

__all__ = ["celery_app"]
