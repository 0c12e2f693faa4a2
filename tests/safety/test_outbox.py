"""The outbox: nothing lost, nothing twice on a page, and no row that stops the others."""

import datetime as dt
import logging
import uuid
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEntry, Event, User
from devstack.supervisor import free_port
from safety import cases, escalation, outbox, outcomes
from safety.cases import Category
from safety.models import CaseEvent, CrisisCase, Delivery, DeliveryAttempt, OperationsAlert
from tests.providers import Gateway, MailHost, gateway, mail_host, second_host
from tests.safety.test_cases import signal, verdict

__all__ = ["gateway", "mail_host", "second_host"]
pytestmark = pytest.mark.django_db(transaction=True)

State = Delivery.State
SECOND = dt.timedelta(seconds=1)


def climbed(user: User, level: int = 4) -> tuple[CrisisCase, dt.datetime]:
    """A case whose second rung has just been climbed: pages were told, mails are due at the returned time."""
    case = signal(user, level)
    outbox.dispatch("first")
    case.refresh_from_db()
    assert case.climb_due_at is not None
    now = case.climb_due_at
    escalation.sweep(now)
    case.refresh_from_db()
    return case, now


def close(case: CrisisCase, staff: User) -> None:
    reason, outcome = CrisisCase.CloseReason.SAFE, CrisisCase.Outcome.NONE
    cases.close(case.pk, staff, timezone.now(), reason=reason, outcome=outcome)


def events(user: User) -> list[Any]:
    return list(Event.objects.filter(user_id=user.pk, kind="alert.raised").values_list("data", flat=True))


def one(**which: Any) -> Delivery:
    return Delivery.objects.get(**which)


def test_a_notice_stands_on_the_page_of_everybody_on_duty_once(adult: User, moderator: User) -> None:
    case = signal(adult, 4)
    assert [outbox.dispatch("a"), outbox.dispatch("b")] == [1, 0]
    case.refresh_from_db()
    assert one().state == State.ACCEPTED and case.first_notice_at is not None
    assert events(moderator) == [{"case": case.pk, "level": 4}]


def test_mail_goes_out_with_the_key_of_its_row(adult: User, moderator: User, mail_host: MailHost) -> None:
    case, now = climbed(adult)
    outbox.dispatch("a", now)
    row = one(channel="email")
    assert mail_host.ids == [f"<{outbox.message_key(row)}>"]
    assert row.state == State.ACCEPTED and row.attempts.get().result == "accepted"
    assert mail_host.taken[0]["Auto-Submitted"] == "auto-generated"
    assert case.number in str(mail_host.taken[0]["Subject"])


def test_a_frozen_dispatcher_that_wakes_up_late_changes_nothing(
    adult: User, moderator: User, mail_host: MailHost, settings: Any
) -> None:
    _, now = climbed(adult)
    frozen = outbox.Dispatcher("frozen")
    mail_host.answer = "hang"
    frozen.step(now)
    assert mail_host.seen.wait(10)
    mail_host.answer = "250"
    thawed = now + dt.timedelta(seconds=3 * settings.ALERT_LEASE)
    outbox.dispatch("other", thawed)
    after = Delivery.objects.values().get(channel="email")
    assert (after["owner"], after["attempt_no"], after["state"]) == ("other", 2, State.ACCEPTED)
    mail_host.go_on.set()
    while frozen.busy:
        frozen.wait(1)
        frozen.step(thawed + SECOND, claim=False)
    assert Delivery.objects.values().get(channel="email") == after
    assert len(mail_host.ids) == 2 and len(set(mail_host.ids)) == 1
    assert [attempt.attempt_no for attempt in DeliveryAttempt.objects.order_by("pk")] == [1, 2]


def test_a_lease_is_not_taken_before_it_ends(adult: User, moderator: User, settings: Any) -> None:
    _, now = climbed(adult)
    assert outbox._claim("a", ["email"], now) is not None
    lease = dt.timedelta(seconds=settings.ALERT_LEASE)
    assert outbox._claim("b", ["email"], now + lease - SECOND) is None
    second = outbox._claim("b", ["email"], now + lease + SECOND)
    assert second is not None and second.attempt_no == 2


class Died(BaseException):
    """As kill -9: nothing after it runs."""


