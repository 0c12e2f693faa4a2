"""Token buckets in Valkey: `rate` tokens a second, at most `burst` saved up.

When Valkey is away or hangs, each process counts for itself for a while: somewhat too generous with several
processes, never closed and never slow. Help lines, crisis checks and leaving are under no limit.
"""

import logging
import threading
import time
from collections import OrderedDict
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

TIMEOUT = 0.3  # seconds a caller may lose to a hung server
_PAUSE = 5.0  # seconds without asking again after a failure
_LOCAL_BUCKETS = 10_000

# The server's own clock, so that several web machines agree. Returns 1 (allowed) or 0.
_SCRIPT = """
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(bucket[1]) or burst, tonumber(bucket[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
local allowed = 0
if tokens >= 1 then
  tokens = tokens - 1
  allowed = 1
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
return allowed
"""

_lock = threading.Lock()
_local: OrderedDict[str, tuple[float, float]] = OrderedDict()
_down_until = 0.0
_client: "redis.Redis | None" = None


def allow(key: str, *, rate: float, burst: int) -> bool:
    """Take a token from the bucket `key`; False when it is empty. Never raises."""
    if time.monotonic() < _down_until:
        return _allow_here(key, rate, burst)
    try:
        return bool(_sync().eval(_SCRIPT, 1, _name(key), rate, burst))
    except (redis.RedisError, OSError) as error:
        _note_failure(error)
        return _allow_here(key, rate, burst)


def reset() -> None:
    """Forget connections and the buckets of this process (a server at another address, tests)."""
    global _client, _down_until
    with _lock:
        _local.clear()
    _client, _down_until = None, 0.0


def _name(key: str) -> str:
    return f"anban:bucket:{key}"


def _sync() -> "redis.Redis":
    global _client
    if _client is None:
        _client = redis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0), **_timeouts())
    return _client


def _timeouts() -> dict[str, Any]:
    return {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}


def _note_failure(error: Exception) -> None:
    global _down_until
    _down_until = time.monotonic() + _PAUSE
    log.warning("rate limits count in this process for now: %s", type(error).__name__)


def _allow_here(key: str, rate: float, burst: int) -> bool:
    now = time.monotonic()
    with _lock:
        tokens, at = _local.pop(key, (float(burst), now))
        tokens = min(float(burst), tokens + (now - at) * rate)
        allowed = tokens >= 1
        _local[key] = (tokens - 1 if allowed else tokens, now)
        if len(_local) > _LOCAL_BUCKETS:
            _local.popitem(last=False)
    return allowed
