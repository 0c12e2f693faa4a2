"""Service notices: nothing ends without one that came in time; people see, are mailed and can keep a copy."""

import datetime as dt
import smtplib
import uuid
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts import switches
from accounts.models import AuditEntry, User
from companion import retirement, service_mail, service_notices
from companion.models import (
    Conversation,
    Departure,
    Message,
    Persona,
    ServiceNotice,
    ServiceNoticeMail,
    ServiceNoticeSeen,
)
from companion.service_models import FLOORS
from companion.service_notices import Kind, Refused
from tests.cast import make_user, with_contact
from tests.companion.conftest import say
from tests.companion.written import published, written
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)
DAY = dt.timedelta(days=1)
ADMIN = "/admin/companion/servicenotice/"


@pytest.fixture(autouse=True)
def _read_anew(_nothing_remembered: None) -> None:
    service_notices._public.forget()


@pytest.fixture
def now() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def operator(supervisor: User) -> User:
    return supervisor


@pytest.fixture
def second(db: None) -> User:
    return with_contact(make_user("second", 50, role=User.Role.OPERATOR, is_staff=True, is_superuser=True))


def notice(kind: Kind, days: float, now: dt.datetime, slug: str = "", **more: Any) -> ServiceNotice:
    return ServiceNotice(
        kind=kind,
        persona=Persona.objects.get(slug=slug) if slug else None,
        takes_effect_at=now + DAY * days,
        **{"title_zh": "一则通知", "title_en": "Something ends", "text_zh": "说明。", "text_en": "Why."}
        | more,
    )


def announced(operator: User, row: ServiceNotice, now: dt.datetime) -> ServiceNotice:
    return service_notices.publish(operator, service_notices.draft(operator, row).pk, now)


def retiring(operator: User, now: dt.datetime, slug: str = "botanist", days: float = 30) -> ServiceNotice:
    return announced(operator, notice(Kind.PERSONA_RETIREMENT, days, now, slug), now)


def page(person: User | None, path: str = "/companions/") -> str:
    client = Client(headers={"Accept-Language": "en"})
    if person is not None:
        client.force_login(person)
    return client.get(path).content.decode()


# --- in time, or not at all ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "days"), FLOORS.items())
def test_a_notice_that_comes_too_late_is_refused_by_code_and_database(
    companions: None, operator: User, second: User, now: dt.datetime, kind: str, days: int
) -> None:
    slug = "botanist" if kind == Kind.PERSONA_RETIREMENT else ""
    feature = "voice" if kind == Kind.FEATURE_RETIREMENT else ""
    row = service_notices.draft(operator, notice(Kind(kind), days - 0.01, now, slug, feature=feature))
    with pytest.raises(Refused, match="too_soon"):
        service_notices.publish(second, row.pk, now)
    with pytest.raises(IntegrityError), transaction.atomic():
        ServiceNotice.objects.filter(pk=row.pk).update(published_at=now)
    ServiceNotice.objects.filter(pk=row.pk).update(takes_effect_at=now + DAY * days)
    assert service_notices.publish(second, row.pk, now).readable_until == now + DAY * (days + 30)


def test_operators_may_only_ask_for_more_time(settings: Any) -> None:
    settings.NOTICE_LEAD_DAYS = {"persona_retirement": 3, "feature_retirement": 60}
    settings.NOTICE_READING_DAYS = 1
    assert service_notices.lead("persona_retirement") == DAY * 30
    assert service_notices.lead("feature_retirement") == DAY * 60
    assert service_notices.reading() == DAY * 30


def test_no_built_in_companion_is_retired_without_a_notice(
    companions: None, operator: User, now: dt.datetime
) -> None:
    whale = Persona.objects.filter(slug="whale")
    with pytest.raises(IntegrityError), transaction.atomic():
        whale.update(state="retired")
    row = retiring(operator, now, "whale")
    for wrong in (
        ServiceNotice(
            kind=Kind.PERSONA_RETIREMENT, persona=whale.get(), takes_effect_at=now - DAY
        ),  # unpublished
        row,  # not due yet
    ):
        with pytest.raises(retirement.NotAnnounced):
            retirement.retire(wrong, now)
    ServiceNotice.objects.filter(pk=row.pk).update(withdrawn_at=now)
    assert service_notices.carry_out(now + DAY * 31) == 0
    assert whale.get().state == "published"


