"""Sign-up in one flow: account, then a guardian or an emergency contact; both languages, every age band."""

import re
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.utils import timezone, translation

from accounts.care import AGREEMENT_VERSION
from accounts.models import AuditEntry, User
from guardians.limits import effective_policy
from guardians.models import EmergencyContact, Guardianship
from tests.cast import PASSWORD, born, make_user

pytestmark = pytest.mark.django_db
SIGN_UP = "/accounts/signup/"
CARE = "/accounts/care/"
LANGUAGES = ("zh-hans", "en")


def account_data(years: int = 30, **changes: Any) -> dict[str, Any]:
    date = born(years)
    return {
        "email": "New.Person@Example.org",
        "password1": PASSWORD,
        "birth_date_year": str(date.year),
        "birth_date_month": str(date.month),
        "birth_date_day": str(date.day),
        "nickname": " 小林 ",
        "agreement": "on",
        **changes,
    }


def care_data(**changes: Any) -> dict[str, Any]:
    return {"name": "王芳", "relation": "mother", "email": "fang@example.org", "phone": "", **changes}


def reader(language: str) -> Client:
    return Client(
        headers={"accept-language": {"zh-hans": "zh-CN,zh;q=0.9", "en": "en-GB,en;q=0.9"}[language]}
    )


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("years", "missing"),
    [(12, "guardian_consent"), (15, "guardian_consent"), (17, "guardian_consent"), (30, ""), (66, "")],
)
def test_everybody_signs_up_in_two_steps(years: int, missing: str, language: str) -> None:
    client = reader(language)
    page = client.get(SIGN_UP)
    assert f'lang="{language}"' in page.content.decode()
    answer = client.post(SIGN_UP, account_data(years))
    assert (answer.status_code, answer.headers["Location"]) == (302, CARE)

    user = User.objects.get(email="new.person@example.org")
    assert (user.nickname, user.language) == ("小林", language)
    assert (user.agreement_version, user.agreed_at is not None) == (AGREEMENT_VERSION, True)
    before = "guardian" if years < 18 else "contact"
    assert effective_policy(user, timezone.now()).missing == before

    page = client.get(CARE)
    assert ('<body class="simple' in page.content.decode()) == (years >= 60)
    answer = client.post(CARE, care_data(simple_mode="on" if years >= 60 else ""))
    assert answer.status_code == 302

    user = User.objects.get(pk=user.pk)
    assert effective_policy(user, timezone.now()).missing == missing
    assert user.simple_mode == (years >= 60)
    assert Guardianship.objects.filter(minor=user).exists() == (years < 18)
    assert EmergencyContact.objects.filter(user=user).exists() == (years >= 18)
    assert set(AuditEntry.objects.filter(subject=user.pk).values_list("action", flat=True)) == {
        "account.created",
        "account.care_completed",
        *(["account.contact_asked"] if years >= 18 else []),
    }


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"birth_date_day": "31", "birth_date_month": "2"},
            "There is no such date. Please check day and month.",
        ),
        ({"birth_date_year": "2999"}, "This date is in the future. Please check the year."),
        ({"birth_date_year": "1066"}, "This date is too long ago. Please check the year."),
        ({"birth_date_year": "nineteen"}, "There is no such date. Please check day and month."),
        ({"birth_date_month": ""}, "Please give year, month and day."),
        (
            {"birth_date_year": "", "birth_date_month": "", "birth_date_day": ""},
            "Please give your birth date.",
        ),
        ({"agreement": ""}, "Please read these and tick the box if you agree."),
    ],
)
def test_what_cannot_be_is_refused_in_the_readers_language(
    changes: dict[str, Any], message: str, language: str
) -> None:
    response = reader(language).post(SIGN_UP, account_data(**changes))
    with translation.override(language):
        assert translation.gettext(message) in text_of(response)
    assert not User.objects.exists()


def test_the_agreement_is_not_ticked_for_anybody_and_leads_to_the_texts() -> None:
    page = Client().get(SIGN_UP).content.decode()
    box = re.search(r"<input[^>]*name=\"agreement\"[^>]*>", page)
    assert box
    assert "checked" not in box.group()
    for address in ("/terms/", "/privacy/", "/about/labels/"):
        assert f'href="{address}"' in page


