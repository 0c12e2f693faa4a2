"""HTTP to the endpoints that help the engine: a session for each event loop, and answers that are read within bounds."""

import asyncio
from typing import Any, Final

import aiohttp

_READ_AT_ONCE: Final = 64 * 1024


class Sessions(dict[asyncio.AbstractEventLoop, aiohttp.ClientSession]):
    """The sessions to one kind of endpoint, by the loop that each belongs to.

    They keep no cookies, so nothing passes from one person to the next, and ask no proxy. They have no time-out: who
    asks sets the deadline.
    """

    def __init__(self, *, auto_decompress: bool = True, **connector: Any) -> None:
        """`connector` are options of aiohttp.TCPConnector."""
        super().__init__()
        self._auto_decompress = auto_decompress
        self._connector = connector

    def current(self) -> aiohttp.ClientSession:
        """The running loop's session. Those of loops that have ended are dropped when a new one is made."""
        loop = asyncio.get_running_loop()
        session = self.get(loop)
        if session is None or session.closed:
            for ended in [other for other in self if other.is_closed()]:
                self.pop(ended).detach()
            session = self[loop] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(**self._connector),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=self._auto_decompress,
                trust_env=False,
            )
        return session

    async def close(self) -> None:
        """Close the running loop's session: at shutdown, and at the end of a loop made for one task."""
        session = self.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()


async def read(response: aiohttp.ClientResponse, *, limit: int) -> bytes:
    """The body, read no further than an honest answer is long; a longer one is a ValueError."""
    body = bytearray()
    async for part in response.content.iter_chunked(_READ_AT_ONCE):
        body += part
        if len(body) > limit:
            response.close()
            raise ValueError("longer than any answer")
    return bytes(body)
