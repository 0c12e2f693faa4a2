"""Settings: own data, own language, own clock; and the pages of allauth that hang on them."""

import re
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone, translation

from accounts import views
from accounts.middleware import LocaleMiddleware
from accounts.models import Event, User
from guardians import limits
from guardians.models import EmergencyContact
from safety import recipients
from tests.cast import PASSWORD, make_user

pytestmark = pytest.mark.django_db
SETTINGS = "/accounts/settings/"


def client_of(user: User, **headers: str) -> Client:
    client = Client(headers=headers)
    client.force_login(user)
    return client


def form_of(user: User, **changes: Any) -> dict[str, Any]:
    data = {"nickname": user.nickname, "language": user.language, "time_zone": user.time_zone}
    return data | ({"simple_mode": "on"} if user.simple_mode else {}) | changes


def test_an_adult_sees_the_own_contact_opened(adult: User) -> None:
    page = client_of(adult).get(SETTINGS).content.decode()
    assert "Lin Qiu" in page
    assert "+8613800138000" in page


def test_a_minor_sees_the_guardian_and_that_they_agreed(minor: User) -> None:
    page = client_of(minor).get(SETTINGS).content.decode()
    assert "Zhou Lan" in page
    assert "Has agreed." in page


def test_a_contact_that_no_longer_opens_does_not_break_the_page(adult: User) -> None:
    EmergencyContact.objects.filter(user=adult).update(details=b"\x01damaged")
    page = client_of(adult).get(SETTINGS)
    assert page.status_code == 200
    assert "cannot be read any more" in page.content.decode()


def test_visitors_are_sent_to_the_login() -> None:
    assert Client().get(SETTINGS).headers["Location"].startswith("/accounts/login/")


def test_saving_stores_what_was_chosen_and_tells_open_pages(adult: User) -> None:
    client = client_of(adult)
    events = Event.objects.filter(user=adult).count()
    client.post(SETTINGS, form_of(adult, nickname=" Xia  Lin ", time_zone="Europe/Berlin", simple_mode="on"))
    user = User.objects.get(pk=adult.pk)
    assert (user.nickname, user.time_zone, user.simple_mode) == ("Xia Lin", "Europe/Berlin", True)
    assert Event.objects.filter(user=adult).count() == events + 1


def test_saving_without_a_change_tells_nobody_anything(adult: User) -> None:
    events = Event.objects.filter(user=adult).count()
    client_of(adult).post(SETTINGS, form_of(adult))
    assert Event.objects.filter(user=adult).count() == events


@pytest.mark.parametrize("changes", [{"language": "fr"}, {"time_zone": "Mars/Base"}, {"nickname": "x" * 41}])
def test_impossible_settings_are_refused(adult: User, changes: dict[str, str]) -> None:
    answer = client_of(adult).post(SETTINGS, form_of(adult, **changes))
    assert answer.status_code == 200
    assert User.objects.get(pk=adult.pk).nickname == "Adult"


def test_what_decides_protection_cannot_be_set_here(minor: User) -> None:
    client_of(minor).post(SETTINGS, form_of(minor, birth_date="1980-01-01", is_staff="on", role="operator"))
    user = User.objects.get(pk=minor.pk)
    assert (user.birth_date, user.is_staff, user.role) == (minor.birth_date, False, "person")


def test_the_account_decides_the_language_and_not_the_browser(elder: User) -> None:
    page = client_of(elder, **{"accept-language": "en"}).get(SETTINGS)
    assert 'lang="zh-hans"' in page.content.decode()


def test_visitors_get_chinese_unless_their_browser_asks_for_english() -> None:
    pages = [
        Client(headers={"accept-language": language}).get("/accounts/login/").content.decode()
        for language in ("fr-FR", "zh-TW", "en-GB,en;q=0.8")
    ]
    languages = [re.findall(r'<html lang="([^"]+)"', page) for page in pages]
    assert languages == [["zh-hans"], ["zh-hans"], ["en"]]


def test_a_language_chosen_from_the_menu_stays_with_the_account(adult: User) -> None:
    request = RequestFactory().post("/i18n/setlang/", {"language": "zh-hans", "next": "/"})
    request.user = adult
    response = views.set_language(request)
    assert response.cookies["anban_language"].value == "zh-hans"
    assert User.objects.get(pk=adult.pk).language == "zh-hans"


def test_pages_speak_in_the_persons_own_time_zone(adult: User) -> None:
    User.objects.filter(pk=adult.pk).update(time_zone="America/New_York")
    client = client_of(adult)
    request = RequestFactory().get("/")
    request.session = client.session
    zones: list[str] = []

    def view(_request: Any) -> Any:
        from django.http import HttpResponse

        zones.append(timezone.get_current_timezone_name())
        return HttpResponse()

    try:
        LocaleMiddleware(view)(request)
    finally:
        timezone.deactivate()
        translation.deactivate()
    assert zones == ["America/New_York"]


@pytest.mark.parametrize(
    "address",
    [
        "email/",
        "password/change/",
        "2fa/",
        "2fa/webauthn/",
        "sessions/",
        "care/",
        "logout/",
    ],
)
def test_every_page_behind_the_settings_is_there(adult: User, address: str) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": adult.email, "password": "a long test password"})
    assert client.get(f"/accounts/{address}").status_code == 200


def test_changing_the_contact_replaces_it(adult: User) -> None:
    data = {"name": "Gu Ming", "relation": "friend", "email": "ming@example.org", "phone": ""}
    answer = client_of(adult).post("/accounts/care/", data)
    assert answer.headers["Location"] == SETTINGS
    assert EmergencyContact.objects.filter(user=adult).count() == 1
    assert "Gu Ming" in client_of(adult).get(SETTINGS).content.decode()


def test_somebody_without_a_contact_is_led_to_the_form() -> None:
    assert client_of(make_user("bare", 30)).get("/accounts/next/").headers["Location"] == "/accounts/care/"


def test_mails_greet_with_the_name_of_the_site(adult: User, mailoutbox: list[Any]) -> None:
    Client(headers={"accept-language": "en"}).post("/accounts/password/reset/", {"email": adult.email})
    assert mailoutbox[0].body.startswith("Hello from Anban!")


def test_the_name_of_a_key_is_asked_for_in_our_words(adult: User) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": adult.email, "password": PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert "What shall this key be called?" in client.get("/accounts/2fa/webauthn/add/").content.decode()


def test_a_contact_marked_unsafe_is_told_nothing_more(client: Client, adult: User, outsider: User) -> None:
    row = EmergencyContact.objects.get(user=adult)
    url = reverse("contact_unsafe", args=[row.pk])
    client.force_login(outsider)
    assert client.post(url).status_code == 404
    client.force_login(adult)
    assert client.get(url).status_code == 405
    assert client.post(url).status_code == 302
    row.refresh_from_db()
    assert row.state == EmergencyContact.State.UNSAFE
    assert recipients.near(adult) == [] and recipients.reach(f"contact:{row.pk}") is None
    assert limits.effective_policy(User.objects.get(pk=adult.pk), timezone.now()).missing == "contact"
    assert "not safe for me" not in client.get(reverse("settings")).content.decode()
