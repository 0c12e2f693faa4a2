"""Memories belong to one person and one companion."""

import pytest
from django.db import connection
from django.utils import timezone

from companion import memory
from companion.models import Persona
from guardians import limits
from guardians.models import MinorSettings

CANARY = "我养了一只叫团子的猫"


def policy(user):
    limits.forget(user)
    return limits.effective_policy(user, timezone.now())


@pytest.fixture
def personas(db):
    return [
        Persona.objects.create(slug=slug, state="published", relationship="friend", age_rating="all")
        for slug in ("one", "two")
    ]


def test_each_companion_remembers_for_itself(adult, outsider, personas):
    memory.remember(policy(adult), personas[0].pk, CANARY)
    assert memory.recall(policy(adult), personas[0].pk) == [CANARY]
    assert memory.recall(policy(adult), personas[1].pk) == []
    assert memory.recall(policy(outsider), personas[0].pk) == []


def test_what_is_kept_is_sealed(adult, personas):
    memory.remember(policy(adult), personas[0].pk, CANARY)
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM companion_memory")
        (body,) = cursor.fetchone()
    assert CANARY.encode() not in bytes(body)


def test_only_the_person_can_erase_it(adult, outsider, personas):
    kept = memory.remember(policy(adult), personas[0].pk, CANARY)
    assert not memory.forget(outsider.pk, kept.public_id)
    assert memory.forget(adult.pk, kept.public_id)
    assert memory.kept(adult.pk, personas[0].pk) == []


@pytest.mark.parametrize("text", ["", "  \n ", "长" * 301])
def test_empty_and_long_lines_are_refused(adult, personas, text):
    with pytest.raises(ValueError):
        memory.remember(policy(adult), personas[0].pk, text)


def test_there_is_a_limit(adult, personas, monkeypatch):
    monkeypatch.setattr(memory, "MAX_PER_PERSONA", 2)
    for i in range(2):
        memory.remember(policy(adult), personas[0].pk, f"第{i}件")
    with pytest.raises(memory.MemoryFull):
        memory.remember(policy(adult), personas[0].pk, "再来一件")


def test_turned_off_by_a_guardian_it_keeps_nothing_new_and_tells_nothing(minor, personas):
    kept = memory.remember(policy(minor), personas[0].pk, CANARY)
    MinorSettings.objects.create(minor=minor, memory=False)
    with pytest.raises(memory.MemoryOff):
        memory.remember(policy(minor), personas[0].pk, "再记一件")
    assert memory.recall(policy(minor), personas[0].pk) == []
    assert memory.kept(minor.pk, personas[0].pk) == [(kept.public_id, CANARY)]
    assert memory.forget(minor.pk, kept.public_id)
