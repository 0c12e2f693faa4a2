"""The pages of an invitation, as minor and guardian walk through them; opening a link never changes anything."""

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from guardians import links
from guardians.invitations import State
from guardians.models import Consent, Guardianship, Invitation
from tests.cast import GUARDIAN, PASSWORD, make_user

pytestmark = pytest.mark.django_db
TICKED = {"adult": "1", "companionship": "1", "sensitive_data": "1", "third_parties": "1"}


@pytest.fixture
def young(db: None) -> User:
    user = make_user("young", 15)
    links.invite(user, GUARDIAN, actor=user.pk, now=timezone.now())
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    return client


def link_in(text: str) -> str:
    found = re.search(r"/guardians/invitation/[\w-]{40,}/", text)
    assert found
    return found.group()


def invited_by_mail(young: User) -> str:
    signed_in(young).post(reverse("guardian_mail"))
    [message] = mail.outbox
    assert message.to == [GUARDIAN.email]
    return link_in(str(message.body))


def test_a_guardian_answers_a_mail_and_the_minor_may_talk(young: User, guardian: User) -> None:
    path = invited_by_mail(young)
    parent = signed_in(guardian)
    assert parent.get(path).headers["Location"] == reverse("invitation")
    page = parent.get(reverse("invitation")).content.decode()
    assert "Young" in page and "checked" not in page
    answered = parent.post(reverse("invitation"), TICKED, follow=True)
    assert answered.redirect_chain[-1][0] == reverse("wards")
    assert "You have agreed" in answered.content.decode()
    assert "has agreed" in signed_in(young).get(reverse("care")).content.decode()


def test_no_message_travels_to_strangers_as_a_name(young: User) -> None:
    User.objects.filter(pk=young.pk).update(nickname="Win 500 at evil.example")
    invited_by_mail(young)
    assert "evil.example" not in f"{mail.outbox[0].subject} {mail.outbox[0].body}"


def test_opening_the_link_changes_nothing(young: User, guardian: User) -> None:
    path = invited_by_mail(young)
    for client in (Client(), signed_in(guardian)):
        for _ in range(3):
            client.get(path, follow=True)
            client.head(path)
    assert Guardianship.objects.get().state == State.INVITED
    assert Invitation.objects.get().used_at is None
    assert not Consent.objects.exists()


def test_a_visitor_reads_what_it_means_and_finds_the_way_back_after_signing_in(
    young: User, guardian: User
) -> None:
    visitor = Client(headers={"Accept-Language": "en"})
    page = visitor.get(invited_by_mail(young), follow=True).content.decode()
    assert "names you as guardian" in page
    assert f"next={reverse('invitation')}" in page
    response = visitor.post(
        f"{reverse('account_login')}?next={reverse('invitation')}",
        {"login": guardian.email, "password": PASSWORD, "next": reverse("invitation")},
        follow=True,
    )
    assert "Do you agree?" in response.content.decode()


@pytest.mark.parametrize("without", list(TICKED))
def test_each_box_is_needed(young: User, guardian: User, without: str) -> None:
    parent = signed_in(guardian)
    parent.get(invited_by_mail(young))
    ticked = {name: value for name, value in TICKED.items() if name != without}
    page = parent.post(reverse("invitation"), ticked)
    assert "tick each box" in page.content.decode()
    assert Guardianship.objects.get().state == State.INVITED


def test_the_address_bar_and_the_next_page_do_not_hold_the_token(young: User, guardian: User) -> None:
    path = invited_by_mail(young)
    parent = signed_in(guardian)
    response = parent.get(path)
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert path.split("/")[-2] not in parent.get(reverse("invitation")).content.decode()


@pytest.mark.parametrize(
    ("who", "sentence"),
    [("outsider", "sent to another address"), ("young", "Nobody can be their own guardian")],
)
def test_others_are_told_why_they_cannot(young: User, outsider: User, who: str, sentence: str) -> None:
    client = signed_in({"outsider": outsider, "young": young}[who])
    page = client.get(invited_by_mail(young), follow=True)
    assert page.status_code == 403
    assert sentence in page.content.decode()
    assert client.post(reverse("invitation"), TICKED).status_code == 403
    assert Guardianship.objects.get().state == State.INVITED