def test_what_is_due_happens_once_and_the_conversation_stays(
    companions: None, operator: User, adult: User, now: dt.datetime
) -> None:
    session = sign_in(adult)
    conversation = open_conversation(adult, session)
    row = retiring(operator, now)
    assert service_notices.carry_out(row.takes_effect_at - dt.timedelta(seconds=1)) == 0
    assert service_notices.carry_out(row.takes_effect_at) == 1
    assert service_notices.carry_out(row.takes_effect_at + DAY) == 0
    persona = Persona.objects.get(slug="botanist")
    assert (persona.state, persona.retired_by_id) == ("retired", row.pk)
    assert AuditEntry.objects.filter(action="persona.retired").count() == 1
    client = Client()
    client.force_login(adult)
    chat = client.get(f"/chats/{conversation.public_id}/")
    assert chat.status_code == 200
    assert "has ended, as announced" in chat.content.decode()
    from companion import access

    actor = access.load_actor(adult.pk, session, now)
    refused = say(actor, conversation, "还在吗", uuid.uuid4()).refusal
    assert refused is not None and refused.code == "retired"


def test_a_feature_and_the_service_end_by_switches(
    companions: None, operator: User, second: User, now: dt.datetime
) -> None:
    announced(operator, notice(Kind.FEATURE_RETIREMENT, 14, now, feature="written_personas"), now)
    row = service_notices.draft(operator, notice(Kind.END_OF_SERVICE, 30, now))
    with pytest.raises(Refused, match="same_person"):
        service_notices.publish(operator, row.pk, now)
    with pytest.raises(IntegrityError), transaction.atomic():
        ServiceNotice.objects.filter(pk=row.pk).update(published_at=now, published_by=operator)
    service_notices.publish(second, row.pk, now)
    service_notices.carry_out(now + DAY * 15)
    assert [name for name in switches.Name if switches.off(name)] == ["written_personas"]
    service_notices.carry_out(now + DAY * 31)
    assert {name for name in switches.Name if switches.off(name)} == {
        "written_personas",
        "sign_ups",
        "personas",
    }


def test_a_harmful_companion_is_taken_away_at_once_and_its_people_are_told(
    companions: None, operator: User, moderator: User, adult: User, outsider: User, now: dt.datetime
) -> None:
    conversation = open_conversation(adult, sign_in(adult))
    writing = Message.objects.create(conversation=conversation, author="ai", state="streaming")
    persona = Persona.objects.get(slug="botanist")
    with pytest.raises(retirement.NotPossible):
        retirement.remove(moderator, persona.pk, "harmful", now)
    with pytest.raises(retirement.NotPossible):
        retirement.remove(operator, persona.pk, "", now)
    retirement.remove(operator, persona.pk, "harmful", now)
    with pytest.raises(retirement.NotPossible):
        retirement.remove(operator, persona.pk, "harmful", now)
    writing.refresh_from_db()
    assert writing.stop_requested
    entry = AuditEntry.objects.get(action="persona.removed")
    assert (entry.actor, entry.data["why"]) == (operator.pk, "harmful")
    assert "no longer here" in page(adult)
    assert "no longer here" not in page(outsider)
    assert "could have led people to harm" in page(adult, "/notices/")


def test_what_an_author_deletes_is_told_to_the_others(
    companions: None, adult: User, outsider: User, moderator: User, now: dt.datetime
) -> None:
    from companion import authoring
    from tests.companion.written import policy_of

    persona = published(outsider, moderator)
    open_conversation(adult, sign_in(adult), persona.slug)
    authoring.delete(policy_of(outsider), persona)
    assert "has deleted it" in page(adult, "/notices/")
    mine = written(outsider)
    open_conversation(outsider, sign_in(outsider), mine.slug)
    authoring.delete(policy_of(outsider), mine)
    assert ServiceNotice.objects.count() == 1  # nobody else had talked with that one


# --- seen by those whom it concerns --------------------------------------------------------------------------


