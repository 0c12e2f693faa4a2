"""Minors' mode: chosen by anybody, left only where the birth date, a guardian and a human allow it, on every way in."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.care import AGREEMENT_VERSION
from accounts.models import AuditEntry, User
from guardians import access, limits, minors_mode
from guardians.minors_mode import ModeError
from safety import age_reviews, moderation
from safety.models import AgeReview
from tests.cast import PASSWORD, born

pytestmark = pytest.mark.django_db(transaction=True)
Mode = User.MinorsMode
BADGE = 'class="badge minors"'


def browser(user: User) -> Client:
    client = Client()
    assert client.login(username=user.email, password=PASSWORD)
    return client


def now_of(user: User) -> User:
    return User.objects.get(pk=user.pk)


def policy(user: User) -> limits.EffectivePolicy:
    return limits.effective_policy(now_of(user), timezone.now())


# --- turning it on -----------------------------------------------------------------------------------------------


def test_an_adult_turns_it_on_with_one_button_and_is_protected_like_a_minor(adult: User) -> None:
    client, before = browser(adult), now_of(adult).policy_generation
    assert not policy(adult).is_minor
    assert client.get(reverse("minors_mode")).status_code == 200
    client.post(reverse("mode_on"), {"from": "chat"})
    found = policy(adult)
    assert (found.is_minor, found.engine_band, found.daily_minutes) == (True, "teen", 120)
    assert found.reminders.reality_every and found.quiet and found.missing == ""
    assert now_of(adult).policy_generation > before
    entry = AuditEntry.objects.get(action="mode.turned_on")
    assert (entry.actor, entry.subject, entry.data) == (adult.pk, adult.pk, {"where": "chat"})


def test_looking_at_the_page_changes_nothing(adult: User) -> None:
    client = browser(adult)
    for name in ("mode_on", "mode_leave", "mode_say"):
        assert client.get(reverse(name)).status_code == 405
    client.get(reverse("minors_mode"), {"from": "chat"})
    assert now_of(adult).minors_mode == Mode.OFF


def test_strangers_are_sent_to_the_login(adult: User) -> None:
    for name in ("minors_mode", "mode_on", "mode_leave", "mode_say"):
        assert Client().post(reverse(name)).status_code in (302, 405)
    assert now_of(adult).minors_mode == Mode.OFF


def test_the_mode_is_of_the_account_and_not_of_the_browser(adult: User) -> None:
    browser(adult).post(reverse("mode_on"))
    for client in (browser(adult), browser(adult)):
        assert BADGE in client.get(reverse("gallery")).content.decode()
        client.cookies.clear()
    assert policy(adult).is_minor


def test_who_is_not_in_it_sees_no_badge(adult: User) -> None:
    assert BADGE not in browser(adult).get(reverse("gallery")).content.decode()


def test_turning_it_on_twice_is_once(adult: User) -> None:
    client = browser(adult)
    client.post(reverse("mode_on"))
    client.post(reverse("mode_on"))
    assert AuditEntry.objects.filter(action="mode.turned_on").count() == 1


def sign_up(**fields: str) -> User:
    date = born(int(fields.pop("years")))
    data = {
        "email": "new@example.org",
        "password1": PASSWORD,
        "birth_date_year": str(date.year),
        "birth_date_month": str(date.month),
        "birth_date_day": str(date.day),
        "agreement": "on",
        **fields,
    }
    Client().post("/accounts/signup/", data)
    return User.objects.get(email="new@example.org")


def test_it_can_be_chosen_at_sign_up(db: None) -> None:
    user = sign_up(years="30", minors_mode="on")
    assert user.minors_mode == Mode.CHOSEN and user.minors_mode_at is not None
    assert AuditEntry.objects.get(action="mode.turned_on").data == {"where": "sign_up"}


def test_it_is_not_ticked_for_anybody(db: None) -> None:
    assert sign_up(years="30").minors_mode == Mode.OFF
    assert 'name="minors_mode"' in (page := Client().get("/accounts/signup/").content.decode())
    assert "checked" not in page[page.index('name="minors_mode"') :][:120]


def test_a_minor_who_ticks_it_leaves_it_with_their_birthday(db: None) -> None:
    assert sign_up(years="16", minors_mode="on").minors_mode == Mode.OFF


# --- leaving it --------------------------------------------------------------------------------------------------


def test_an_adult_who_chose_it_leaves_it(adult: User) -> None:
    client = browser(adult)
    client.post(reverse("mode_on"))
    client.post(reverse("mode_leave"))
    assert now_of(adult).minors_mode == Mode.OFF and not policy(adult).is_minor
    assert AuditEntry.objects.get(action="mode.left").actor == adult.pk


@pytest.mark.parametrize("mode", Mode.values)
def test_a_minor_never_leaves(minor: User, mode: str) -> None:
    User.objects.filter(pk=minor.pk).update(minors_mode=mode)
    browser(minor).post(reverse("mode_leave"))
    with pytest.raises(ModeError, match="birth_date"):
        minors_mode.leave(now_of(minor), now=timezone.now())
    assert now_of(minor).minors_mode == mode and policy(minor).is_minor


@pytest.mark.parametrize("mode", [Mode.SUSPECTED, Mode.CONFIRMED])
def test_what_a_human_has_to_decide_nobody_else_ends(adult: User, mode: str) -> None:
    User.objects.filter(pk=adult.pk).update(minors_mode=mode)
    client = browser(adult)
    for name in ("mode_leave", "mode_on", "mode_leave"):
        client.post(reverse(name))
    with pytest.raises(ModeError, match="human"):
        minors_mode.leave(now_of(adult), now=timezone.now())
    assert now_of(adult).minors_mode == mode


def test_whoever_comes_of_age_in_it_leaves_it_like_everybody(minor: User) -> None:
    User.objects.filter(pk=minor.pk).update(birth_date=born(18), minors_mode=Mode.CHOSEN)
    assert not access.guardians_of(now_of(minor)).exists()  # the birth date carries the guardian's part, too
    browser(minor).post(reverse("mode_leave"))
    assert now_of(minor).minors_mode == Mode.OFF


# --- making oneself older by other ways ------------------------------------------------------------------------------

OLDER = {
    "birth_date": "1990-01-01",
    "birth_date_year": "1990",
    "birth_date_month": "1",
    "birth_date_day": "1",
    "minors_mode": "",
    "age_band": "adult",
    "role": "operator",
    "is_staff": "on",
    "is_superuser": "on",
}


@pytest.mark.parametrize(
    "path", ["/accounts/settings/", "/accounts/care/", "/use/limits/", "/guardians/minors-mode/leave/"]
)
def test_more_fields_in_a_form_make_nobody_older(minor: User, path: str) -> None:
    date = minor.birth_date
    User.objects.filter(pk=minor.pk).update(minors_mode=Mode.CONFIRMED)
    form = {"nickname": "M", "language": "en", "time_zone": minor.time_zone, "agreement": "on", "text": "x"}
    browser(minor).post(path, {**form, **OLDER})
    found = now_of(minor)
    assert (found.birth_date, found.minors_mode, found.role) == (date, Mode.CONFIRMED, User.Role.PERSON)
    assert not (found.is_staff or found.is_superuser) and policy(minor).is_minor


def test_agreeing_anew_with_another_birth_date_changes_nothing(minor: User) -> None:
    date = minor.birth_date
    User.objects.filter(pk=minor.pk).update(agreement_version="old")
    browser(minor).post(reverse("care"), {"agreement": "on", **OLDER})
    found = now_of(minor)
    assert (found.birth_date, found.agreement_version) == (date, AGREEMENT_VERSION)


def test_staff_without_the_right_cannot_change_an_age(minor: User, moderator: User) -> None:
    date = minor.birth_date
    response = browser(moderator).post(f"/admin/accounts/user/{minor.pk}/change/", OLDER)
    assert response.status_code in (302, 403)
    assert now_of(minor).birth_date == date


def admin_form(user: User, **changes: str) -> dict[str, str]:
    return {"role": user.role, "is_active": "on", "birth_date": str(user.birth_date), **changes}


@pytest.mark.parametrize("who", ["moderator", "oneself", "operator"])
def test_only_an_operator_corrects_a_birth_date_and_not_their_own(
    minor: User, moderator: User, supervisor: User, who: str
) -> None:
    """A moderator with every right of the admin is still no operator."""
    User.objects.filter(pk=moderator.pk).update(is_superuser=True)
    staff = moderator if who == "moderator" else supervisor
    subject = supervisor if who == "oneself" else minor
    before = subject.birth_date
    extra = {"is_staff": "on", "is_superuser": "on"} if who == "oneself" else {}
    form = admin_form(subject, birth_date="1970-01-01", **extra)
    browser(staff).post(f"/admin/accounts/user/{subject.pk}/change/", form)
    changed = now_of(subject).birth_date != before
    assert changed == (who == "operator")
    assert AuditEntry.objects.filter(action="account.age_corrected", subject=subject.pk).exists() == changed


def test_the_mode_is_no_field_of_the_admin(minor: User, supervisor: User) -> None:
    User.objects.filter(pk=minor.pk).update(minors_mode=Mode.CONFIRMED)
    form = {"role": "person", "is_active": "on", "birth_date": "1990-01-01", "minors_mode": ""}
    browser(supervisor).post(f"/admin/accounts/user/{minor.pk}/change/", form)
    assert now_of(minor).minors_mode == Mode.CONFIRMED and policy(minor).is_minor


def test_a_zone_in_which_tomorrow_has_begun_makes_nobody_older_before_their_day(minor: User) -> None:
    browser(minor).post(
        "/accounts/settings/", {"nickname": "", "language": "en", "time_zone": "Pacific/Kiritimati"}
    )
    assert policy(minor).is_minor


# --- suspected ---------------------------------------------------------------------------------------------------


def suspected(user: User) -> AgeReview:
    row = age_reviews.suspect(user.pk, timezone.now())
    assert row is not None
    return row


def test_the_page_says_why_by_when_and_takes_what_they_say(adult: User) -> None:
    row, client = suspected(adult), browser(adult)
    page = client.get(reverse("minors_mode")).content.decode()
    assert row.number in page and 'action="/guardians/minors-mode/say/"' in page
    assert "guardians/minors-mode/leave" not in page
    client.post(reverse("mode_say"), {"text": "I teach at a school."})
    row.refresh_from_db()
    assert row.open() == "I teach at a school."
    assert "has arrived" in client.get(reverse("minors_mode")).content.decode()


def test_what_somebody_says_is_bounded_and_only_about_their_own_question(adult: User, outsider: User) -> None:
    row = suspected(adult)
    browser(outsider).post(reverse("mode_say"), {"text": "She is 12."})
    browser(adult).post(reverse("mode_say"), {"text": "x" * 2001})
    browser(adult).post(reverse("mode_say"), {"text": ""})
    row.refresh_from_db()
    assert row.statement is None


def test_once_it_is_confirmed_the_page_leads_to_a_guardian_and_to_an_appeal(
    adult: User, moderator: User
) -> None:
    age_reviews.decide(moderator, suspected(adult).pk, AgeReview.Decision.CONFIRMED, timezone.now())
    page = browser(adult).get(reverse("minors_mode")).content.decode()
    assert reverse("care") in page and f"{reverse('appeal_new')}?about=age" in page
    assert browser(adult).get(f"{reverse('appeal_new')}?about=age").status_code == 200


# --- one place derives "under 18" -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.CHOSEN, Mode.SUSPECTED, Mode.CONFIRMED])
def test_whoever_is_in_the_mode_is_young_to_the_whole_service(adult: User, mode: str) -> None:
    from safety.views.console_reading import band

    User.objects.filter(pk=adult.pk).update(minors_mode=mode)
    user, now = now_of(adult), timezone.now()
    assert moderation.is_young(user, now) and band(user) == "minor"
    assert limits.needs_guardian(user, now) == (mode == Mode.CONFIRMED)


def test_an_adult_in_the_mode_keeps_their_contact_and_names_no_guardian(adult: User) -> None:
    client = browser(adult)
    client.post(reverse("mode_on"))
    page = client.get(reverse("settings")).content.decode()
    assert 'id="settings-care"' in page and "guardian yet" not in page
    assert policy(adult).missing == ""


def test_birth_dates_and_bands_are_compared_in_few_places() -> None:
    """`User.age_band` is by birth date only: protection goes by limits.effective_band."""
    from pathlib import Path

    allowed = {
        "accounts/adapter.py",
        "accounts/views.py",
        "accounts/simple_mode.py",
    }  # defaults, and large type
    found = {
        str(path)
        for package in ("accounts", "guardians", "safety", "companion")
        for path in Path(package).rglob("*.py")
        if any(f"{name}.age_band" in path.read_text() for name in ("user", "person", "minor", "account"))
    }
    assert found <= allowed, found