@pytest.mark.parametrize("point", ["after_claim", "after_started", "before_result_commit", "after_result"])
def test_whoever_dies_on_the_way_leaves_a_mail_that_is_sent(
    point: str, adult: User, moderator: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, now = climbed(adult)

    def die(at: str) -> None:
        if at == point:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "crash_at", die)
        patch.setattr(outcomes, "crash_at", die)
        with pytest.raises(Died):
            outbox.dispatch("dead", now)
    after = now + dt.timedelta(seconds=settings.ALERT_LEASE) + SECOND
    outbox.dispatch("alive", after)
    assert one(channel="email").state == State.ACCEPTED
    sent = [message.extra_headers["Message-ID"] for message in mail.outbox]
    assert len(set(sent)) == 1 and len(sent) <= 2


@pytest.mark.parametrize("point", ["before_in_app_commit", "after_in_app"])
def test_whoever_dies_on_the_way_shows_a_notice_exactly_once(
    point: str, adult: User, moderator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal(adult, 4)

    def die(at: str) -> None:
        if at == point:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "crash_at", die)
        patch.setattr(outcomes, "crash_at", die)
        with pytest.raises(Died):
            outbox.dispatch("dead")
    assert len(events(moderator)) == (point == "after_in_app")
    outbox.dispatch("alive")
    assert len(events(moderator)) == 1 and one().state == State.ACCEPTED


def test_temporary_failures_are_tried_again_for_as_long_as_the_case_is_open(
    adult: User, moderator: User, mail_host: MailHost
) -> None:
    _, now = climbed(adult)
    mail_host.answer = "421 later"
    pauses = []
    for _ in range(6):
        outbox.dispatch("a", now)
        row = one(channel="email")
        assert (row.state, row.error) == (State.PENDING, "smtp.421")
        pauses.append((row.next_at - now).total_seconds())
        now = row.next_at
    assert pauses == [5, 15, 30, 60, 60, 60]
    mail_host.answer = "250"
    outbox.dispatch("a", now - SECOND)
    assert not mail_host.taken
    outbox.dispatch("a", now)
    assert one(channel="email").state == State.ACCEPTED and len(mail_host.taken) == 1


def test_a_failing_channel_is_joined_by_the_next_one_of_the_same_person(
    adult: User, moderator: User, mail_host: MailHost, second_host: MailHost, gateway: Gateway, settings: Any
) -> None:
    settings.ALERT_VOICE_URL, settings.ALERT_VOICE_SECRET = gateway.url, "s"
    case, now = climbed(adult)
    Delivery.objects.filter(rung=2).delete()
    assert case.contact_due_at is not None
    escalation.sweep(case.contact_due_at)
    now = case.contact_due_at
    near = Delivery.objects.filter(template="near")
    assert set(near.values_list("channel", flat=True)) == {"email", "voice"}
    mail_host.answer, gateway.status = "550 nobody", 503
    outbox.dispatch("a", now)
    assert {row.channel: row.state for row in near} == {
        "email": State.FAILED,
        "voice": State.PENDING,
        "email_2": State.ACCEPTED,
    }
    assert not CaseEvent.objects.filter(kind="recipient_unreachable").exists()


def test_two_temporary_failures_bring_the_next_channel_too(
    adult: User, moderator: User, mail_host: MailHost, second_host: MailHost, gateway: Gateway, settings: Any
) -> None:
    settings.ALERT_VOICE_URL, settings.ALERT_VOICE_SECRET = gateway.url, "s"
    case = signal(adult, 4)
    assert case.contact_due_at is not None
    now = case.contact_due_at
    escalation.sweep(now)
    near = Delivery.objects.filter(template="near")
    gateway.status = 503
    outbox.dispatch("a", now)
    assert "email_2" not in near.values_list("channel", flat=True)
    outbox.dispatch("a", now + 5 * SECOND)
    assert near.get(channel="email_2").state == State.ACCEPTED
    assert near.get(channel="voice").state == State.PENDING


def test_somebody_who_cannot_be_reached_brings_the_next_person_at_once(
    adult: User, moderator: User, mail_host: MailHost
) -> None:
    case, now = climbed(adult)
    assert case.climb_due_at is not None and case.climb_due_at > now
    mail_host.answer = "550 nobody"
    outbox.dispatch("a", now)
    case.refresh_from_db()
    assert one(channel="email").state == State.FAILED
    assert case.climb_due_at == case.next_due_at == now
    assert case.events.filter(kind="recipient_unreachable").count() == 1


