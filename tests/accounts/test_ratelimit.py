"""Limits slow attackers down; they never lock out the owner of an account, or anybody from help (T26, N39)."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from accounts import ratelimit
from accounts.cache import SteadyRedisCache
from accounts.models import User
from tests.cast import PASSWORD

LOGIN = "/accounts/login/"


def attempt(client: Client, user: User, password: str, address: str = "203.0.113.9") -> bool:
    client.post(LOGIN, {"login": user.email, "password": password}, REMOTE_ADDR=address)
    return "_auth_user_id" in client.session


def test_a_bucket_gives_its_burst_and_then_refuses() -> None:
    assert [ratelimit.allow("k", rate=0.01, burst=3) for _ in range(5)] == [True, True, True, False, False]
    assert ratelimit.allow("another", rate=0.01, burst=1)


def test_a_bucket_fills_up_again_at_its_rate() -> None:
    assert ratelimit.allow("refill", rate=50, burst=1)
    deadline = time.monotonic() + 2
    while not ratelimit.allow("refill", rate=50, burst=1):
        assert time.monotonic() < deadline


def test_many_threads_get_no_more_than_the_burst() -> None:
    granted: list[bool] = []
    threads = [
        threading.Thread(target=lambda: granted.append(ratelimit.allow("race", rate=0.01, burst=7)))
        for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 7


@pytest.fixture
def hung_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_a_hung_server_costs_one_short_wait_and_counting_goes_on(settings: Any, hung_server: str) -> None:
    settings.REDIS_URL = hung_server
    ratelimit.reset()
    began = time.monotonic()
    answers = [ratelimit.allow("k", rate=0.01, burst=3) for _ in range(100)]
    assert sum(answers) == 3
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("address", ["redis://127.0.0.1:1/0", "unix:///nowhere/valkey.sock"])
def test_an_absent_server_is_no_error(settings: Any, address: str) -> None:
    settings.REDIS_URL = address
    ratelimit.reset()
    assert [ratelimit.allow("k", rate=0.01, burst=1) for _ in range(2)] == [True, False]


def test_the_cache_goes_on_in_memory_without_a_server(hung_server: str) -> None:
    options = {"socket_timeout": 0.3, "socket_connect_timeout": 0.3}
    cache = SteadyRedisCache(hung_server, {"OPTIONS": options})
    began = time.monotonic()
    assert cache.add("lock", 1, 10)
    assert not cache.add("lock", 1, 10)
    cache.set("history", [1.5], 10)
    assert cache.get("history") == [1.5]
    assert cache.has_key("history")
    cache.delete("history")
    assert cache.get("history", []) == []
    assert time.monotonic() - began < 1


def test_the_cache_uses_the_server_while_it_is_there(settings: Any) -> None:
    cache = SteadyRedisCache(settings.REDIS_URL, {"OPTIONS": {}})
    cache.set("there", "yes", 10)
    assert caches["default"].get("there") == "yes"


@pytest.mark.django_db
def test_one_attacker_is_stopped_and_the_owner_still_gets_in_on_a_known_device(adult: User) -> None:
    home = Client()
    assert attempt(home, adult, PASSWORD, "198.51.100.7")
    home.post("/accounts/logout/")
    attacker = Client()
    assert not any(attempt(attacker, adult, f"wrong {number}") for number in range(12))
    assert not attempt(attacker, adult, PASSWORD)  # blocked by now, even with the right one
    assert attempt(home, adult, PASSWORD, "198.51.100.7")


@pytest.mark.django_db
def test_many_addresses_are_stopped_too(adult: User) -> None:
    home = Client()
    assert attempt(home, adult, PASSWORD, "198.51.100.7")
    home.post("/accounts/logout/")
    for number in range(30):
        assert not attempt(Client(), adult, "wrong", f"203.0.113.{number}")
    assert not attempt(Client(), adult, PASSWORD, "203.0.113.99")
    assert attempt(home, adult, PASSWORD, "198.51.100.7")


@pytest.mark.django_db
def test_a_known_device_is_limited_as_well(adult: User) -> None:
    home = Client()
    assert attempt(home, adult, PASSWORD)
    home.post("/accounts/logout/")
    for _ in range(10):
        attempt(home, adult, "wrong", "198.51.100.7")
    assert not attempt(home, adult, PASSWORD, "198.51.100.7")


@pytest.mark.django_db
def test_a_device_is_known_for_the_person_who_used_it_only(adult: User, outsider: User) -> None:
    device = Client()
    assert attempt(device, outsider, PASSWORD, "198.51.100.7")
    device.post("/accounts/logout/")
    for number in range(10):
        attempt(Client(), adult, "wrong", f"203.0.113.{number}")
    assert not attempt(device, adult, PASSWORD, "198.51.100.7")


@pytest.mark.django_db
def test_help_is_open_to_an_address_that_is_locked_out(adult: User) -> None:
    attacker = Client(REMOTE_ADDR="203.0.113.9")
    for number in range(40):
        attacker.post(LOGIN, {"login": adult.email, "password": f"wrong {number}"})
    assert attacker.post(LOGIN, {"login": adult.email, "password": PASSWORD}).status_code == 429
    assert attacker.get("/help/").status_code == 200


@pytest.mark.django_db
def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(adult: User) -> None:
    known = Client().post(LOGIN, {"login": adult.email, "password": "wrong"})
    unknown = Client().post(LOGIN, {"login": "nobody@example.org", "password": "wrong"})
    assert known.status_code == unknown.status_code == 200
    assert _errors(known) == _errors(unknown) != []


def _errors(response: Any) -> list[str]:
    return re.findall(r'class="errorlist.*?</ul>', response.content.decode(), re.DOTALL)
