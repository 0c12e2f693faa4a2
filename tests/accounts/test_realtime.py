"""Events are numbered without gaps in the order of commit, and rung for only after it."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from accounts import realtime
from accounts.models import Event
from accounts.realtime import NewEvent
from tests.cast import make_user


@pytest.fixture
def someone(transactional_db):
    return make_user("someone", 29)


@pytest.fixture
def other(transactional_db):
    return make_user("other", 33)


@pytest.fixture
def rung(monkeypatch):
    calls = []
    monkeypatch.setattr(realtime, "ring", lambda user_id, message: calls.append((user_id, message["event"])))
    return calls


@pytest.mark.django_db(transaction=True)
def test_numbers_have_no_gaps_whoever_writes(someone, rung):
    def write(_: int) -> None:
        try:
            with transaction.atomic():
                realtime.emit(someone.pk, NewEvent("a"), NewEvent("b"))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(25)))
    rows = list(Event.objects.filter(user=someone).order_by("id").values_list("seq", "kind"))
    assert sorted(seq for seq, _ in rows) == list(range(1, 51))
    assert realtime.last_event(someone.pk) == 50


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_event_leaves_no_gap_and_rings_nobody(someone, rung):
    with transaction.atomic():
        realtime.emit(someone.pk, NewEvent("lost"))
        transaction.set_rollback(True)
    assert rung == []
    with transaction.atomic():
        assert realtime.emit(someone.pk, NewEvent("kept")) == 1
        assert rung == []
    assert rung == [(someone.pk, 1)]


@pytest.mark.django_db(transaction=True)
def test_replay_gives_only_one_s_own_later_events_in_order(someone, other, rung):
    conversation = uuid.uuid4()
    with transaction.atomic():
        realtime.emit(someone.pk, *(NewEvent(f"k{i}", conversation) for i in range(5)))
        realtime.emit(other.pk, NewEvent("other"))
    assert [event.kind for event in realtime.replay(someone.pk, 2)] == ["k2", "k3", "k4"]
    assert [event.seq for event in realtime.replay(someone.pk, 0)] == [1, 2, 3, 4, 5]


@pytest.mark.django_db(transaction=True)
def test_a_dead_redis_neither_raises_nor_loses_the_event(someone, settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
        }
    }
    with transaction.atomic():
        realtime.emit(someone.pk, NewEvent("kept"))
    assert [event.kind for event in realtime.replay(someone.pk, 0)] == ["kept"]


@pytest.fixture
def rung_together(monkeypatch):
    calls = []
    monkeypatch.setattr(realtime, "ring_many", lambda newest: calls.append(dict(newest)))
    return calls


@pytest.mark.django_db(transaction=True)
def test_events_of_many_people_are_numbered_and_rung_for_like_those_of_one(someone, other, rung_together):
    message, conversation = uuid.uuid4(), uuid.uuid4()
    with transaction.atomic():
        realtime.emit(someone.pk, NewEvent("before"))
        realtime.emit_many(
            {
                someone.pk: [NewEvent("a", conversation, message, {"x": 1}), NewEvent("b")],
                other.pk: [NewEvent("c")],
            }
        )
        assert rung_together == []
    assert rung_together == [{someone.pk: 3, other.pk: 1}]
    rows = Event.objects.filter(user=someone).order_by("seq")
    assert [(row.seq, row.kind) for row in rows] == [(1, "before"), (2, "a"), (3, "b")]
    assert (rows[1].conversation, rows[1].message, rows[1].data) == (conversation, message, {"x": 1})
    assert (rows[2].conversation, rows[2].message, rows[2].data) == (None, None, {})
    assert realtime.last_event(other.pk) == 1


@pytest.mark.django_db(transaction=True)
def test_writers_to_many_people_never_wait_for_each_other_in_a_circle(someone, other, rung_together):
    def write(turn: int) -> None:
        people = [someone.pk, other.pk] if turn % 2 else [other.pk, someone.pk]
        try:
            with transaction.atomic():
                realtime.emit_many({user_id: [NewEvent("a"), NewEvent("b")] for user_id in people})
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    for user in (someone, other):
        seqs = sorted(Event.objects.filter(user=user).values_list("seq", flat=True))
        assert seqs == list(range(1, 81))


@pytest.mark.django_db(transaction=True)
def test_many_bells_without_redis_wait_no_longer_than_one(settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
        }
    }
    began = time.monotonic()
    realtime.ring_many({uuid.uuid4(): 1 for _ in range(1000)})
    assert time.monotonic() - began < 10 * realtime.DOORBELL_SECONDS  # one bell, and room for a slow machine
