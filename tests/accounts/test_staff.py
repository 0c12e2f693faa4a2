"""The admin's door (T25)."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.models import User
from tests.cast import PASSWORD

pytestmark = pytest.mark.django_db


def log_in(user: User) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def test_visitors_meet_allauths_login() -> None:
    page = Client().get("/admin/", follow=True)
    assert page.redirect_chain[-1][0].startswith("/accounts/login/")


def test_people_without_a_role_are_refused(adult: User) -> None:
    assert log_in(adult).get("/admin/", follow=True).status_code == 403


def test_in_production_staff_set_up_a_second_step_first(supervisor: User, settings: Any) -> None:
    settings.STAFF_MFA_REQUIRED = True
    client = log_in(supervisor)
    for address in ("/admin/", "/admin/accounts/user/"):
        assert client.get(address).headers["Location"] == "/accounts/2fa/"
    Authenticator.objects.create(user=supervisor, type=Authenticator.Type.TOTP, data={"secret": "x"})
    assert client.get("/admin/").status_code == 200


def test_in_development_a_note_says_what_is_missing(supervisor: User, settings: Any) -> None:
    settings.STAFF_MFA_REQUIRED = False
    page = log_in(supervisor).get("/admin/")
    assert page.status_code == 200
    assert "no two-step verification" in page.content.decode()


def test_staff_see_no_sealed_details_and_cannot_delete(supervisor: User, adult: User) -> None:
    client = log_in(supervisor)
    assert client.get("/admin/guardians/emergencycontact/").status_code == 200
    assert client.get(f"/admin/accounts/user/{adult.pk}/change/").status_code == 200
    assert client.post(f"/admin/accounts/user/{adult.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/accounts/auditentry/").status_code == 200
    assert client.get("/admin/accounts/auditentry/add/").status_code == 403


@pytest.mark.parametrize(
    "path",
    ["accounts/user", "accounts/auditentry", "guardians/guardianship", "guardians/emergencycontact"],
)
def test_the_lists_for_staff_are_wholly_in_the_language_of_the_reader(
    supervisor: User, adult: User, minor: User, path: str
) -> None:
    User.objects.filter(pk=supervisor.pk).update(language="zh-hans")
    client = log_in(supervisor)
    page = client.get(f"/admin/{path}/").content.decode()
    headings = re.findall(r'<div class="text">\s*<(?:a|span)[^>]*>([^<]+)<', page)
    filters = re.findall(r"<summary>([^<]+)</summary>", page)
    title = re.findall(r"<h1>([^<]+)</h1>", page)
    assert len(headings) >= 3 and title
    for words in headings + filters + title:
        assert not re.search("[A-Za-z]{3}", words), words


def test_a_page_for_staff_names_its_fields_in_the_language_of_the_reader(
    supervisor: User, adult: User
) -> None:
    User.objects.filter(pk=supervisor.pk).update(language="zh-hans")
    client = log_in(supervisor)
    page = client.get(f"/admin/accounts/user/{adult.pk}/change/").content.decode()
    labels = re.findall(r"<label[^>]*>([^<]+)<", page)
    assert len(labels) > 10
    for words in labels:
        assert not re.search("[A-Za-z]{3}", words), words
