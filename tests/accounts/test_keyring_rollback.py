"""A data key that was never committed seals nothing: text sealed with it could not be opened by anybody else."""

import uuid

import pytest
from django.db import transaction

from accounts import keyring
from accounts.models import UserKey
from tests.cast import make_user

pytestmark = pytest.mark.django_db(transaction=True)
PLACE = "message.body"


def test_a_key_made_in_a_transaction_that_fails_is_not_used_again() -> None:
    user, row = make_user("owner", 30), uuid.uuid4()
    with transaction.atomic():
        keyring.encrypt(user.pk, PLACE, row, "lost with its transaction")
        transaction.set_rollback(True)
    assert not UserKey.objects.exists()
    sealed = keyring.encrypt(user.pk, PLACE, row, "晚上好")
    keyring.clear_cache()  # as another process, or this one after a restart
    assert keyring.decrypt(user.pk, PLACE, row, sealed) == "晚上好"


def test_a_key_read_in_the_transaction_that_made_it_is_not_used_after_it_failed() -> None:
    user, row = make_user("owner", 30), uuid.uuid4()
    with transaction.atomic():
        for _ in range(2):
            keyring.encrypt(user.pk, PLACE, row, "lost with its transaction")
        transaction.set_rollback(True)
    sealed = keyring.encrypt(user.pk, PLACE, row, "晚上好")
    keyring.clear_cache()
    assert keyring.decrypt(user.pk, PLACE, row, sealed) == "晚上好"


def test_a_key_is_read_once(django_assert_num_queries) -> None:
    user, row = make_user("owner", 30), uuid.uuid4()
    sealed = keyring.encrypt(user.pk, PLACE, row, "晚上好")
    with django_assert_num_queries(0):
        keyring.decrypt(user.pk, PLACE, row, sealed)
    keyring.clear_cache()
    with transaction.atomic():
        keyring.decrypt(user.pk, PLACE, row, sealed)
    with django_assert_num_queries(0):
        keyring.decrypt(user.pk, PLACE, row, sealed)
