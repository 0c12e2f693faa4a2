"""Whether this process can do its work: for the supervisor, load balancers and people on call."""

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from accounts.cache import answers
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
    return "ok" if answers() else "down"
