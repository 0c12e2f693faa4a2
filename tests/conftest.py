"""Fixtures of the whole suite."""

import pytest
from django.core.cache import cache

from accounts import keyring, ratelimit
from tests.cast import adult, elder, guardian, minor, moderator, outsider, supervisor

__all__ = ["adult", "elder", "guardian", "minor", "moderator", "outsider", "supervisor"]


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What processes keep in memory or in Valkey must not travel from one test to the next."""
    keyring.clear_cache()
    ratelimit.reset()
    cache.clear()
