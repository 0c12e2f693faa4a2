"""Notices to guardians and contacts outside of a case: they arrive once, say no topic, and never wait before a danger."""

import datetime as dt
import itertools
import json
import re
import uuid
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.care import ContactDetails
from accounts.models import Event, User
from guardians import access
from guardians.access import Right, Role
from guardians.models import EmergencyContact, Guardianship
from safety import alert_texts, care_notices, cases, invariants, outbox, recipients
from safety.alert_texts import SHORT_AT_MOST
from safety.care_notices import Kind
from safety.models import CareNotice, Delivery, OperationsAlert
from safety.recipients import Reach
from tests.cast import PASSWORD
from tests.providers import Gateway, MailHost, PushBrowser, gateway, mail_host, vapid
from tests.safety.test_cases import signal

__all__ = ["gateway", "mail_host", "vapid"]
pytestmark = pytest.mark.django_db(transaction=True)

State, Channel = Delivery.State, Delivery.Channel
HOUR = dt.timedelta(hours=1)
FIGURES: dict[str, dict[str, int | str]] = {
    Kind.TIME_REQUEST: {"minutes": 30},
    Kind.SPENDING: {"amount": "30.00", "currency": "CNY"},
}
TO_CONTACTS = (Kind.CONTACT_ASK, Kind.CONTACT_TEST)
TOPIC = r"suicid|kill|\bdie\b|danger|depress|死|自杀|危险|抑郁"


FIRST, SECOND = (f"request:{uuid.uuid4()}" for _ in range(2))


def tell(minor: User, kind: Kind = Kind.TIME_REQUEST, about: str = FIRST, **more: Any) -> CareNotice:
    whom = care_notices.guardian_recipients(minor)
    figures = {**FIGURES.get(kind, {}), **more}
    return care_notices.tell(kind, minor, about, whom, timezone.now(), **figures)


def over(about: str) -> None:
    with transaction.atomic():
        care_notices.over(about, timezone.now())


def events(user: User) -> list[Any]:
    return list(Event.objects.filter(user_id=user.pk, kind="alert.raised").values_list("data", flat=True))


def test_a_guardian_is_told_on_the_page_and_by_mail_once(
    minor: User, guardian: User, mail_host: MailHost
) -> None:
    notice = tell(minor)
    outbox.dispatch("a")
    outbox.dispatch("b")
    assert events(guardian) == [{"care": str(notice.pk), "kind": "time_request"}]
    (message,) = mail_host.taken
    assert message["To"] == guardian.email
    mail = notice.deliveries.get(channel="email")
    assert mail.state == State.ACCEPTED and mail_host.ids == [f"<{outbox.message_key(mail)}>"]
    assert set(notice.deliveries.values_list("level", flat=True)) == {0}
    assert not events(minor) and not OperationsAlert.objects.exists()


def test_it_says_the_figure_and_leads_to_a_page(minor: User, guardian: User) -> None:
    notice = tell(minor, minutes=45)
    row = Delivery.objects.get(care=notice, channel="email")
    text = alert_texts.compose(row, Reach(language="en"), link=care_notices.link(row)).text
    assert "45 more minutes" in text and "(Minor)" in text
    assert reverse("time_request", args=[FIRST.partition(":")[2]]) in text


def test_whoever_may_not_see_the_panel_is_not_led_to_it(minor: User, guardian: User) -> None:
    link = Guardianship.objects.get(minor=minor)
    row = Delivery(care=tell(minor, Kind.MODE), template="care", recipient=f"guardian:{guardian.pk}")
    assert f"{reverse('panel', args=[minor.pk])}#settings" in care_notices.link(row)
    access.give(link, Role.ALERTS)
    assert care_notices.link(row).endswith(reverse("wards"))
    assert care_notices.guardian_recipients(minor, Right.EDIT) == []
    assert care_notices.guardian_recipients(minor) == [f"guardian:{guardian.pk}"]


def test_what_is_over_is_not_sent(minor: User, guardian: User, mail_host: MailHost) -> None:
    tell(minor)
    tell(minor, about=SECOND)
    over(FIRST)
    outbox.dispatch("a")
    assert len(events(guardian)) == len(mail_host.taken) == 1
    states = Delivery.objects.filter(care__about=FIRST).values_list("state", "error")
    assert set(states) == {(State.CANCELLED, "over")}


def test_what_ends_after_it_was_claimed_is_not_sent(minor: User, guardian: User, mail_host: MailHost) -> None:
    notice = tell(minor)
    claimed = outbox._claim("a", ["email"], timezone.now())
    assert claimed is not None
    over(FIRST)
    later = timezone.now() + HOUR
    outbox.dispatch("b", later)
    assert mail_host.taken == []
    assert notice.deliveries.get(channel="email").error == "over"


