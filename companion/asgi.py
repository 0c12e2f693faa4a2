"""HTTP to Django, websockets to the consumers: exact origin first, then the session."""

import asyncio
import gc
import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import WebsocketDenier
from daphne.server import reactor
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.core.asgi import get_asgi_application
from twisted.internet.defer import Deferred

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "companion.settings")
http = get_asgi_application()

from django.conf import settings  # noqa: E402  (needs the settings module chosen above)
from django.urls import path, re_path  # noqa: E402

from companion import llm  # noqa: E402
from companion.consumers import ChatConsumer  # noqa: E402
from guardians.consumers import FamilyConsumer  # noqa: E402
from safety import age_signs, engine  # noqa: E402
from safety.engine import client, judge  # noqa: E402


class ExactOrigin:
    """Scheme, host and port must be listed; Channels' own validator lets other ports of a listed host pass (N23)."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        allowed = len(origins) == 1 and origins[0] in settings.WEBSOCKET_ORIGINS
        return await (self.inner if allowed else WebsocketDenier())(scope, receive, send)


class BoundedProtocol(WebSocketProtocol):  # type: ignore[misc]
    """What daphne has no option for: neither what a page sends nor what it leaves unread may fill the memory (T21)."""

    maxFramePayloadSize = maxMessagePayloadSize = settings.SOCKET_MAX_FRAME_BYTES  # more is closed with 1009
    failByDrop = False  # say so instead of only dropping the connection
    unread: int | None = None  # bytes since the connection is full, None while it takes them

    def onOpen(self) -> None:
        self.transport.unregisterProducer()  # that of the HTTP request before
        self.transport.registerProducer(self, True)
        super().onOpen()

    def pauseProducing(self) -> None:
        """Called again at each write to a connection that is full."""
        self.unread = self.unread or 0

    def resumeProducing(self) -> None:
        self.unread = None

    def stopProducing(self) -> None:
        """The connection is gone."""

    def serverSend(self, content: Any, binary: bool = False) -> None:
        if self.unread is not None:
            self.unread += len(content)
            if self.unread > settings.SOCKET_MAX_UNREAD:
                self.dropConnection(abort=True)
                return
        super().serverSend(content, binary)


async def hang_up() -> None:
    """Connections to the model, the embedding server and the judge, when this process ends."""
    await asyncio.gather(llm.close(), client.close(), judge.close())


WebSocketFactory.protocol = BoundedProtocol
# daphne knows no lifespan. It waits for what is begun "before" the end.
reactor.addSystemEventTrigger(
    "before", "shutdown", lambda: Deferred.fromFuture(asyncio.ensure_future(hang_up()))
)
engine.warm_up()
age_signs.sign_set()
# What is loaded now stays: without this each full collection looks at all of it again and holds every stream meanwhile.
gc.collect()
gc.freeze()
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": ExactOrigin(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        path("ws/chat/<str:conversation>/", ChatConsumer.as_asgi()),
                        path("ws/family/", FamilyConsumer.as_asgi()),
                        re_path("", WebsocketDenier.as_asgi()),  # an unknown address is no error of ours
                    ]
                )
            )
        ),
    }
)
