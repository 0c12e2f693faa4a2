"""Django's cache on Valkey that goes on in memory while Valkey is away.

Only rate limits live in it, and a login must not fail because they cannot be counted together.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, cast

import redis
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

_PAUSE = 5.0  # seconds without asking again after a failure


class _SteadyClient(RedisCacheClient):
    """Each call asks Valkey, then this process's memory. Keys and timeouts arrive ready from RedisCache."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, retry=Retry(NoBackoff(), 0), **options)
        self._memory = LocMemCache("anban-fallback", {})
        self._down_until = 0.0

    def _ask(self, remote: Callable[[], Any], local: Callable[[], Any]) -> Any:
        if time.monotonic() >= self._down_until:
            try:
                return remote()
            except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
                self._down_until = time.monotonic() + _PAUSE
                log.warning("cache goes on in memory: %s", type(error).__name__)
        return local()

    def add(self, key: Any, value: Any, timeout: Any) -> Any:
        return self._ask(
            lambda: super(_SteadyClient, self).add(key, value, timeout),
            lambda: self._memory.add(key, value, timeout),
        )

    def get(self, key: Any, default: Any) -> Any:
        return self._ask(
            lambda: super(_SteadyClient, self).get(key, default), lambda: self._memory.get(key, default)
        )

    def set(self, key: Any, value: Any, timeout: Any) -> Any:
        return self._ask(
            lambda: super(_SteadyClient, self).set(key, value, timeout),
            lambda: self._memory.set(key, value, timeout),
        )

    def delete(self, key: Any) -> Any:
        return self._ask(lambda: super(_SteadyClient, self).delete(key), lambda: self._memory.delete(key))

    def has_key(self, key: Any) -> Any:
        return self._ask(lambda: super(_SteadyClient, self).has_key(key), lambda: self._memory.has_key(key))


class SteadyRedisCache(RedisCache):
    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _SteadyClient


def answers() -> bool:
    """Does Valkey itself answer now? The cache would hide it."""
    try:
        return bool(cast(_SteadyClient, cast(SteadyRedisCache, caches["default"])._cache).get_client().ping())
    except (redis.RedisError, OSError):
        return False