def test_the_banner_is_for_those_who_talked_with_it_and_its_page_for_everybody(
    companions: None, operator: User, adult: User, outsider: User, now: dt.datetime
) -> None:
    open_conversation(adult, sign_in(adult))
    retiring(operator, now)
    assert "In 30 days." in page(adult) and "/export/" in page(adult)
    assert "In 30 days." not in page(outsider) and "In 30 days." not in page(None)
    assert "In 30 days." in page(outsider, "/companions/botanist/") and "In 30 days." in page(
        None, "/companions/botanist/"
    )
    assert "In 30 days." not in page(None, "/companions/whale/")


@pytest.mark.parametrize(
    ("zone", "at", "now", "said"),
    [
        # 00:30 in Shanghai is the day before in UTC and in New York.
        ("Asia/Shanghai", "2026-12-10T16:30+00:00", "2026-12-10T15:59+00:00", "Tomorrow."),
        ("Asia/Shanghai", "2026-12-10T16:30+00:00", "2026-12-10T16:01+00:00", "Today."),
        ("UTC", "2026-12-10T16:30+00:00", "2026-12-10T15:59+00:00", "Today."),
        ("America/New_York", "2026-12-10T16:30+00:00", "2026-11-26T04:59+00:00", "In 15 days."),
        ("America/New_York", "2026-12-10T16:30+00:00", "2026-11-26T05:01+00:00", "In 14 days."),
        # A night of 25 hours (1 November 2026) is one day.
        ("America/New_York", "2026-11-02T04:30+00:00", "2026-10-31T16:00+00:00", "Tomorrow."),
    ],
)
def test_days_are_counted_by_the_calendar_of_the_person(zone: str, at: str, now: str, said: str) -> None:
    row = ServiceNotice(
        kind=Kind.CHANGE,
        takes_effect_at=dt.datetime.fromisoformat(at),
        published_at=dt.datetime.fromisoformat(now),
    )
    assert service_notices.show(row, "en", zone, dt.datetime.fromisoformat(now)).when == said


def test_the_inbox_shows_what_concerns_me_and_opening_it_is_seeing(
    companions: None, operator: User, adult: User, now: dt.datetime
) -> None:
    retiring(operator, now)  # nobody talked with it
    announced(operator, notice(Kind.CHANGE, 7, now, title_en="New terms"), now)
    service_notices.draft(operator, notice(Kind.CHANGE, 9, now, title_en="A secret plan"))
    client = Client()
    client.force_login(adult)
    assert service_notices.unseen(adult)
    assert client.head("/notices/").status_code == 200 and service_notices.unseen(adult)
    shown = client.get("/notices/").content.decode()
    assert "New terms" in shown and "Something ends" not in shown and "A secret plan" not in shown
    assert not service_notices.unseen(adult)
    client.get("/notices/")
    assert ServiceNoticeSeen.objects.count() == 1
    assert client.post("/notices/").status_code == 405
    assert Client().get("/notices/").status_code == 302


def test_a_banner_put_away_comes_back_for_the_last_days(
    companions: None, operator: User, adult: User, outsider: User, now: dt.datetime
) -> None:
    open_conversation(adult, sign_in(adult))
    row = retiring(operator, now)
    client = Client()
    client.force_login(adult)
    url = f"/notices/{row.public_id}/dismiss/"
    assert client.get(url).status_code == 405
    assert client.post(url, {"next": "https://evil.example/"}).url == "/notices/"
    assert service_notices.banners(adult, "en", now) == []
    assert service_notices.banners(adult, "en", row.takes_effect_at - DAY * 2) != []
    client.force_login(outsider)
    assert client.post(url).status_code == 404  # nothing to do with them
    assert client.post(f"/notices/{uuid.uuid4()}/dismiss/").status_code == 404
    assert Client().post(url).status_code == 302


