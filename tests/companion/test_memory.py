"""Memories belong to one person and one companion."""

import pytest
from django.db import connection

from companion import memory
from companion.models import Persona

CANARY = "我养了一只叫团子的猫"


@pytest.fixture
def personas(db):
    return [
        Persona.objects.create(slug=slug, state="published", relationship="friend", age_rating="all")
        for slug in ("one", "two")
    ]


def test_each_companion_remembers_for_itself(adult, outsider, personas):
    memory.remember(adult.pk, personas[0].pk, CANARY)
    assert memory.recall(adult.pk, personas[0].pk) == [CANARY]
    assert memory.recall(adult.pk, personas[1].pk) == []
    assert memory.recall(outsider.pk, personas[0].pk) == []


def test_what_is_kept_is_sealed(adult, personas):
    memory.remember(adult.pk, personas[0].pk, CANARY)
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM companion_memory")
        (body,) = cursor.fetchone()
    assert CANARY.encode() not in bytes(body)


def test_only_the_person_can_erase_it(adult, outsider, personas):
    kept = memory.remember(adult.pk, personas[0].pk, CANARY)
    assert not memory.forget(outsider.pk, kept.public_id)
    assert memory.forget(adult.pk, kept.public_id)
    assert memory.kept(adult.pk, personas[0].pk) == []


@pytest.mark.parametrize("text", ["", "  \n ", "长" * 301])
def test_empty_and_long_lines_are_refused(adult, personas, text):
    with pytest.raises(ValueError):
        memory.remember(adult.pk, personas[0].pk, text)


def test_there_is_a_limit(adult, personas, monkeypatch):
    monkeypatch.setattr(memory, "MAX_PER_PERSONA", 2)
    for i in range(2):
        memory.remember(adult.pk, personas[0].pk, f"第{i}件")
    with pytest.raises(memory.MemoryFull):
        memory.remember(adult.pk, personas[0].pk, "再来一件")
