"""One POST with a time limit. The standard library's client follows no redirect and asks no proxy."""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from safety.channels.base import Permanent, Temporary

_LONGEST_ANSWER: Final = 64 * 1024  # bytes
_AGAIN: Final = (408, 425, 429)


def post(url: str, body: bytes, headers: Mapping[str, str], *, public: bool = False) -> tuple[int, bytes]:
    """Status and answer of a POST that was taken; raises Temporary or Permanent otherwise.

    `public`: the address comes from a browser, so production reaches only TLS on the open internet with it (T32).
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Permanent("url")
    path = parts.path or "/"
    if parts.query:
        path += f"?{parts.query}"
    try:
        connection = _connection(parts.scheme, parts.hostname, parts.port, public and settings.PRODUCTION)
        try:
            connection.request("POST", path, body, dict(headers))
            response = connection.getresponse()
            status, answer = response.status, response.read(_LONGEST_ANSWER)
        finally:
            connection.close()
    except TimeoutError:
        raise Temporary("timeout") from None
    except (OSError, http.client.HTTPException):
        raise Temporary("connection") from None
    if 200 <= status < 300:
        return status, answer
    code = f"http.{status}"
    raise Temporary(code) if status >= 500 or status in _AGAIN else Permanent(code)


def _connection(scheme: str, host: str, port: int | None, public: bool) -> http.client.HTTPConnection:
    timeout = settings.ALERT_TIMEOUT
    if not public:
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        return kind(host, port, timeout=timeout)
    if scheme != "https":
        raise Permanent("url")
    # Connected to the address that was looked at: a second look-up could give another one.
    address = addresses(host, port or 443)[0]
    connection = http.client.HTTPSConnection(host, port, timeout=timeout)
    plain = socket.create_connection((address, port or 443), timeout)
    connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    return connection


def addresses(host: str, port: int) -> list[str]:
    """What a name on the open internet stands for. Raises Permanent when any of it is an inner address, else OSError."""
    found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not all(ipaddress.ip_address(address.partition("%")[0]).is_global for address in found):
        raise Permanent("url")
    return found
