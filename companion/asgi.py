"""HTTP to Django, websockets to the chat consumer: exact origin first, then the session."""

import gc
import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import WebsocketDenier
from daphne.ws_protocol import WebSocketFactory
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "companion.settings")
http = get_asgi_application()

from django.conf import settings  # noqa: E402  (needs the settings module chosen above)
from django.urls import path, re_path  # noqa: E402

from companion.consumers import ChatConsumer  # noqa: E402
from safety import engine  # noqa: E402


class ExactOrigin:
    """Scheme, host and port must be listed; Channels' own validator lets other ports of a listed host pass (N23)."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        allowed = len(origins) == 1 and origins[0] in settings.WEBSOCKET_ORIGINS
        return await (self.inner if allowed else WebsocketDenier())(scope, receive, send)


def _bound_frames() -> None:
    """Daphne has no option for it and would read messages of any size into memory (threat T21); closes with 1009."""
    build = WebSocketFactory.buildProtocol

    def build_bounded(factory: Any, address: Any) -> Any:
        factory.maxFramePayloadSize = factory.maxMessagePayloadSize = settings.SOCKET_MAX_FRAME_BYTES
        factory.failByDrop = False  # say 1009 instead of only dropping the connection
        return build(factory, address)

    WebSocketFactory.buildProtocol = build_bounded


_bound_frames()
engine.warm_up()
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
                        re_path("", WebsocketDenier.as_asgi()),  # an unknown address is no error of ours
                    ]
                )
            )
        ),
    }
)