def test_an_outage_is_told_at_once_to_everybody_until_it_is_over(
    companions: None, operator: User, adult: User, now: dt.datetime
) -> None:
    row = announced(operator, notice(Kind.OUTAGE, 5, now, title_en="Replies are slow"), now)
    assert row.takes_effect_at == now
    assert "Replies are slow" in page(adult) and "Replies are slow" in page(None)
    assert not service_notices.dismiss(adult, row.public_id, now) or "Replies are slow" in page(adult)
    service_notices.resolve(operator, row.pk, now)
    assert "Replies are slow" not in page(adult)
    with pytest.raises(Refused, match="gone"):
        service_notices.resolve(operator, row.pk, now)


def test_pages_ask_the_database_nothing_while_nothing_is_announced(
    adult: User, now: dt.datetime, django_assert_num_queries: Any
) -> None:
    service_notices._public.get()
    with django_assert_num_queries(0):
        assert service_notices.banners(adult, "en", now) == []
        assert not service_notices.unseen(adult)


# --- mail ----------------------------------------------------------------------------------------------------


def test_everybody_concerned_is_mailed_once_in_their_language_without_the_name(
    companions: None,
    operator: User,
    adult: User,
    elder: User,
    outsider: User,
    now: dt.datetime,
    monkeypatch: Any,
) -> None:
    for person in (adult, elder):
        open_conversation(person, sign_in(person))
    retiring(operator, now)
    monkeypatch.setattr(service_mail, "ENROLMENT", 1)
    monkeypatch.setattr(service_mail, "BATCH", 1)
    service_mail.enrol(now)
    assert service_mail.send(now) == 2
    service_mail.enrol(now)
    assert service_mail.send(now + DAY) == 0
    assert {tuple(each.to) for each in mail.outbox} == {(adult.email,), (elder.email,)}
    english = next(each for each in mail.outbox if each.to == [adult.email])
    assert "/export/" in english.body and "/notices/" in english.body
    assert all("Something ends" not in str(each.message()) for each in mail.outbox)
    name = Persona.objects.get(slug="botanist")
    from companion import portrayal

    assert portrayal.face(name, "en").name not in english.body + english.subject


def test_nobody_who_left_today_is_mailed_before_the_day_is_over_unless_time_is_short(
    companions: None, operator: User, second: User, adult: User, now: dt.datetime
) -> None:
    conversation = open_conversation(adult, sign_in(adult))
    Departure.objects.create(user=adult, conversation=conversation.public_id, how="button", left_at=now)
    row = retiring(operator, now)
    service_mail.enrol(now)
    assert service_mail.send(now) == 0
    waiting = ServiceNoticeMail.objects.get(notice=row)
    assert (waiting.next_at, waiting.attempts) == (now + DAY, 0)
    # Whoever leaves every day is told in the last week all the same.
    later = row.takes_effect_at - DAY * 6
    Departure.objects.update(left_at=later)
    assert service_mail.send(later) == 1
    # The end of everything does not wait.
    Departure.objects.update(left_at=now)
    ending = service_notices.draft(operator, notice(Kind.END_OF_SERVICE, 30, now))
    service_notices.publish(second, ending.pk, now)
    service_mail.enrol(now)
    service_mail.send(now)
    assert ServiceNoticeMail.objects.get(notice=ending, user=adult).sent_at is not None


def test_a_mail_that_fails_is_tried_again_and_given_up_in_the_end(
    companions: None, operator: User, adult: User, now: dt.datetime, monkeypatch: Any
) -> None:
    open_conversation(adult, sign_in(adult))
    row = retiring(operator, now)
    service_mail.enrol(now)

    def refuse(self: Any) -> int:
        raise smtplib.SMTPServerDisconnected

    with monkeypatch.context() as patch:
        patch.setattr(service_mail.EmailMessage, "send", refuse)
        assert service_mail.send(now) == 0
    again = ServiceNoticeMail.objects.get(notice=row)
    assert again.next_at == now + service_mail.PAUSE
    assert service_mail.send(now + dt.timedelta(minutes=9)) == 0
    assert service_mail.send(now + dt.timedelta(minutes=11)) == 1
    ServiceNoticeMail.objects.update(sent_at=None, next_at=now, attempts=service_mail.ATTEMPTS - 1)
    monkeypatch.setattr(service_mail.EmailMessage, "send", refuse)
    service_mail.send(now)
    assert ServiceNoticeMail.objects.get(notice=row).next_at is None