def test_whoever_is_no_guardian_any_more_is_not_told(
    minor: User, guardian: User, mail_host: MailHost
) -> None:
    tell(minor)
    last_words = tell(minor, Kind.GUARDIANS, "link:1")
    Guardianship.objects.filter(minor=minor).update(state=Guardianship.State.ENDED)
    outbox.dispatch("a")
    assert events(guardian) == [{"care": str(last_words.pk), "kind": "guardians"}]
    assert len(mail_host.taken) == 1


def test_a_refusal_of_the_provider_makes_the_next_channel_due_and_climbs_nothing(
    adult: User, mail_host: MailHost, gateway: Gateway, settings: Any
) -> None:
    settings.ALERT_SMS_URL, settings.ALERT_SMS_SECRET = gateway.url, "s"
    contact = EmergencyContact.objects.get(user=adult)
    notice = care_notices.tell(
        Kind.CONTACT_ASK, adult, f"contact:{contact.pk}", [f"contact:{contact.pk}"], timezone.now()
    )
    assert [row.channel for row in notice.deliveries.all()] == ["email"]
    mail_host.answer = "550 no such address"
    outbox.dispatch("a")
    states = dict(notice.deliveries.values_list("channel", "state"))
    assert states == {"email": State.FAILED, "sms": State.ACCEPTED}
    words = json.loads(gateway.taken[0][1])["text"]
    assert "/emergency-contact/" in words.rpartition(" ")[2]
    assert not OperationsAlert.objects.exists()


def test_a_provider_that_is_away_is_tried_again_and_given_up_after_a_day(
    minor: User, guardian: User, mail_host: MailHost
) -> None:
    notice, now = tell(minor), timezone.now()
    mail_host.answer = "451 later"
    outbox.dispatch("a", now)
    row = notice.deliveries.get(channel="email")
    assert (row.state, row.failures) == (State.PENDING, 1)
    outbox.dispatch("a", now + 25 * HOUR)
    row.refresh_from_db()
    assert row.state == State.FAILED


def test_a_contact_who_refused_or_is_unsafe_is_not_told(adult: User, mail_host: MailHost) -> None:
    contact = EmergencyContact.objects.get(user=adult)
    name = f"contact:{contact.pk}"
    for state in (EmergencyContact.State.REFUSED, EmergencyContact.State.UNSAFE):
        EmergencyContact.objects.filter(pk=contact.pk).update(state=EmergencyContact.State.GIVEN)
        notice = care_notices.tell(Kind.CONTACT_TEST, adult, name, [name], timezone.now())
        EmergencyContact.objects.filter(pk=contact.pk).update(state=state)
        outbox.dispatch("a")
        assert {row.error for row in notice.deliveries.all()} == {"unreachable"}
    assert mail_host.taken == []


def test_a_danger_goes_first_and_never_waits_for_a_sender(
    minor: User, guardian: User, moderator: User, mail_host: MailHost
) -> None:
    for number in range(outbox.SENDERS_PER_CHANNEL + 2):
        tell(minor, about=f"request:{uuid.UUID(int=number)}")
    mail_host.answer = "hang"
    dispatcher = outbox.Dispatcher("a")
    dispatcher.step()
    busy = [job.delivery for job in dispatcher._jobs]
    assert len(busy) == outbox.SENDERS_PER_CHANNEL - outbox.KEPT_FREE and not any(row.case_id for row in busy)
    case = signal(minor, 4)
    Delivery.objects.create(
        case=case, template="staff", level=4, channel="email", recipient=f"staff:{moderator.pk}"
    )
    dispatcher.step()
    assert [job.delivery.case_id for job in dispatcher._jobs][-1] == case.pk
    mail_host.go_on.set()
    while dispatcher.busy:
        dispatcher.wait(5)
        dispatcher.step(claim=False)


def test_the_watch_over_cases_does_not_mistake_them(minor: User, guardian: User, mail_host: MailHost) -> None:
    tell(minor)
    mail_host.answer = "550 no"
    outbox.dispatch("a")
    found = invariants.violations(timezone.now() + 2 * HOUR)
    assert not [name for name in found if name.startswith(("delivery", "case", "assessment"))]


