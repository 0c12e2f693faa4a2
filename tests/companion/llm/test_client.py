"""The model client over real HTTP: streaming, faults, time-outs, retries, stopping, secrecy."""

import asyncio
import json
import logging
import time

import pytest
from pytest_django import Settings

from companion import llm
from companion.llm import call, client
from safety.engine.breaker import State
from tests.companion.llm.conftest import SECRET, ask, free_port
from tests.fake_llm import UNICODE, FakeLLM

PROMPT = "my private diary line"


def event(content: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": content}}]}).encode() + b"\n\n"


# --- a good reply ---------------------------------------------------------------------------------


async def test_a_reply_comes_in_pieces_and_ends_with_the_finish(model: FakeLLM) -> None:
    model.script(reply="One two three.")
    outcome = await ask()
    assert outcome.pieces == ["One", " two", " three."]
    assert outcome.finish == llm.Finish("stop", 7, 3)


async def test_the_request_carries_what_was_asked_for(model: FakeLLM) -> None:
    items = llm.stream([{"role": "user", "content": "你好"}], max_tokens=33, stop=["\n"])
    assert [item async for item in items]
    seen = model.requests[0]
    assert seen.headers["Authorization"] == f"Bearer {SECRET}"
    assert seen.body["messages"] == [{"role": "user", "content": "你好"}]
    assert (seen.body["model"], seen.body["max_tokens"], seen.body["stop"]) == ("fake", 33, ["\n"])
    assert seen.body["stream"] is True


async def test_no_key_sends_no_authorization_header(model: FakeLLM, settings: Settings) -> None:
    settings.LLM_API_KEY = ""
    await ask()
    assert "Authorization" not in model.requests[0].headers


async def test_a_reply_that_met_its_limit_says_length(model: FakeLLM) -> None:
    model.script(finish="length")
    finish = (await ask()).finish
    assert finish is not None
    assert finish.reason == "length"


async def test_a_stream_without_reason_usage_or_done_still_finishes(model: FakeLLM) -> None:
    model.script(raw=[event("All "), event("good.")])
    outcome = await ask()
    assert outcome.text == "All good."
    assert outcome.finish == llm.Finish("stop", None, None)


async def test_odd_but_legal_events_are_read(model: FakeLLM) -> None:
    model.script(
        raw=[
            b": keep-alive\r\n\r\n",
            b'data:{"choices":[{"delta":null}]}\r\n\r\n',
            b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n',
            b'data: {"choices":[]}\n\ndata: {"choices":[{"delta":{"content":"A"}}]}\n\ndata: {"cho',
            b'ices":[{"delta":{"content":"B"}}]}\n\n',
            b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}\n\n',
            b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":"x"}}\n\ndata: [DONE]\n\n',
        ]
    )
    outcome = await ask()
    assert outcome.text == "AB"
    assert outcome.finish == llm.Finish("stop", 5, None)


async def test_characters_cut_by_the_network_arrive_whole(model: FakeLLM) -> None:
    whole = (
        f"data: {json.dumps({'choices': [{'delta': {'content': UNICODE}}]}, ensure_ascii=False)}\n\n".encode()
    )
    model.script(raw=[whole[i : i + 1] for i in range(len(whole))])
    assert (await ask()).text == UNICODE


async def test_halves_of_a_character_escaped_apart_are_joined(model: FakeLLM) -> None:
    model.script(
        raw=[
            b'data: {"choices":[{"delta":{"content":"hi \\ud83d"}}]}\n\n',
            b'data: {"choices":[{"delta":{"content":"\\ude42\\u0000"}}]}\n\n',
            b'data: {"choices":[{"delta":{"content":" \\ud83d lone"}}]}\n\n',
        ]
    )
    text = (await ask()).text
    assert text.startswith("hi 🙂 ")
    assert text.encode()
    assert "\0" not in text


async def test_one_connection_serves_one_turn_after_the_other(model: FakeLLM) -> None:
    for _ in range(3):
        await ask()
    assert len({seen.connection for seen in model.requests}) == 1


async def test_many_turns_at_once_do_not_wait_for_each_other(model: FakeLLM) -> None:
    model.script(reply="a b c d", gap=0.05)
    start = time.monotonic()
    outcomes = await asyncio.gather(*(ask(f"number {n}") for n in range(20)))
    assert all(outcome.text == "a b c d" for outcome in outcomes)
    assert time.monotonic() - start < 2.0