def test_full_width_digits_are_digits() -> None:
    Client().post(SIGN_UP, account_data(birth_date_year="１９９０"))
    assert User.objects.get().birth_date.year == 1990  # type: ignore[union-attr]


@time_machine.travel("2026-11-21T16:30:00+00:00", tick=False)
def test_today_in_shanghai_is_no_future_date() -> None:
    client = Client()
    client.post(SIGN_UP, account_data(birth_date_year="2026", birth_date_month="11", birth_date_day="22"))
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"email": "", "phone": ""}, "Please give an e-mail address or a telephone number."),
        ({"email": "new.person@example.org"}, "This is your own address. Please give theirs."),
        ({"email": "", "phone": "call me"}, "Please give the number with digits only"),
    ],
)
def test_a_contact_that_cannot_be_reached_is_refused(changes: dict[str, str], message: str) -> None:
    client = reader("en")
    client.post(SIGN_UP, account_data())
    assert message in text_of(client.post(CARE, care_data(**changes)))
    assert not EmergencyContact.objects.exists()


def test_a_number_is_stored_as_digits_however_it_was_written() -> None:
    from guardians import contacts

    client = reader("en")
    client.post(SIGN_UP, account_data())
    client.post(CARE, care_data(email="", phone="+86 138-0013 (8000)"))
    assert contacts.open_details(EmergencyContact.objects.get()).phone == "+8613800138000"


def test_a_minor_sees_that_the_guardian_must_agree_and_may_correct_the_name() -> None:
    client = reader("en")
    client.post(SIGN_UP, account_data(15))
    client.post(CARE, care_data())
    page = text_of(client.get(CARE))
    assert "You named 王芳" in page
    client.post(CARE, care_data(name="王伟", relation="father"))
    assert "You named 王伟" in text_of(client.get(CARE))
    assert Guardianship.objects.count() == 1


def test_an_account_from_the_command_line_is_asked_for_what_it_lacks() -> None:
    user = make_user("operator", 40, birth_date=None, agreement_version="", agreed_at=None)
    client = Client()
    client.force_login(user)
    assert client.get("/accounts/next/").headers["Location"] == CARE
    assert 'name="birth_date_year"' in client.get(CARE).content.decode()
    client.post(CARE, account_data(40))
    user = User.objects.get(pk=user.pk)
    assert effective_policy(user, timezone.now()).missing == "contact"


def test_a_known_birth_date_is_not_asked_for_or_changed_with_a_new_agreement() -> None:
    user = make_user("earlier", 15, agreement_version="2020-01")
    client = Client()
    client.force_login(user)
    assert 'name="birth_date_year"' not in client.get(CARE).content.decode()
    client.post(CARE, account_data(40))
    known, user = user.birth_date, User.objects.get(pk=user.pk)
    assert (user.birth_date, user.agreement_version) == (known, AGREEMENT_VERSION)


def test_sign_up_does_not_tell_who_has_an_account(settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    make_user("taken", 30)
    fresh = Client().post(SIGN_UP, account_data(email="fresh@example.org"))
    taken = Client().post(SIGN_UP, account_data(email="taken@example.org"))
    assert (fresh.status_code, fresh.headers["Location"]) == (taken.status_code, taken.headers["Location"])
    assert User.objects.count() == 2
    assert {message.to[0] for message in mail.outbox} == {"fresh@example.org", "taken@example.org"}


def test_a_confirmed_address_leads_on_to_the_second_step(settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    client = reader("en")
    client.post(SIGN_UP, account_data())
    link = re.search(r"http://\S+/confirm-email/\S+/", str(mail.outbox[0].body))
    assert link
    client.post(link.group().replace("http://testserver", ""))
    assert EmailAddress.objects.get().verified
    client.post("/accounts/login/", {"login": "new.person@example.org", "password": PASSWORD})
    assert client.get("/accounts/next/").headers["Location"] == CARE


def test_demonstration_addresses_cannot_be_signed_up() -> None:
    Client().post(SIGN_UP, account_data(email="adult@demo.anban.example"))
    assert not User.objects.exists()


def test_a_mail_server_that_is_away_costs_the_mail_and_not_the_account(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    client = reader("en")
    answer = client.post(SIGN_UP, account_data())
    assert answer.status_code == 302
    assert "We could not send the e-mail just now." in text_of(client.get(CARE))
