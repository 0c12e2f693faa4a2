"""What guardians set for a minor: at once, within what the operator lets them, by nobody else, and noted."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from accounts.age import AgeBand
from accounts.models import AuditEntry, User
from companion.models import Persona
from guardians import access, limits, minor_settings
from guardians.access import Right, Role
from guardians.checks import guardians_widen_within_bounds
from guardians.minor_settings import Companions, Features, NotAllowed, Time
from guardians.models import Guardianship, Limits, MinorSettings, PersonaBlock
from tests.cast import make_user, with_guardian
from tests.live import companions

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)

NIGHT = (dt.time(22), dt.time(6))
LUNCH = (dt.time(12), dt.time(13, 30))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def link_of(guardian: User, minor: User) -> Guardianship:
    return access.link_of(guardian, minor.pk, Right.EDIT)


def policy(minor: User) -> limits.EffectivePolicy:
    return limits.effective_policy(User.objects.get(pk=minor.pk), timezone.now())


def generation(minor: User) -> int:
    return User.objects.get(pk=minor.pk).policy_generation


def set_time(guardian: User, minor: User, *wished: Any) -> None:
    minor_settings.change(link_of(guardian, minor), guardian, Time(*wished), timezone.now())


# --- time ------------------------------------------------------------------------------------------------------


def test_a_guardian_makes_the_day_shorter_at_once_and_adds_hours_of_rest(minor: User, guardian: User) -> None:
    before = generation(minor)
    set_time(guardian, minor, 20, LUNCH)
    assert policy(minor).daily_minutes == 20
    assert set(policy(minor).quiet) == {NIGHT, LUNCH}
    assert generation(minor) == before + 1
    entry = AuditEntry.objects.get(action="limits.set")
    assert (entry.actor, entry.subject) == (guardian.pk, minor.pk)
    assert entry.data == {"setter": "guardian", "minutes": 20, "quiet": True}
    set_time(guardian, minor)
    assert (policy(minor).daily_minutes, policy(minor).quiet) == (60, (NIGHT,))


def test_no_minutes_at_all_are_a_limit_too(minor: User, guardian: User) -> None:
    set_time(guardian, minor, 0, None)
    assert policy(minor).daily_minutes == 0


def test_wider_than_for_the_age_needs_the_operator(minor: User, guardian: User) -> None:
    for minutes in (61, -1):
        with pytest.raises(NotAllowed):
            set_time(guardian, minor, minutes, None)
    with override_settings(MINORS_GUARDIAN_DAILY_MINUTES={"14_15": 90}):
        assert policy(minor).daily_minutes == 60  # nothing is wider by itself
        set_time(guardian, minor, 90, None)
        assert policy(minor).daily_minutes == 90
        with pytest.raises(NotAllowed):
            set_time(guardian, minor, 91, None)
        set_time(guardian, minor, None, LUNCH)
        assert policy(minor).daily_minutes == 60
    set_time(guardian, minor, 60, None)
    assert policy(minor).daily_minutes == 60


def test_what_the_operator_takes_back_is_gone(minor: User, guardian: User) -> None:
    with override_settings(MINORS_GUARDIAN_DAILY_MINUTES={"14_15": 90}):
        set_time(guardian, minor, 90, None)
    assert policy(minor).daily_minutes == 60
    with override_settings(MINORS_DAILY_MINUTES={"14_15": 30}):
        assert policy(minor).daily_minutes == 30


def test_the_night_and_one_s_own_limit_are_not_opened(minor: User, guardian: User) -> None:
    Limits.objects.create(user=minor, setter="self", daily_minutes=10, valid_from=timezone.now())
    set_time(guardian, minor, 60, (dt.time(23), dt.time(1)))
    assert policy(minor).daily_minutes == 10
    assert NIGHT in policy(minor).quiet


@pytest.mark.parametrize(
    "wrong", [{"14_15": 59}, {"14_15": 241}, {"14_15": True}, {"14_15": "90"}, {"adult": 90}, {"": 90}]
)
def test_a_cap_that_is_nonsense_is_said_at_start(wrong: dict[str, Any]) -> None:
    with override_settings(MINORS_GUARDIAN_DAILY_MINUTES=wrong):
        assert [each.id for each in guardians_widen_within_bounds(None)] == ["guardians.E005"]


def test_a_cap_counts_from_the_operator_s_own_floor() -> None:
    with override_settings(
        MINORS_DAILY_MINUTES={"14_15": 30}, MINORS_GUARDIAN_DAILY_MINUTES={"14_15": 45, "16_17": 240}
    ):
        assert guardians_widen_within_bounds(None) == []
        assert (limits.usual(AgeBand.FROM_14), limits.longest(AgeBand.FROM_14)) == (30, 45)
        assert limits.longest(AgeBand.UNDER_14) == 60


@pytest.mark.parametrize("minutes", [-1, 121])
def test_extra_minutes_that_are_nonsense_are_said_at_start(minutes: int) -> None:
    with override_settings(MINORS_EXTRA_MINUTES=minutes):
        assert [each.id for each in guardians_widen_within_bounds(None)] == ["guardians.E006"]


# --- companions and functions ----------------------------------------------------------------------------------


def test_companions_and_functions_are_kept_and_noted_without_their_words(minor: User, guardian: User) -> None:
    one, two = make_user("x", 30).pk, make_user("y", 30).pk
    link = link_of(guardian, minor)
    wished = Companions(
        blocked=frozenset({one}), approved=frozenset({two}), tags=frozenset({" Horror  Film "})
    )
    minor_settings.change(link, guardian, wished, timezone.now())
    minor_settings.change(link, guardian, Features(voice=False), timezone.now())
    found = policy(minor)
    assert found.blocked_personas == {one}
    assert found.choices == limits.Choices(
        approved=frozenset({two}), blocked_tags=frozenset({"horror film"}), voice=False
    )
    entries = {entry.action: entry.data for entry in AuditEntry.objects.filter(action__startswith="minor.")}
    assert entries == {
        "minor.companions_set": {"blocked": 1, "approved": 1, "tags": 1},
        "minor.features_set": {"voice": False, "memory": True},
    }
    minor_settings.change(link, guardian, Companions(), timezone.now())
    assert policy(minor).choices == limits.Choices(voice=False)
    assert not PersonaBlock.objects.exists()


def test_more_than_can_be_kept_is_refused_and_changes_nothing(minor: User, guardian: User) -> None:
    link = link_of(guardian, minor)
    for tags in ({"x" * 41}, {f"w{i}" for i in range(61)}):
        with pytest.raises(NotAllowed):
            minor_settings.change(link, guardian, Companions(tags=frozenset(tags)), timezone.now())
    assert not MinorSettings.objects.exists()
    assert not AuditEntry.objects.filter(action__startswith="minor.").exists()


@pytest.mark.parametrize("role", [Role.VIEW, Role.ALERTS])
def test_a_right_that_was_taken_meanwhile_is_gone(minor: User, guardian: User, role: Role) -> None:
    link = link_of(guardian, minor)
    access.give(link, role)
    for wished in (Time(10), Companions(), Features(voice=False)):
        with pytest.raises(access.NotFound):
            minor_settings.change(link, guardian, wished, timezone.now())
    assert policy(minor).choices == limits.Choices()


# --- the page --------------------------------------------------------------------------------------------------

ACTS: dict[str, dict[str, Any]] = {
    "minor_time": {"time-daily_minutes": "20"},
    "minor_companions": {"shown": "", "new": "closed"},
    "minor_features": {},
}


def stand(minor: User) -> tuple[Any, ...]:
    return policy(minor).daily_minutes, policy(minor).choices, policy(minor).blocked_personas


@pytest.mark.parametrize("name", ACTS)
def test_nobody_else_changes_anything(
    companions: None, minor: User, guardian: User, outsider: User, name: str
) -> None:
    """Outsider, guardian of another child, guardians who may only look, the minor, somebody signed out."""
    path, before = reverse(name, args=[minor.pk]), stand(minor)
    other = make_user("other", 40)
    with_guardian(make_user("othersminor", 14), other)
    looking = make_user("looking", 45)
    link = Guardianship.objects.create(
        minor=minor, guardian=looking, state="active", details=b"", consented_at=timezone.now()
    )
    people = [outsider, other, minor]
    for role in (Role.VIEW, Role.ALERTS):
        access.give(link, role)
        assert signed_in(looking).post(path, ACTS[name]).status_code == 404
        assert signed_in(looking).get(reverse("minor_settings", args=[minor.pk])).status_code == 404
    for user in people:
        assert signed_in(user).post(path, ACTS[name]).status_code == 404
        assert signed_in(user).get(reverse("minor_settings", args=[minor.pk])).status_code == 404
    assert Client().post(path, ACTS[name]).status_code == 302
    assert signed_in(guardian).get(path).status_code == 405
    assert stand(minor) == before
    assert signed_in(guardian).post(path, ACTS[name]).status_code == 302
    assert stand(minor) != before


def test_only_what_the_form_has_is_taken(companions: None, minor: User, guardian: User) -> None:
    """Other columns, other people and companions that are not for the age cannot be sent along."""
    grown = Persona.objects.create(slug="grown", state="published", relationship="partner", age_rating="18")
    everything = {
        "voice": "on",
        "features-memory": "on",
        "images": "",
        "minor": str(guardian.pk),
        "approved_only": "1",
        "set_by": str(minor.pk),
        "valid_from": "2000-01-01",
    }
    page = signed_in(guardian)
    page.post(reverse("minor_features", args=[minor.pk]), everything)
    row = MinorSettings.objects.get()
    assert (row.minor_id, row.voice, row.memory, row.images, row.approved_only) == (
        minor.pk,
        False,
        True,
        True,
        False,
    )
    shown = {"shown": str(grown.public_id), "open": str(grown.public_id), "new": "closed"}
    page.post(reverse("minor_companions", args=[minor.pk]), shown)
    row.refresh_from_db()
    assert (row.approved_only, row.approved) == (True, [])
    page.post(reverse("minor_time", args=[minor.pk]), {"time-daily_minutes": "30", **everything})
    set_ = Limits.objects.get()
    assert (set_.user_id, set_.set_by_id, set_.setter) == (minor.pk, guardian.pk, "guardian")
    assert set_.valid_from > timezone.now() - dt.timedelta(minutes=1)


def test_the_time_form_says_what_is_wrong_and_keeps_nothing(
    companions: None, minor: User, guardian: User
) -> None:
    page, path = signed_in(guardian), reverse("minor_time", args=[minor.pk])
    for data, said in (
        ({"time-daily_minutes": "61"}, "less than or equal to 60"),
        ({"time-quiet_from": "12:00"}, "a beginning and an end"),
        ({"time-quiet_from": "12:00", "time-quiet_until": "12:00"}, "another time"),
    ):
        response = page.post(path, data)
        assert response.status_code == 422
        text = response.content.decode()
        assert said in text and 'aria-invalid="true"' in text and '<details class="filter-fold" open>' in text
    assert not Limits.objects.exists()


def test_ticked_is_open_and_what_is_not_shown_stays(companions: None, minor: User, guardian: User) -> None:
    ids = dict(Persona.objects.values_list("slug", "public_id"))
    page, path = signed_in(guardian), reverse("minor_companions", args=[minor.pk])
    shown = {"shown": f"{ids['botanist']} {ids['dragon']}", "open": str(ids["dragon"]), "new": "open"}
    page.post(path, {**shown, "word": "pet", "words": "恐怖, Ghosts"})
    assert policy(minor).blocked_personas == {ids["botanist"]}
    assert policy(minor).choices.blocked_tags == {"pet", "恐怖", "ghosts"}
    page.post(path, {"shown": str(ids["dragon"]), "new": "open"})
    assert policy(minor).blocked_personas == {ids["botanist"], ids["dragon"]}
    page.post(path, {"shown": str(ids["dragon"]), "open": str(ids["dragon"]), "new": "closed"})
    assert policy(minor).choices.approved == {ids["dragon"]}
    assert policy(minor).blocked_personas == {ids["botanist"]}
    text = page.get(reverse("minor_settings", args=[minor.pk])).content.decode()
    assert "Only companions that a guardian approved are open" in text


def test_what_the_minor_wrote_is_not_in_the_list(companions: None, minor: User, guardian: User) -> None:
    row = Persona(author=minor, slug="c-own", state="published", relationship="friend", age_rating="all")
    card = dict.fromkeys(("name", "tagline", "description", "greeting", "character"), "秘密的名字")
    row.seal_card(card | {"moods": [], "examples": [], "tags": ["秘密的词"]})
    row.save()
    text = signed_in(guardian).get(reverse("minor_settings", args=[minor.pk])).content.decode()
    assert "botanist" in text or "Companions" in text
    assert "秘密" not in text and str(row.public_id) not in text


def test_the_panel_shows_it_to_both_and_only_a_guardian_who_may_can_change_it(
    companions: None, minor: User, guardian: User
) -> None:
    set_time(guardian, minor, 20, LUNCH)
    panel = signed_in(guardian).get(reverse("panel", args=[minor.pk])).content.decode()
    mine = signed_in(minor).get(reverse("panel_mine")).content.decode()
    for text in (panel, mine):
        assert 'id="settings"' in text and "20 minutes a day" in text
    assert reverse("minor_time", args=[minor.pk]) in panel
    assert f"/{minor.pk}/settings/" not in mine
    access.give(Guardianship.objects.get(), Role.VIEW)
    panel = signed_in(guardian).get(reverse("panel", args=[minor.pk])).content.decode()
    assert 'id="settings"' in panel and reverse("minor_time", args=[minor.pk]) not in panel
