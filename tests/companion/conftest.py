"""A conversation that is ready to be had."""

import uuid
from typing import NamedTuple

import pytest

from accounts.models import User
from tests.live import Site, _model, _site, companions, model, open_conversation, own_site, sign_in, site

__all__ = ["_model", "_site", "companions", "model", "own_site", "site"]


class Talk(NamedTuple):
    site: Site
    user: User
    session: str
    conversation: uuid.UUID

    def socket(self):
        return self.site.socket(self.session, self.conversation)


@pytest.fixture
def talk(site: Site, adult: User) -> Talk:
    """The adult of the cast, signed in, with the notice confirmed and a conversation open."""
    session = sign_in(adult)
    return Talk(site, adult, session, open_conversation(adult, session).public_id)


@pytest.fixture
def own_talk(own_site: Site, adult: User) -> Talk:
    """The same with a process that the test may kill."""
    session = sign_in(adult)
    return Talk(own_site, adult, session, open_conversation(adult, session).public_id)
