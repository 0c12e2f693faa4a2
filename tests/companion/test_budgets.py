"""Token budgets hold under parallel requests and give back what was not used (N46)."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from companion import budgets
from companion.models import TokenBudget

USER = uuid.uuid4()


def _used(prefix: str) -> int:
    return TokenBudget.objects.get(scope__startswith=prefix).used


@pytest.mark.django_db
def test_a_reservation_counts_for_the_person_and_the_deployment():
    assert budgets.reserve(USER, 700, timezone.now()).empty == ""
    assert (_used("user:"), _used("deployment:")) == (700, 700)


@pytest.mark.django_db
def test_what_was_really_used_replaces_the_reservation():
    now = timezone.now()
    budgets.settle(budgets.reserve(USER, 700, now), 120)
    assert (_used("user:"), _used("deployment:")) == (120, 120)


@pytest.mark.django_db
def test_an_empty_budget_is_named_and_nothing_stays_reserved(settings):
    settings.TOKENS_PER_USER_PER_DAY = 1000
    settings.TOKENS_PER_DEPLOYMENT_PER_HOUR = 1500
    now = timezone.now()
    assert budgets.reserve(USER, 1000, now).empty == ""
    assert budgets.reserve(USER, 1, now).empty == "budget_user"
    assert budgets.reserve(uuid.uuid4(), 501, now).empty == "budget_deployment"
    assert _used("deployment:") == 1000


@pytest.mark.django_db(transaction=True)
def test_parallel_requests_never_pass_the_cap_together(settings):
    settings.TOKENS_PER_USER_PER_DAY = 1000
    now = timezone.now()

    def one(_: int) -> str:
        try:
            return budgets.reserve(USER, 100, now).empty
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        granted = [code for code in pool.map(one, range(50)) if code == ""]
    assert 1 <= len(granted) <= 10
    assert _used("user:") == 100 * len(granted)
