"""A chat as a good Django tutorial would write it: channels on daphne, the ORM, one task per reply, straight to the socket.

It stores text as it is and has no accounts, gates, assessment, events or budget. The distance between it and the
application is what those cost; the distance between it and the relay is what the framework costs.

BENCH_MODEL_URL=… BENCH_DATABASE_URL=… python -m daphne -p 9011 benchmarks.plain:application
"""

import asyncio
import json
import os
from typing import Any, ClassVar

import aiohttp
import django
import environ
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="benchmark",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "channels", "benchmarks"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    DATABASES={
        "default": environ.Env.db_url_config(os.environ["BENCH_DATABASE_URL"]) | {"CONN_MAX_AGE": None}
    },
)
django.setup()

from channels.auth import AuthMiddlewareStack  # noqa: E402  (these need the settings)
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.db import models  # noqa: E402

from benchmarks.client import HISTORY  # noqa: E402
from benchmarks.floors import delta, finished, model_session, pieces  # noqa: E402


class Message(models.Model):
    id = models.BigAutoField(primary_key=True)
    conversation = models.BigIntegerField()
    author = models.CharField(max_length=4)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    objects: "ClassVar[models.Manager[Message]]" = models.Manager()

    class Meta:
        app_label = "benchmarks"
        db_table = "message"
        managed = False
        indexes: ClassVar[list[models.Index]] = [models.Index("conversation", "-id", name="message_history")]

    def __str__(self) -> str:
        return str(self.pk)


def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [path("health/", health)]


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc]
    session: ClassVar[aiohttp.ClientSession | None] = None

    async def connect(self) -> None:
        Chat.session = Chat.session or model_session()
        self.conversation: int = self.scope["url_route"]["kwargs"]["conversation"]
        await self.accept()
        await self.send(text_data='{"kind": "ready"}')

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.task = asyncio.create_task(self.turn(json.loads(text_data or "{}")["text"]))

    async def turn(self, text: str) -> None:
        assert self.session is not None
        await Message.objects.acreate(conversation=self.conversation, author="user", body=text)
        rows = Message.objects.filter(conversation=self.conversation).order_by("-id")[:HISTORY]
        messages = [{"role": row.author, "content": row.body} async for row in rows]
        reply = ""
        async for piece in pieces(self.session, messages[::-1]):
            await self.send(text_data=delta(piece, len(reply)))
            reply += piece
        await Message.objects.acreate(conversation=self.conversation, author="ai", body=reply)
        await self.send(text_data=finished())

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "task"):
            self.task.cancel()


routes: list[Any] = [path("ws/chat/<int:conversation>/", Chat.as_asgi())]
application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": AuthMiddlewareStack(URLRouter(routes))}
)
