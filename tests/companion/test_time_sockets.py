"""Time on real sockets: reminders reach every open page in every process, one answer frees them all, limits hold."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone

from accounts.models import Notice, User
from companion import reminders
from companion.models import Message, UsageMinute, UsageSession
from guardians.models import Limits
from tests.companion.conftest import Talk
from tests.companion.test_conversation import SLOW
from tests.companion.test_limits import noon
from tests.fake_llm import FakeLLM
from tests.live import Site, sign_in

pytestmark = pytest.mark.django_db(transaction=True)
HOURS = dt.timedelta(hours=1)


@pytest.fixture
def elsewhere(talk: Talk, model: FakeLLM, tmp_path: Path) -> Iterator[Talk]:
    """Another login in a second process."""
    other = Site(model.url, tmp_path / "log", ANBAN_INSTANCE="elsewhere")
    other.start()
    yield talk._replace(site=other, session=sign_in(talk.user))
    other.stop()


@sync_to_async
def pass_time(user: User, time: dt.timedelta) -> None:
    """As if the person had been here for so long before."""
    session = UsageSession.objects.get(user=user, ended=False)
    session.started_at -= time
    session.due_at = session.started_at + dt.timedelta(minutes=session.break_every * (session.breaks + 1))
    session.save()


@sync_to_async
def look() -> int:
    """As the celery beat does it, in a process of its own."""
    try:
        return reminders.raise_due()
    finally:
        connection.close()


@sync_to_async
def notice_of(user: User) -> Notice:
    return Notice.objects.get(user=user, kind="break")


async def begin(socket: Any) -> None:
    await socket.until("ready")
    await socket.send(type="here")
    await socket.until("usage")


async def test_modal_and_line_reach_every_page_and_one_answer_frees_them(talk, elsewhere, model):
    async with talk.socket() as here, elsewhere.socket() as there:
        await begin(here)
        await begin(there)
        await pass_time(talk.user, 2 * HOURS)
        assert await look() == 1
        for page in (here, there):
            line = await page.until("message.created")
            assert (line["message"]["author"], line["message"]["code"]) == ("system", "break.due")
            raised = await page.until("notice.raised")
            assert raised["about"] == "break" and 'value="pause"' in raised["html"]
        await there.say("还想聊")
        assert (await there.until("refused"))["code"] == "notice"
        await here.send(type="shown", notice=raised["notice"])
        await here.send(type="acknowledge", notice=raised["notice"], answer="continue")
        for page in (here, there):
            assert (await page.until("notice.acknowledged"))["notice"] == raised["notice"]
        await there.say("还想聊")
        await there.until("reply.finished")
    notice = await notice_of(talk.user)
    assert notice.raised_at <= notice.shown_at <= notice.acknowledged_at
    assert notice.answer == "continue"


async def test_a_page_that_opens_later_still_has_to_answer(talk, model):
    async with talk.socket() as here:
        await begin(here)
        await pass_time(talk.user, 2 * HOURS)
        assert await look() == 1
        await here.until("notice.raised")
    again = await sync_to_async(sign_in)(talk.user, notice=False)
    for session, about in ((talk.session, ["break"]), (again, ["ai", "break"])):  # reload, and another login
        async with talk.site.socket(session, talk.conversation) as page:
            ready = await page.until("ready")
            assert sorted(notice["about"] for notice in ready["notices"]) == about
            await page.say("还在吗")
            assert (await page.until("refused"))["code"] == "notice"


async def test_five_tabs_and_two_processes_count_a_minute_once_also_after_a_crash(own_talk, model, tmp_path):
    other = Site(model.url, tmp_path / "other", ANBAN_INSTANCE="other")
    await asyncio.to_thread(other.start)
    try:
        for round_ in range(2):
            for site in (own_talk.site, other):
                tabs = [site.socket(own_talk.session, own_talk.conversation) for _ in range(5)]
                for tab in tabs:
                    async with tab as page:
                        await begin(page)
            if round_ == 0:
                await asyncio.to_thread(own_talk.site.kill)
                await asyncio.to_thread(own_talk.site.start)
    finally:
        await asyncio.to_thread(other.stop)
    minutes = [
        minute async for minute in UsageMinute.objects.order_by("minute").values_list("minute", flat=True)
    ]
    assert len(minutes) == len(set(minutes))
    span = (minutes[-1] - minutes[0]) / dt.timedelta(minutes=1)
    assert len(minutes) <= span + 1
    assert await UsageSession.objects.acount() == 1


@sync_to_async
def use_up(talk: Talk, minutes: int) -> None:
    """All but the minute that begins now."""
    noon(talk.user)
    now = timezone.now().replace(second=0, microsecond=0)
    Limits.objects.create(user=talk.user, setter="self", daily_minutes=minutes, valid_from=now)
    UsageMinute.objects.bulk_create(
        UsageMinute(user=talk.user, minute=now - dt.timedelta(minutes=i + 2)) for i in range(minutes - 1)
    )


async def test_at_the_limit_the_last_reply_may_finish_and_no_other_begins(talk, elsewhere, model):
    await use_up(talk, 30)
    model.script(reply=SLOW, gap=0.05)
    async with talk.socket() as here, elsewhere.socket() as there:
        ready = await here.until("ready")
        assert ready["usage"]["minutes_left"] == 1
        await here.say("再说一句")
        await here.until("reply.delta")
        now = timezone.now().replace(second=0, microsecond=0)
        await UsageMinute.objects.acreate(user=talk.user, minute=now - dt.timedelta(minutes=40))
        finished = await here.until("reply.finished")
        assert finished["message"]["state"] == "complete"
        for page in (here, there):
            await page.say("再来一句")
            refused = await page.until("refused")
            assert (refused["code"], refused["link"]["url"]) == ("limit", "/use/")
        await here.send(type="here")
        assert (await here.until("usage"))["minutes_left"] == 0
    assert await Message.objects.filter(author="user").acount() == 1