# --- faults ---------------------------------------------------------------------------------------


async def test_without_an_address_the_model_is_unconfigured(model: FakeLLM, settings: Settings) -> None:
    settings.LLM_BASE_URL = ""
    assert (await ask()).code == "unconfigured"
    assert llm.status() == "unconfigured"
    assert await llm.health() is False


async def test_nobody_listening_is_unreachable(model: FakeLLM, settings: Settings) -> None:
    settings.LLM_BASE_URL = f"http://127.0.0.1:{free_port()}/v1"
    assert (await ask()).code == "unreachable"
    assert await llm.health() is False


@pytest.mark.parametrize(
    ("fault", "code", "requests"),
    [
        ("500", "unreachable", 1),
        ("502", "unreachable", 2),
        ("503", "overloaded", 2),
        ("504", "unreachable", 2),
        ("429", "overloaded", 2),
        ("400", "refused", 1),
        ("401", "refused", 1),
        ("404", "refused", 1),
        ("302", "refused", 1),
        ("garbage", "garbage", 1),
        ("binary", "garbage", 1),
        ("long_line", "garbage", 1),
        ("error_event", "refused", 1),
        ("drop", "unreachable", 1),
    ],
)
async def test_a_fault_has_its_code_and_its_number_of_tries(
    model: FakeLLM, fault: str, code: str, requests: int
) -> None:
    model.script(fault=fault, after=0)
    outcome = await ask()
    assert (outcome.code, outcome.text, len(model.requests)) == (code, "", requests)


@pytest.mark.parametrize("fault", ["429", "502", "503", "504"])
async def test_a_busy_endpoint_is_asked_again(model: FakeLLM, fault: str) -> None:
    model.script(fault=fault, times=1, reply="Here I am.")
    assert (await ask()).text == "Here I am."
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    ("fault", "code"), [("drop", "unreachable"), ("error_event", "refused"), ("hang_mid", "timeout")]
)
async def test_after_the_first_token_nothing_is_asked_again(
    model: FakeLLM, settings: Settings, fault: str, code: str
) -> None:
    settings.LLM_IDLE_TIMEOUT = 0.2
    model.script(fault=fault, after=2, reply="One two three four")
    outcome = await ask()
    assert (outcome.text, outcome.code, outcome.finish) == ("One two", code, None)
    assert len(model.requests) == 1


async def test_a_model_that_never_begins_is_given_up_and_left(model: FakeLLM, settings: Settings) -> None:
    settings.LLM_FIRST_TOKEN_TIMEOUT = 0.2
    model.script(fault="hang")
    assert (await ask()).code == "timeout"
    assert await asyncio.to_thread(model.requests[0].wait_ended)
    assert model.disconnects == 1


async def test_keep_alive_comments_do_not_count_as_a_first_token(model: FakeLLM, settings: Settings) -> None:
    settings.LLM_FIRST_TOKEN_TIMEOUT = 0.3
    model.script(raw=[b": wait\n\n"] * 200, gap=0.02)
    assert (await ask()).code == "timeout"


async def test_a_reply_that_drips_for_ever_meets_the_total_time(model: FakeLLM, settings: Settings) -> None:
    settings.LLM_TOTAL_TIMEOUT = 0.5
    model.script(raw=[event("drip ")] * 500, gap=0.02)
    outcome = await ask()
    assert outcome.code == "timeout"
    assert outcome.text.startswith("drip drip")


async def test_a_slow_reader_is_not_taken_for_a_slow_model(model: FakeLLM, settings: Settings) -> None:
    settings.LLM_IDLE_TIMEOUT = settings.LLM_FIRST_TOKEN_TIMEOUT = 0.2
    model.script(reply="One two three", gap=0.01)
    items = []
    async for item in llm.stream([{"role": "user", "content": "x"}]):
        items.append(item)
        await asyncio.sleep(0.3)
    assert items[:-1] == ["One", " two", " three"]


async def test_a_reply_of_a_megabyte_is_cut_at_the_limit(model: FakeLLM) -> None:
    model.script(fault="huge")
    outcome = await ask()
    assert outcome.code == "too_long"
    assert len(outcome.text) == call.MAX_REPLY_CHARACTERS
    assert await asyncio.to_thread(model.requests[0].wait_ended)
    assert model.disconnects == 1


async def test_text_before_garbage_in_the_same_packet_is_kept(model: FakeLLM) -> None:
    model.script(raw=[event("Good start") + b"data: {broken\n\n"])
    outcome = await ask()
    assert (outcome.text, outcome.code) == ("Good start", "garbage")


