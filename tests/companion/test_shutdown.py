"""What a web process does when it is told to end."""

import asyncio

import pytest

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_process_that_ends_hangs_up_on_the_model_and_the_helpers_of_the_engine(own_talk):
    async with own_talk.socket() as socket:
        await socket.say("在吗")
        await socket.until("reply.finished")
    await asyncio.to_thread(own_talk.site.stop)
    assert "Unclosed" not in own_talk.site.log.read_text()  # what asyncio says of forgotten connections
