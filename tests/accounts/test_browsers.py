"""The list of sign-ins names browser and system in words."""

import pytest
from django.test import Client
from django.utils import translation

from accounts import browsers
from accounts.models import User
from tests.cast import PASSWORD

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (CHROME, "Chrome on Windows"),
        (f"{CHROME} Edg/141.0.0.0", "Edge on Windows"),
        (f"{IPHONE} Version/18.6 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        (f"{IPHONE} CriOS/141.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        (f"{IPHONE} Mobile/15E148 MicroMessenger/8.0.60", "WeChat on iPhone"),
        ("Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0", "Firefox on Android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "macOS"),
        ("curl/8.5.0", "Unknown browser"),
        ("", "Unknown browser"),
    ],
)
def test_a_user_agent_becomes_words(user_agent: str, words: str) -> None:
    with translation.override("en"):
        assert browsers.describe(user_agent) == words


@pytest.mark.django_db
def test_the_page_shows_words_and_not_the_user_agent(adult: User) -> None:
    client = Client(headers={"user-agent": CHROME, "accept-language": "en"})
    client.post("/accounts/login/", {"login": adult.email, "password": PASSWORD})
    page = client.get("/accounts/sessions/").content.decode()
    assert "Chrome on Windows" in page
    assert "AppleWebKit" not in page