def test_a_claimed_mail_is_nobody_elses(
    companions: None, operator: User, adult: User, now: dt.datetime
) -> None:
    open_conversation(adult, sign_in(adult))
    retiring(operator, now)
    service_mail.enrol(now)
    assert len(service_mail._claim(now)) == 1
    assert service_mail._claim(now) == []
    assert len(service_mail._claim(now + service_mail.LEASE)) == 1  # its worker died


# --- staff pages ---------------------------------------------------------------------------------------------


def form(now: dt.datetime, days: int, **more: str) -> dict[str, str]:
    at = timezone.localtime(now + DAY * days)
    return {
        "kind": "persona_retirement",
        "persona": "botanist",
        "takes_effect_at_0": f"{at:%Y-%m-%d}",
        "takes_effect_at_1": f"{at:%H:%M:%S}",
        "title_zh": "小满下线",
        "title_en": "Botanist ends",
        "text_zh": "我们不再提供它。",
        "text_en": "We no longer offer it.",
    } | more


def test_an_operator_drafts_and_publishes_and_the_page_refuses_what_is_too_soon(
    companions: None, operator: User, adult: User, now: dt.datetime
) -> None:
    operator.time_zone = "Asia/Shanghai"
    client = Client()
    client.force_login(operator)
    assert "At least 30 days" in client.post(f"{ADMIN}draft/", form(now, 29)).content.decode()
    assert client.post(f"{ADMIN}draft/", form(now, 32, text_en="Stay with me!")).status_code == 200
    assert not ServiceNotice.objects.exists()
    answer = client.post(f"{ADMIN}draft/", form(now, 32))
    row = ServiceNotice.objects.get()
    assert answer.url == f"{ADMIN}{row.pk}/act/"
    assert "It concerns 0 people." in client.get(answer.url).content.decode()
    client.post(answer.url, {"publish": "1"})
    row.refresh_from_db()
    assert row.published_by == operator
    client.post(answer.url, {"withdraw": "1"})
    row.refresh_from_db()
    assert row.withdrawn_at is not None
    actions = AuditEntry.objects.filter(action__startswith="service_notice.").values_list("action", flat=True)
    assert sorted(actions) == [f"service_notice.{what}" for what in ("drafted", "published", "withdrawn")]
    assert client.get(ADMIN).status_code == 200
    assert client.delete(f"{ADMIN}{row.pk}/act/").status_code == 405
    assert client.get(f"{ADMIN}{row.pk}/change/").status_code == 404


@pytest.mark.parametrize("who", ["adult", "moderator", "nobody"])
def test_nobody_else_announces_or_removes_anything(
    companions: None, who: str, request: pytest.FixtureRequest, operator: User, now: dt.datetime
) -> None:
    row = service_notices.draft(operator, notice(Kind.OUTAGE, 0, now))
    client = Client()
    if who != "nobody":
        client.force_login(request.getfixturevalue(who))
    for path, data in (
        ("", {}),
        ("draft/", form(now, 40)),
        ("remove/", {"persona": "botanist", "why": "harmful", "confirm": "on"}),
        (f"{row.pk}/act/", {"publish": "1"}),
    ):
        assert client.get(f"{ADMIN}{path}").status_code in (302, 403)
        assert client.post(f"{ADMIN}{path}", data).status_code in (302, 403)
    row.refresh_from_db()
    assert row.published_at is None and ServiceNotice.objects.count() == 1
    assert Persona.objects.get(slug="botanist").state == "published"
    if who != "nobody":
        with pytest.raises(Refused, match="not_operator"):
            service_notices.publish(request.getfixturevalue(who), row.pk, now)


def test_an_operator_removes_by_the_page(companions: None, operator: User) -> None:
    client = Client()
    client.force_login(operator)
    assert (
        client.post(f"{ADMIN}remove/", {"persona": "botanist", "why": "", "confirm": "on"}).status_code == 200
    )
    client.post(f"{ADMIN}remove/", {"persona": "botanist", "why": "harmful", "confirm": "on"})
    assert Persona.objects.get(slug="botanist").state == "retired"
    assert Conversation.objects.count() == 0
