"""Text at rest (N32): moved, damaged or foreign values give an error and never a wrong text."""

import base64
import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection

from accounts import keyring
from accounts.keyring import KeyringError
from accounts.models import AuditEntry, User, UserKey
from tests.cast import make_user

pytestmark = pytest.mark.django_db
PLACE = "message.body"


def kek(name: str) -> str:
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


@pytest.fixture
def configure(settings: Any) -> Iterator[Any]:
    """Sets the key-encryption keys as a restart with other settings would."""

    def set_keys(*keys: str) -> None:
        settings.KEY_ENCRYPTION_KEYS = ",".join(keys)
        keyring.key_encryption_keys.cache_clear()
        keyring.clear_cache()

    yield set_keys
    keyring.key_encryption_keys.cache_clear()


@pytest.fixture
def user() -> User:
    return make_user("owner", 30)


def test_a_text_opens_where_it_was_sealed(user: User) -> None:
    row = uuid.uuid4()
    sealed = keyring.encrypt(user.pk, PLACE, row, "晚上好, good evening")
    assert keyring.decrypt(user.pk, PLACE, row, sealed) == "晚上好, good evening"
    assert keyring.decrypt(user.pk, PLACE, row, memoryview(sealed)) == "晚上好, good evening"
    assert sealed != keyring.encrypt(user.pk, PLACE, row, "晚上好, good evening")


def test_a_value_moved_to_another_row_column_or_person_does_not_open(user: User) -> None:
    row, other = uuid.uuid4(), make_user("other", 30)
    sealed = keyring.encrypt(user.pk, PLACE, row, "mine")
    for moved in ((user.pk, PLACE, uuid.uuid4()), (user.pk, "memory.body", row), (other.pk, PLACE, row)):
        with pytest.raises(KeyringError):
            keyring.decrypt(*moved, sealed)


def test_every_flipped_bit_is_noticed(user: User) -> None:
    row = uuid.uuid4()
    sealed = keyring.encrypt(user.pk, PLACE, row, "bits")
    for index in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[index] ^= 1
        with pytest.raises(KeyringError):
            keyring.decrypt(user.pk, PLACE, row, bytes(damaged))


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01" + bytes(12), b"plain text"])
def test_what_is_no_sealed_value_is_an_error(user: User, value: bytes) -> None:
    with pytest.raises(KeyringError):
        keyring.decrypt(user.pk, PLACE, uuid.uuid4(), value)


def test_an_unknown_key_id_is_an_error_and_names_the_id(user: User, configure: Any) -> None:
    row = uuid.uuid4()
    configure(kek("2026a"))
    sealed = keyring.encrypt(user.pk, PLACE, row, "text")
    configure(kek("2026b"))
    with pytest.raises(KeyringError, match="2026a"):
        keyring.decrypt(user.pk, PLACE, row, sealed)


def test_another_key_under_the_old_id_is_an_error(user: User, configure: Any) -> None:
    row = uuid.uuid4()
    configure(kek("2026a"))
    sealed = keyring.encrypt(user.pk, PLACE, row, "text")
    configure(kek("2026a"))
    with pytest.raises(KeyringError):
        keyring.decrypt(user.pk, PLACE, row, sealed)


def test_rotation_rewraps_keys_and_touches_no_text(configure: Any) -> None:
    old, new, row = kek("old"), kek("new"), uuid.uuid4()
    configure(old)
    people = [make_user(f"person{number}", 30) for number in range(3)]
    sealed = {user.pk: keyring.encrypt(user.pk, PLACE, row, str(user.pk)) for user in people}
    configure(new, old)
    assert keyring.decrypt(
        people[0].pk, PLACE, row, sealed[people[0].pk]
    )  # both keys open before the rotation
    call_command("rewrap_keys")
    configure(new)
    assert set(UserKey.objects.values_list("kek_id", flat=True)) == {"new"}
    for user in people:
        assert keyring.decrypt(user.pk, PLACE, row, sealed[user.pk]) == str(user.pk)
    assert AuditEntry.objects.get(action="keyring.rewrapped").data == {"count": 3}


def test_a_second_rotation_finds_nothing_to_do(configure: Any) -> None:
    configure(kek("only"))
    keyring.encrypt(make_user("person", 30).pk, PLACE, uuid.uuid4(), "text")
    assert keyring.rewrap_all() == 0


def test_without_the_data_key_nothing_opens_any_more(user: User) -> None:
    row = uuid.uuid4()
    sealed = keyring.encrypt(user.pk, PLACE, row, "text")
    keyring.forget(user.pk)
    with pytest.raises(KeyringError):
        keyring.decrypt(user.pk, PLACE, row, sealed)


def test_the_development_key_is_refused_in_production(settings: Any, configure: Any) -> None:
    configure(kek("development"))
    settings.PRODUCTION = True
    with pytest.raises(ImproperlyConfigured):
        keyring.key_encryption_keys()


@pytest.mark.parametrize("value", ["no-colon", "id:", "id:AAAA", f":{'A' * 43}=", f"{'x' * 33}:{'A' * 43}="])
def test_a_malformed_key_is_refused_at_start(value: str, configure: Any) -> None:
    configure(value)
    with pytest.raises(ImproperlyConfigured):
        keyring.key_encryption_keys()


def columns_with(needle: bytes) -> list[str]:
    """Every column of every table that holds `needle`, as a dump of the database would show it."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
        )
        for table, column, kind in cursor.fetchall():
            value = f'"{column}"' if kind == "bytea" else f"convert_to(\"{column}\"::text, 'UTF8')"
            cursor.execute(f'SELECT count(*) FROM "{table}" WHERE position(%s IN {value}) > 0', [needle])
            if cursor.fetchone()[0]:
                found.append(f"{table}.{column}")
    return found


def test_a_dump_of_the_database_shows_no_contact() -> None:
    from django.utils import timezone

    from accounts.care import ContactDetails
    from guardians import contacts, links

    name, address = "Canary Heron 鹭", "canary-heron@example.org"
    details = ContactDetails(name, "mother", email=address, phone="+8613999990000")
    adult, minor = make_user("adult", 30), make_user("minor", 15)
    contacts.add(adult, details, actor=adult.pk, now=timezone.now())
    links.invite(minor, details, actor=minor.pk, now=timezone.now())
    for canary in (name, address, "13999990000"):
        assert columns_with(canary.encode()) == []
    assert columns_with(adult.email.encode()) != []  # the search itself finds what is there