@pytest.mark.parametrize(
    "line",
    [b"null", b"[]", b"7", b'{"choices": 3}', b'{"choices": [7]}', b"[" * 99_000, b"{", b'"\xff"'],
)
async def test_json_of_the_wrong_shape_is_garbage(model: FakeLLM, line: bytes) -> None:
    model.script(raw=[b"data: " + line + b"\n\n"])
    assert (await ask()).code == "garbage"


async def test_a_reply_without_a_word_is_an_error_but_the_endpoint_stays_in_use(model: FakeLLM) -> None:
    model.script(reply="")
    for _ in range(6):
        assert (await ask()).code == "garbage"
    assert llm.status() == "ok"


# --- stopping -------------------------------------------------------------------------------------


async def test_closing_the_generator_stops_the_model(model: FakeLLM) -> None:
    model.script(reply="word " * 2000, gap=0.01)
    reply = llm.stream([{"role": "user", "content": "x"}])
    assert await anext(reply)
    await reply.aclose()
    assert await asyncio.to_thread(model.requests[0].wait_ended)
    assert model.disconnects == 1
    assert model.requests[0].tokens_sent < 100


@pytest.mark.parametrize(
    "script", [{"fault": "hang"}, {"fault": "hang_mid"}, {"reply": "w " * 2000, "gap": 0.01}]
)
async def test_cancelling_the_task_stops_the_model(model: FakeLLM, script: dict[str, object]) -> None:
    model.script(**script)
    task = asyncio.create_task(ask())
    assert await asyncio.to_thread(model.wait_request)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(model.requests[0].wait_ended)
    assert model.disconnects == 1
    assert llm.status() == "ok"


# --- the breaker ----------------------------------------------------------------------------------


async def test_five_failures_open_the_breaker_and_the_endpoint_is_left_alone(model: FakeLLM) -> None:
    model.script(fault="500")
    for _ in range(5):
        assert (await ask()).code == "unreachable"
    assert llm.status() == "down"
    assert (await ask()).code == "breaker_open"
    assert len(model.requests) == 5


@pytest.mark.parametrize(
    ("fault", "code"), [("400", "refused"), ("429", "overloaded"), ("503", "overloaded")]
)
async def test_refusals_and_overload_never_open_the_breaker(model: FakeLLM, fault: str, code: str) -> None:
    model.script(fault=fault)
    for _ in range(8):
        assert (await ask()).code == code
    assert llm.status() == "ok"


async def test_the_first_good_reply_after_the_pause_closes_the_breaker(
    model: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.script(fault="500", times=5)
    for _ in range(5):
        await ask()
    breaker = client._breaker(model.url)
    assert breaker.state is State.OPEN
    now = time.monotonic()
    monkeypatch.setattr(breaker, "_clock", lambda: now + 11)
    assert (await ask()).error is None
    assert llm.status() == "ok"


# --- what pages and logs see ----------------------------------------------------------------------


async def test_status_and_health_of_a_good_endpoint(model: FakeLLM, settings: Settings) -> None:
    assert llm.status() == "ok"
    assert await llm.health() is True
    settings.ANBAN_DEMO_MODEL = True
    assert llm.status() == "demo"


@pytest.mark.parametrize("fault", ["400", "500", "garbage", "drop", "error_event", "hang"])
async def test_neither_prompt_nor_key_nor_server_text_is_told(
    model: FakeLLM, settings: Settings, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    settings.LLM_FIRST_TOKEN_TIMEOUT = 0.3
    model.script(fault=fault, reply="reply text of the model")
    with caplog.at_level(logging.DEBUG):
        error = (await ask(PROMPT)).error
    assert error is not None
    assert (str(error), error.__cause__, error.__context__) == (error.code, None, None)
    for secret in (PROMPT, SECRET, "server text", "reply text"):
        assert secret not in caplog.text
    assert SECRET not in repr(client.endpoint())


async def test_proxies_of_the_environment_are_not_used(
    model: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert (await ask()).error is None


def test_a_loop_made_for_one_task_gets_a_session_of_its_own(fake_llm: FakeLLM, settings: Settings) -> None:
    settings.LLM_BASE_URL = fake_llm.url

    async def one() -> str:
        outcome = await ask()
        await llm.close()
        return outcome.text

    assert asyncio.run(one()) == asyncio.run(one()) != ""
