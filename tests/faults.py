"""PostgreSQL and Valkey that can be cut off or frozen: a proxy in front of the real server, which others go on using."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fake_llm import FakeLLM
from tests.live import Site, _test_database_url


class Proxy:
    """Forwards a TCP port to a server's unix socket or port, as long as it is whole. `delay`: seconds each way."""

    def __init__(self, upstream: Path | int, delay: float = 0.0) -> None:
        self._upstream = upstream
        self.delay = delay
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.heal()

    def cut(self) -> None:
        """As a killed server looks: every connection is reset, new ones are refused."""
        self._run(self._cut())

    def freeze(self) -> None:
        """As a stopped or swapping server looks: connections open, and nobody answers."""
        self._run(self._freeze())

    def heal(self) -> None:
        self._run(self._heal())

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, step) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(10)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _close(self) -> None:
        await self._cut()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _freeze(self) -> None:
        self._flowing.clear()

    async def _heal(self) -> None:
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(asyncio.CancelledError):  # the end of the test
            await self._forward(reader, writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        try:
            if isinstance(self._upstream, int):
                there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
            else:
                there, back = await asyncio.open_unix_connection(str(self._upstream))
        except OSError:
            return writer.transport.abort()
        self._open.add(back)
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._flowing.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
            self._open.discard(writer)


@pytest.fixture(scope="session")
def _database(django_db_setup: None) -> Iterator[Proxy]:
    (directory,) = parse_qs(urlsplit(_test_database_url()).query)["host"]
    proxy = Proxy(Path(directory) / ".s.PGSQL.5432")
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def _redis() -> Iterator[Proxy]:
    proxy = Proxy(Path(urlsplit(os.environ["REDIS_URL"]).path))
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def _shaky_site(
    _model: FakeLLM, _database: Proxy, _redis: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    url = urlsplit(_test_database_url())
    running = Site(
        _model.url,
        tmp_path_factory.mktemp("shaky") / "log",
        DATABASE_URL=f"postgresql://{url.username}@127.0.0.1:{_database.port}{url.path}",
        REDIS_URL=f"redis://127.0.0.1:{_redis.port}/0",
        DATABASE_POOL_SIZE="6",
        SOCKET_STEP_SECONDS="4",
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def database(_database: Proxy) -> Iterator[Proxy]:
    """The test database of `shaky_site`, and of nobody else."""
    yield _database
    _database.heal()


@pytest.fixture
def redis(_redis: Proxy) -> Iterator[Proxy]:
    yield _redis
    _redis.heal()


@pytest.fixture
def shaky_site(companions: None, model: FakeLLM, database: Proxy, redis: Proxy, _shaky_site: Site) -> Site:
    """A web process with the connection pool of production, whose servers can be taken away."""
    return _shaky_site
