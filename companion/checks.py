"""Wrong configuration of the conversation is a system check with an id and a hint."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register


@register(deploy=True)
def model_is_configured(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Without a model people get no replies; the embedded one is a demonstration."""
    if settings.ANBAN_DEMO_MODEL:
        return [
            Warning(
                "The embedded demonstration model answers. It is not fit to talk with people.",
                hint="Set LLM_BASE_URL, LLM_API_KEY and LLM_MODEL to an OpenAI-compatible endpoint.",
                id="companion.W002",
            )
        ]
    if not (settings.LLM_BASE_URL and settings.LLM_MODEL):
        return [
            Warning(
                "No language model is configured: companions cannot answer.",
                hint="Set LLM_BASE_URL, LLM_API_KEY and LLM_MODEL to an OpenAI-compatible endpoint.",
                id="companion.W001",
            )
        ]
    return []


@register(deploy=True)
def pages_may_open_sockets(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Without a single origin every page is turned away, and nobody can say anything."""
    if settings.WEBSOCKET_ORIGINS:
        return []
    return [
        Error(
            "No page may open a websocket, so nobody can talk.",
            hint="Set SITE_URL to the address of the site, for example https://anban.example.",
            id="companion.E001",
        )
    ]