def test_the_browser_of_the_minor_is_not_the_guardians(young: User, guardian: User) -> None:
    path = invited_by_mail(young)
    shared = signed_in(young)
    shared.post(reverse("account_logout"))
    shared.post(reverse("account_login"), {"login": guardian.email, "password": PASSWORD})
    assert "in this browser" in shared.get(path, follow=True).content.decode()
    assert shared.post(reverse("invitation"), TICKED).status_code == 403


def test_a_used_link_says_so(young: User, guardian: User) -> None:
    path = invited_by_mail(young)
    parent = signed_in(guardian)
    parent.get(path)
    parent.post(reverse("invitation"), TICKED)
    page = signed_in(guardian).get(path, follow=True)
    assert page.status_code == 410
    assert "used already" in page.content.decode()


def test_a_code_is_shown_once_and_confirmed_by_the_minor(young: User, outsider: User) -> None:
    child = signed_in(young)
    page = child.post(reverse("guardian_code"))
    assert page.headers["Cache-Control"].find("no-store") >= 0
    assert "<svg" in page.content.decode()
    parent = signed_in(outsider)
    parent.get(link_in(page.content.decode()))
    parent.post(reverse("invitation"), TICKED)
    asked = child.get(reverse("care")).content.decode()
    assert outsider.email in asked and "Was it your guardian?" in asked
    link = Guardianship.objects.get()
    child.post(reverse("guardian_confirm", args=[link.pk]), {"answer": "yes"})
    assert Guardianship.objects.get().state == State.ACTIVE


def test_only_the_other_side_confirms(young: User, outsider: User, guardian: User) -> None:
    parent = signed_in(outsider)
    parent.get(link_in(signed_in(young).post(reverse("guardian_code")).content.decode()))
    parent.post(reverse("invitation"), TICKED)
    path = reverse("guardian_confirm", args=[Guardianship.objects.get().pk])
    assert signed_in(guardian).post(path, {"answer": "yes"}).status_code == 404
    parent.post(path, {"answer": "yes"})
    assert Client().post(path, {"answer": "yes"}).status_code == 302
    assert Guardianship.objects.get().state == State.ACCEPTED


def test_a_mail_server_that_is_away_leaves_the_code(young: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    page = signed_in(young).post(reverse("guardian_mail"), follow=True)
    assert "Please show the code instead" in page.content.decode()


def test_wrong_verbs_and_visitors(young: User, minor: User, guardian: User, outsider: User) -> None:
    link = Guardianship.objects.get(minor=minor)
    act = [reverse("guardian_mail"), reverse("guardian_code")]
    act += [reverse(name, args=[link.pk]) for name in ("guardian_confirm", "guardian_consent")]
    for path in act:
        assert signed_in(guardian).get(path).status_code == 405
        assert Client().post(path).headers["Location"].startswith(reverse("account_login"))
    assert Client().get(reverse("wards")).status_code == 302
    for stranger in (outsider, minor):
        path = reverse("guardian_consent", args=[link.pk])
        assert signed_in(stranger).post(path, {"withdraw": "1"}).status_code == 404
    assert signed_in(outsider).post(reverse("guardian_mail")).status_code == 404
    assert "Nobody has named you" in signed_in(outsider).get(reverse("wards")).content.decode()


def test_consent_is_withdrawn_and_given_again_with_all_boxes(minor: User, guardian: User) -> None:
    link = Guardianship.objects.get(minor=minor)
    parent, path = signed_in(guardian), reverse("guardian_consent", args=[link.pk])
    assert "is withdrawn" in parent.post(path, {"withdraw": "1"}, follow=True).content.decode()
    assert "withdrawn their consent" in signed_in(minor).get(reverse("care")).content.decode()
    parent.post(path, {"companionship": "1"})
    assert not link.consents.filter(withdrawn_at=None).exists()
    page = parent.post(path, {name: "1" for name in TICKED if name != "adult"}, follow=True).content.decode()
    assert page.count("Given on") == 2 and page.count("withdrawn on") == 1
