"""A clock of the device that is a day off changes nothing: minutes, what is left, and rest are the server's (N48)."""

import datetime as dt
import re

import pytest
from playwright.sync_api import expect

from companion.models import UsageMinute
from safety import clock
from tests.e2e.conftest import PHONE, Talk
from tests.e2e.test_time import REST, back_in_sight, chip, used


@pytest.mark.parametrize("days", [1, -1])
def test_a_device_whose_clock_is_a_day_off_gets_no_time_and_loses_none(young: Talk, days: int) -> None:
    window = young.window(**PHONE)
    before = clock.now().replace(second=0, microsecond=0)
    window.page.clock.set_system_time(dt.datetime.now(dt.UTC) + dt.timedelta(days=days))
    window.open()
    off = window.page.evaluate("Date.now()") / 1000 - clock.now().timestamp()
    assert abs(off - days * 86_400) < 600
    window.say("Hello")
    expect(window.theirs.last).to_have_attribute("data-state", "complete")
    window.heard("usage")
    minutes = list(UsageMinute.objects.filter(user=young.user).values_list("minute", flat=True))
    assert minutes and all(before <= minute <= clock.now() for minute in minutes)
    used(young.user, 40)
    back_in_sight(window)
    chip(window, 20)
    used(young.user, 60)
    back_in_sight(window)
    expect(window.page.locator("[data-rest]")).to_contain_text(REST)
    # Changed once more while it is open: still the same day.
    window.page.clock.set_system_time(dt.datetime.now(dt.UTC) - dt.timedelta(days=2 * days))
    window.page.reload()
    window.ready()
    expect(window.page.locator("[data-rest]")).to_contain_text(re.compile(REST))
    expect(window.field).to_be_hidden()
