"""Whether this process can do its work: for the supervisor, load balancers and people on call."""

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from companion.llm import client


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 while messages can be kept. Redis and the model are reported, but without them people still reach help."""
    database = _database()
    state = {"database": database, "redis": _redis(), "model": client.status(), "instance": settings.INSTANCE}
    return JsonResponse(state, status=200 if database == "ok" else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "down"
    return "ok"


def _redis() -> str:
    try:
        cache.get("health")
    except Exception:  # any fault of the server or the network means the same here
        return "down"
    return "ok"