def test_ten_broken_rows_are_set_aside_and_a_hundred_arrive_in_time(
    adult: User, moderator: User, settings: Any
) -> None:
    case, now = climbed(adult)
    settings.ALERT_ON_CALL = ["a\nb@example.org", "x" * 2**21 + "@example.org"]
    staff = f"staff:{moderator.pk}"
    kinds = [("staff", staff)] * 100 + [("nonsense", staff)] * 4
    kinds += [("staff", "oncall:0")] * 2 + [("staff", "oncall:1")] * 2 + [("staff", "staff:nobody")] * 2
    Delivery.objects.bulk_create(
        Delivery(
            case=case,
            template=template,
            level=4,
            rung=5,
            round=number,
            channel="email",
            recipient=recipient,
            next_at=now,
        )
        for number, (template, recipient) in enumerate(reversed(kinds))
    )
    rows = Delivery.objects.filter(case=case, rung=5)
    outbox.dispatch("a", now)
    assert rows.filter(state=State.ACCEPTED).count() == 100
    outbox.dispatch("a", now + 5 * SECOND)
    assert rows.filter(state=State.QUARANTINED).count() == 10
    assert rows.filter(state=State.ACCEPTED).count() == 100
    assert OperationsAlert.objects.filter(code="delivery.quarantined").count() == 10
    # The alerts themselves go to the same broken addresses, and raise no further ones.
    outbox.dispatch("a", now + 10 * SECOND)
    assert not Delivery.objects.filter(state__in=(State.PENDING, State.LEASED), next_at__lte=now).exists()
    assert OperationsAlert.objects.filter(code="delivery.quarantined").count() == 10


def test_a_closed_case_sends_nothing_more(adult: User, moderator: User, settings: Any) -> None:
    case, now = climbed(adult)
    assert outbox._claim("dead", ["email"], now) is not None
    close(case, moderator)
    outbox.dispatch("a", now + dt.timedelta(seconds=settings.ALERT_LEASE) + SECOND)
    assert (one(channel="email").state, mail.outbox) == (State.CANCELLED, [])


def test_nobody_near_is_told_once_they_may_be_the_danger(adult: User, moderator: User, settings: Any) -> None:
    case = signal(adult, 4)
    assert case.contact_due_at is not None
    now = case.contact_due_at
    escalation.sweep(now)
    assert outbox._claim("dead", ["email"], now) is not None
    cases.withhold_contact(case.pk, moderator, now, reason="unsafe")
    outbox.dispatch("a", now + dt.timedelta(seconds=settings.ALERT_LEASE) + SECOND)
    assert one(template="near").state == State.CANCELLED
    assert not [message for message in mail.outbox if "contact@example.org" in message.to]


def test_who_left_the_team_is_not_told_and_the_ladder_goes_on(adult: User, moderator: User) -> None:
    case = signal(adult, 4)
    User.objects.filter(pk=moderator.pk).update(is_staff=False)
    now = timezone.now()
    outbox.dispatch("a", now)
    case.refresh_from_db()
    assert (one().state, one().error, case.climb_due_at) == (State.CANCELLED, "unreachable", now)
    assert events(moderator) == []


def test_a_hanging_mail_server_does_not_hold_up_pages(
    adult: User, outsider: User, moderator: User, mail_host: MailHost
) -> None:
    _, now = climbed(adult)
    mail_host.answer = "hang"
    dispatcher = outbox.Dispatcher("a")
    dispatcher.step(now)
    assert mail_host.seen.wait(10)
    signal(outsider, 3)
    dispatcher.step(now)
    assert dispatcher.busy and len(events(moderator)) == 2
    mail_host.go_on.set()


def test_a_hang_ends_after_the_time_limit_and_is_tried_again(
    adult: User, moderator: User, mail_host: MailHost, settings: Any
) -> None:
    settings.ALERT_TIMEOUT = 0.2
    _, now = climbed(adult)
    mail_host.answer = "hang"
    outbox.dispatch("a", now)
    row = one(channel="email")
    assert (row.state, row.failures) == (State.PENDING, 1)
    mail_host.answer = "250"
    outbox.dispatch("a", row.next_at)
    assert one(channel="email").state == State.ACCEPTED and len(set(mail_host.ids)) == 1


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        ("421 later", State.PENDING, "smtp.421"),
        ("450 later", State.PENDING, "smtp.450"),
        ("550 nobody", State.FAILED, "smtp.550"),
        ("drop", State.PENDING, "connection"),
    ],
)
def test_what_a_mail_server_says_decides_what_happens(
    answer: str, state: str, error: str, adult: User, moderator: User, mail_host: MailHost
) -> None:
    case, now = climbed(adult)
    mail_host.answer = answer
    outbox.dispatch("a", now)
    row = one(channel="email")
    assert (row.state, row.error) == (state, error)
    case.refresh_from_db()
    assert case.next_due_at is not None