def test_no_words_and_no_missing_figures(minor: User) -> None:
    with pytest.raises(ValueError):
        care_notices.tell(Kind.TIME_REQUEST, minor, FIRST, [], timezone.now())
    with pytest.raises(ValueError):
        tell(minor, minutes="please, half an hour")
    assert not CareNotice.objects.exists()


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_text_composes_and_names_no_topic(adult: User, minor: User, language: str) -> None:
    contact = EmergencyContact.objects.get(user=adult)
    changes = ("", "on", "off", "asked", "unheard-of")
    for kind, channel, change in itertools.product(Kind, ("email", "sms", "push"), changes):
        person = adult if kind in TO_CONTACTS else minor
        whom = f"contact:{contact.pk}" if kind in TO_CONTACTS else f"guardian:{uuid.uuid4()}"
        notice = CareNotice(user=person, kind=kind, about="x:1", data={**FIGURES.get(kind, {})})
        if change:
            notice.data["change"] = change
        row = Delivery(care=notice, template="care", channel=channel, recipient=whom)
        told = alert_texts.compose(
            row, Reach("Lin", "x@example.org", language=language), link="https://a.b/c"
        )
        assert "{" not in told.subject + told.text + told.short
        assert not re.search(TOPIC, told.subject + told.short, re.I)
        short = told.short.removesuffix(" https://a.b/c")
        assert len(short) <= SHORT_AT_MOST[language[:2]], (kind, short)
        assert (short != told.short) == (channel == "sms" and kind in TO_CONTACTS)
        assert "https://a.b/c" in told.text and 'href="https://a.b/c"' in told.html
        assert person.email not in told.text + told.html
        assert bool(re.search(r"[\u4e00-\u9fff]", told.text)) == (language != "en")


def test_a_guardian_of_somebody_in_danger_sees_it_on_the_open_page(
    minor: User, guardian: User, moderator: User, mail_host: MailHost
) -> None:
    case = signal(minor, 4)
    cases.tell_contact_now(case.pk, moderator, f"guardian:{guardian.pk}", timezone.now())
    outbox.dispatch("a")
    assert {"case": case.pk, "level": 4} in events(guardian)
    assert [message["To"] for message in mail_host.taken] == [guardian.email]


def test_the_number_that_a_minor_gave_serves_in_danger_and_for_nothing_else(
    minor: User, guardian: User, moderator: User, settings: Any
) -> None:
    settings.ALERT_SMS_URL = settings.ALERT_VOICE_URL = "https://gateway.example/"
    link = Guardianship.objects.get(minor=minor)
    details = ContactDetails("Zhou Lan", "mother", email=guardian.email, phone="+8613800138000")
    Guardianship.objects.update(details=details.seal(minor.pk, "guardianship.details", link.pk))
    case = signal(minor, 4)
    cases.tell_contact_now(case.pk, moderator, f"guardian:{guardian.pk}", timezone.now())
    assert set(case.deliveries.filter(template="near").values_list("channel", flat=True)) == {
        Channel.SMS,
        Channel.EMAIL,
        Channel.IN_APP,
    }
    told = tell(minor)
    assert set(told.deliveries.values_list("channel", flat=True)) == {Channel.EMAIL, Channel.IN_APP}
    Guardianship.objects.update(details=b"unreadable")
    reach = recipients.reach(f"guardian:{guardian.pk}")
    assert reach is not None and reach.email == guardian.email and reach.phone == ""
    Guardianship.objects.update(details=details.seal(minor.pk, "guardianship.details", link.pk))
    Guardianship.objects.update(state=Guardianship.State.ENDED)
    reach = recipients.reach(f"guardian:{guardian.pk}")
    assert reach is not None and reach.phone == ""


def test_a_guardians_device_rings_for_a_danger_and_for_a_request(
    minor: User, guardian: User, moderator: User, mail_host: MailHost, gateway: Gateway, vapid: None
) -> None:
    browser = PushBrowser(gateway.url + "push/1")
    client = Client()
    client.post("/accounts/login/", {"login": guardian.email, "password": PASSWORD})
    kept = client.post("/push/", json.dumps(browser.subscription), content_type="application/json")
    assert kept.status_code == 204
    tell(minor)
    case = signal(minor, 4)
    cases.tell_contact_now(case.pk, moderator, f"guardian:{guardian.pk}", timezone.now())
    outbox.dispatch("a")
    rung = {told["title"]: told for told in (browser.read(body) for _headers, body in gateway.taken)}
    assert set(rung) == {
        "Anban: a request for more time today",
        f"Anban: please get in touch now ({case.number})",
    }
    request = rung["Anban: a request for more time today"]
    assert (
        request["url"] == reverse("time_request", args=[FIRST.partition(":")[2]]) and "30" in request["body"]
    )
    gateway.taken.clear()
    assert client.post("/push/test/", content_type="application/json").status_code == 200
    assert browser.read(gateway.taken[0][1])["url"] == reverse("wards")
