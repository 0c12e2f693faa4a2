"""The parts of the page's script that decide and do not draw, asked one by one in a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.live import Site

pytestmark = pytest.mark.django_db  # for the site's tables to be there when this file runs alone
SCRIPTS = Path(__file__).parents[2] / "static/js/chat"


@pytest.fixture(scope="module")
def page(_site: Site, browser: Browser) -> Iterator[Page]:
    """Any page of the site, for its origin: nothing here touches a row."""
    page = browser.new_page(timezone_id="Asia/Shanghai")
    page.goto(f"{_site.url}/help/")
    yield page
    page.close()


def _ask(page: Page, module: str, body: str, argument: Any = None) -> Any:
    return page.evaluate(
        f"async (given) => {{ const m = await import('/static/js/chat/{module}.js'); {body} }}", argument
    )


KEY = {
    "key": "Enter",
    "keyCode": 13,
    "isComposing": False,
    "shiftKey": False,
    "altKey": False,
    "ctrlKey": False,
    "metaKey": False,
}
DESK = {"composing": False, "touch": False, "enterSends": True}


@pytest.mark.parametrize(
    ("key", "mode", "sends"),
    [
        ({}, {}, True),
        ({"key": "a"}, {}, False),
        ({"shiftKey": True}, {}, False),
        ({"altKey": True}, {}, False),
        ({"ctrlKey": True}, {}, True),
        ({"metaKey": True}, {}, True),
        ({}, {"touch": True}, False),
        ({"ctrlKey": True}, {"touch": True}, True),
        ({}, {"enterSends": False}, False),
        ({"ctrlKey": True}, {"enterSends": False}, True),
        ({}, {"composing": True}, False),
        ({"isComposing": True}, {}, False),
        ({"keyCode": 229}, {}, False),
        ({"ctrlKey": True, "isComposing": True}, {}, False),
        ({"metaKey": True}, {"composing": True}, False),
    ],
)
def test_what_enter_means(page: Page, key: dict[str, Any], mode: dict[str, Any], sends: bool) -> None:
    given = [{**KEY, **key}, {**DESK, **mode}]
    assert _ask(page, "ime", "return m.keySends(...given)", given) is sends


def _told(page: Page, *frames: dict[str, Any], start: str = "") -> dict[str, Any]:
    body = f"""
        const store = new m.Store(0); {start}
        const changes = given.flatMap(frame => store.receive(frame));
        return {{changes, since: store.since, running: store.running, outbox: store.outbox.length}};"""
    answer: dict[str, Any] = _ask(page, "store", body, json.loads(json.dumps(frames)))
    return answer


def _started(event: int = 1) -> dict[str, Any]:
    return {
        "kind": "reply.started",
        "event": event,
        "message": {"id": "a", "author": "ai", "state": "streaming"},
    }


def _finished(event: int = 2) -> dict[str, Any]:
    message = {"id": "a", "author": "ai", "state": "complete", "html": "<p>abc</p>"}
    return {"kind": "reply.finished", "event": event, "message": message}


def _delta(offset: int, text: str) -> dict[str, Any]:
    return {"kind": "reply.delta", "message": "a", "offset": offset, "text": text}


def _text(told: dict[str, Any]) -> str:
    text = ""
    for change in told["changes"]:
        if "show" in change:
            text = change["text"]
        elif "grow" in change:
            text += change["text"]
    return text


def test_pieces_that_overlap_or_come_twice_make_the_text_once(page: Page) -> None:
    told = _told(
        page, _started(), _delta(0, "好👩‍👩‍👧"), _delta(0, "好👩‍👩‍👧"), _delta(1, "👩‍👩‍👧了"), _delta(7, "吗")
    )
    assert _text(told) == "好👩‍👩‍👧了吗"


def test_after_a_gap_only_a_snapshot_goes_on(page: Page) -> None:
    snapshot = {"kind": "reply.snapshot", "message": "a", "text": "abcdef"}
    told = _told(page, _started(), _delta(0, "ab"), _delta(4, "ef"), snapshot, _delta(6, "g"))
    assert _text(told) == "abcdefg"


def test_a_replay_neither_restarts_nor_revives_a_reply(page: Page) -> None:
    replaced = {"kind": "reply.replaced", "event": 3, "message": "a"}
    told = _told(page, _started(), _finished(), _started(), _delta(0, "abc"), replaced, _finished())
    assert [next(iter(change)) for change in told["changes"]] == ["put", "put", "drop"]
    assert told["running"] is None
    assert told["since"] == 3


def test_the_number_in_ready_is_not_what_the_page_has_seen(page: Page) -> None:
    assert _told(page, {"kind": "ready", "event": 9, "reply": None})["since"] == 0


def test_a_message_named_back_twice_is_one(page: Page) -> None:
    created = {
        "kind": "message.created",
        "event": 1,
        "message": {"id": "u", "client_id": "c", "author": "user", "state": "complete", "html": ""},
    }
    told = _told(page, created, created, start="store.owe({client_id: 'c', text: 'hello'});")
    assert told["outbox"] == 0
    assert told["changes"][0]["instead"] == "c"
    assert all(change["put"]["id"] == "u" for change in told["changes"])


def test_after_leaving_nothing_of_the_persona_passes(page: Page) -> None:
    line = {
        "kind": "message.created",
        "event": 4,
        "message": {"id": "s", "author": "system", "state": "complete"},
    }
    ai = {"kind": "message.created", "event": 5, "message": {"id": "b", "author": "ai", "state": "complete"}}
    left = {"kind": "conversation.left", "event": 3}
    told = _told(page, _started(), _delta(0, "a"), left, _delta(1, "b"), _finished(), ai, line)
    assert [change.get("put", {}).get("id") for change in told["changes"]] == ["a", None, "a", "s"]
    assert told["changes"][2]["put"]["state"] == "stopped"


def test_pauses_between_attempts_double_and_never_agree(page: Page) -> None:
    pauses = _ask(page, "socket", "return [0, 1, 2, 9].map(n => [m.pause(n, 0), m.pause(n, 1)])")
    assert pauses == [[250, 500], [500, 1000], [1000, 2000], [15_000, 30_000]]


def test_times_between_groups(page: Page) -> None:
    body = """
        const now = new Date("2026-11-22T12:00:00+08:00");
        return given.map(at => m.stamp(new Date(at + "+08:00"), now, "zh-hans"));"""
    days = [
        "2026-11-22T09:05",
        "2026-11-21T21:14",
        "2026-11-18T08:00",
        "2026-08-03T08:00",
        "2025-12-31T23:59",
    ]
    said = _ask(page, "time", body, days)
    assert said == ["09:05", "昨天 21:14", "周三 08:00", "8月3日 08:00", "2025年12月31日 23:59"]


def test_the_script_stays_small(page: Page) -> None:
    """What each chat loads, without comments and indentation; what travels is compressed to less than half of it.

    Speech is loaded by whoever uses it.
    """
    count = """
        const text = await (await fetch(given)).text();
        const bare = text.replace(/\\/\\*\\*[^]*?\\*\\//g, "").replace(/^\\s*\\/\\/.*$/gm, "").replace(/^\\s+/gm, "");
        return bare.length;"""
    always = [file.name for file in SCRIPTS.glob("*.js") if file.name not in ("aloud.js", "voice.js")]
    assert sum(_ask(page, "time", count, f"/static/js/chat/{name}") for name in always) <= 38 * 1024


@pytest.mark.parametrize(
    ("now", "here"),
    [
        ({}, True),
        ({"hidden": True}, False),
        ({"hidden": True, "writing": True}, False),
        ({"idle": 299_999}, True),
        ({"idle": 300_000}, False),
        ({"idle": 3_600_000, "writing": True}, True),
    ],
)
def test_who_is_here(page: Page, now: dict[str, Any], here: bool) -> None:
    assert (
        _ask(page, "clock", "return m.present(given)", {"hidden": False, "idle": 0, "writing": False, **now})
        is here
    )


def test_somebody_is_here_once_a_minute_and_at_once_when_they_come_back(page: Page) -> None:
    body = """
        const real = [performance.now, globalThis.setInterval];
        let [now, beat, told, away] = [0, null, 0, false];
        performance.now = () => now;
        globalThis.setInterval = (each) => (beat = each);
        Object.defineProperty(document, "hidden", { get: () => away, configurable: true });
        const minutes = (count) => { while (count--) { now += 60_000; beat(); } return told; };
        const seen = [];
        m.watchPresence({ writing: () => false, here: () => told++ })();
        seen.push(told, minutes(7));
        dispatchEvent(new Event("pointermove"));
        seen.push(minutes(1));
        away = true;
        dispatchEvent(new Event("keydown"));
        seen.push(minutes(2));
        away = false;
        document.dispatchEvent(new Event("visibilitychange"));
        seen.push(told);
        [performance.now, globalThis.setInterval] = real;
        delete document.hidden;
        return seen;"""
    assert _ask(page, "clock", body) == [1, 5, 6, 6, 7]


def test_when_a_word_about_the_time_is_due(page: Page) -> None:
    body = "return given.map(left => m.warning(left) === Infinity ? null : m.warning(left))"
    assert _ask(page, "clock", body, [None, 0, 1, 2, 3, 10, 11, 60]) == [None, None, 2, 2, 10, 10, None, None]


def test_the_time_left_in_words(page: Page) -> None:
    body = """
        const say = key => ({hours_minutes: "{h} h {m} min", hours: "{h} h", minutes: "{m} min"})[key];
        return given.map(left => m.inWords(left, say));"""
    assert _ask(page, "clock", body, [1, 59, 60, 80, 120]) == ["1 min", "59 min", "1 h", "1 h 20 min", "2 h"]