def test_a_mail_server_that_is_away_is_asked_again(
    adult: User, moderator: User, mail_host: MailHost, settings: Any
) -> None:
    _, now = climbed(adult)
    settings.EMAIL_PORT = free_port()
    outbox.dispatch("a", now)
    settings.EMAIL_PORT = mail_host.port
    assert one(channel="email").error == "connection"
    outbox.dispatch("a", now + 5 * SECOND)
    assert one(channel="email").state == State.ACCEPTED


def test_the_second_provider_steps_in_for_a_failing_first_one(
    adult: User, moderator: User, mail_host: MailHost, second_host: MailHost
) -> None:
    _, now = climbed(adult)
    dispatcher = outbox.Dispatcher("a")
    mail_host.answer = "421 later"

    def work(at: dt.datetime) -> None:
        dispatcher.step(at)
        while dispatcher.busy:
            dispatcher.wait(5)
            dispatcher.step(at)

    for later in (0, 5, 20):
        assert len(second_host.taken) < 2
        work(now + later * SECOND)
    assert one(channel="email").state == State.ACCEPTED
    keys = [outbox.message_key(one(channel=channel)) for channel in ("email_2", "email")]
    assert second_host.ids == [f"<{key}>" for key in keys]
    assert OperationsAlert.objects.get(code="channel.failing").subject == "email"


def test_the_gravest_goes_first(adult: User, outsider: User, moderator: User) -> None:
    _, early = climbed(adult, 3)
    _, late = climbed(outsider, 4)
    now = max(early, late)
    first = outbox._claim("a", ["email"], now)
    assert first is not None and first.level == 4


def test_receipts_confirm_or_bring_the_next_person(adult: User, moderator: User) -> None:
    case, now = climbed(adult)
    outbox.dispatch("a", now)
    row = one(channel="email")
    assert outbox.receipt(row.provider_id, arrived=True, now=now)
    assert one(channel="email").state == State.CONFIRMED
    assert outbox.receipt(row.provider_id, arrived=False, now=now)
    case.refresh_from_db()
    assert (one(channel="email").state, case.climb_due_at) == (State.FAILED, now)
    assert not outbox.receipt("", arrived=False, now=now) and not outbox.receipt("x", arrived=False, now=now)


def test_nothing_that_was_written_leaves_with_a_notice(
    adult: User, moderator: User, gateway: Gateway, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = f"canary{uuid.uuid4().hex}"
    settings.ALERT_SMS_URL = settings.ALERT_VOICE_URL = gateway.url
    settings.ALERT_SMS_SECRET = settings.ALERT_VOICE_SECRET = "s"
    settings.ALERT_ON_CALL = ["on-call@example.org", "+15550100"]
    with transaction.atomic():
        case = cases.raise_signal(
            adult,
            message=uuid.uuid4(),
            conversation=uuid.uuid4(),
            verdict=verdict(4),
            category=Category.SELF_HARM,
            text=f"… {canary} …",
        )
    for minute in range(12):
        now = timezone.now() + dt.timedelta(minutes=minute)
        escalation.sweep(now)
        outbox.dispatch("a", now)
    told = {recipient.partition(":")[0] for recipient in case.deliveries.values_list("recipient", flat=True)}
    assert told == {"staff", "contact", "oncall"} and mail.outbox and gateway.taken
    sinks = [message.message().as_string() for message in mail.outbox]
    sinks += [message.body + message.alternatives[0].content for message in mail.outbox]
    sinks += [body.decode() + str(headers) for headers, body in gateway.taken]
    for model in (Event, AuditEntry, CaseEvent, Delivery, DeliveryAttempt, OperationsAlert):
        sinks += [str(row) for row in model.objects.values()]
    sinks.append(caplog.text)
    assert not [sink for sink in sinks if canary in sink]
    # Logs name nobody's address either.
    assert "example.org" not in caplog.text and "+1555" not in caplog.text
