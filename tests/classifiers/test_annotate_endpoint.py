import asyncio
import random
import time

import pytest
from hypothesis import given
from hypothesis.strategies import integers, none, one_of

from classifiers.assignment import checked_url
from classifiers.endpoint import (
    MAX_BODY_BYTES,
    Answer,
    Endpoint,
    EndpointError,
    RefusedError,
    TryAgainError,
    backoff_s,
    read_key,
    retry_after_s,
)
from common.errors import SettingsError
from tests.classifiers.chat_server import RESET, chat, chat_server, error, reply

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "<<< extract a >>>\nt\n<<< end of extract a >>>"}]}


def ask(behave, key=None, timeout_s=5.0):
    async def once(url):
        async with Endpoint(url, key, timeout_s, 4) as endpoint:
            return await endpoint.ask(REQUEST)

    with chat_server(behave) as server:
        return asyncio.run(once(server.url))


def test_an_answer_comes_with_its_usage():
    assert ask(lambda asked: chat("hello")) == Answer("hello", None, 1000, 20)


@pytest.mark.parametrize(
    "usage", [None, {}, "many", {"prompt_tokens": -3, "completion_tokens": 1.5}, {"prompt_tokens": True}]
)
def test_usage_that_is_missing_or_nonsense_is_unknown(usage):
    assert ask(lambda asked: chat("hello", usage)) == Answer("hello", None, None, None)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"choices": [{"mess', "the body is not JSON"),
        (b"<html>It works!</html>", "the body is not JSON"),
        (b"[" * 200_000, "the body is not JSON"),
        ([1, 2], "the body is no chat completion"),
        ({"choices": []}, "the body is no chat completion"),
        ({"choices": {"0": 1}}, "the body is no chat completion"),
        ({"choices": [{"message": {"content": None}}]}, "the reply has no text"),
        ({"choices": [{"message": {"content": [{"text": "3"}]}}]}, "the reply has no text"),
        (b'"' + b"3" * (MAX_BODY_BYTES + 10) + b'"', f"the body is longer than {MAX_BODY_BYTES} bytes"),
    ],
)
def test_a_body_that_is_no_chat_completion_is_an_answer_with_a_problem(body, problem):
    answer = ask(lambda asked: reply(200, body))
    assert answer.problem == problem
    assert len(answer.text) <= 500


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_a_busy_or_broken_server_is_asked_again_and_has_billed_nothing(status):
    with pytest.raises(TryAgainError, match=f"HTTP {status}: slow down") as caught:
        ask(lambda asked: error(status, "slow down", {"Retry-After": "7"}))
    assert (caught.value.billed, caught.value.wait_s) == (False, 7.0)


@pytest.mark.parametrize(
    "behave", [lambda asked: RESET, lambda asked: reply(200, {"a": 1}, declared_bytes=1000)], ids=["reset", "cut short"]
)
def test_a_connection_that_breaks_may_have_been_billed(behave):
    with pytest.raises(TryAgainError, match="the connection broke") as caught:
        ask(behave)
    assert caught.value.billed


def test_a_reply_that_hangs_is_given_up_at_the_time_limit_and_may_have_been_billed():
    start = time.monotonic()
    with pytest.raises(TryAgainError, match=r"no whole reply within 0\.2 s") as caught:
        ask(lambda asked: chat("late", wait_s=1.5), timeout_s=0.2)
    assert caught.value.billed
    assert time.monotonic() - start < 1.4


def test_a_port_where_nobody_listens_has_billed_nothing():
    with chat_server() as server:
        url = server.url

    async def once():
        async with Endpoint(url, None, 2, 1) as endpoint:
            await endpoint.ask(REQUEST)

    with pytest.raises(TryAgainError, match=r"no connection to 127\.0\.0\.1") as caught:
        asyncio.run(once())
    assert not caught.value.billed


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 413, 422])
def test_any_other_status_stops_the_run_with_the_servers_words(status):
    with pytest.raises(EndpointError, match=f"refused the request: HTTP {status}: no such thing"):
        ask(lambda asked: error(status, "no such thing", {"Location": "http://127.0.0.1:9/"}))


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", [], "no", {"detail": "x"}, {"error": "no"}, {"message": ["x"]}, b"[" * 99_999]
)
def test_an_error_body_of_any_shape_is_one_line(body):
    with pytest.raises(EndpointError) as caught:
        ask(lambda asked: reply(400, body))
    assert "HTTP 400" in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 700


def test_a_wait_beyond_all_patience_and_an_empty_account_stop_the_run():
    with pytest.raises(EndpointError, match="asks to wait 86400 s"):
        ask(lambda asked: error(429, "daily limit", {"Retry-After": "86400"}))
    with pytest.raises(EndpointError, match="takes no more requests for now"):
        ask(lambda asked: error(429, "you are broke", code="insufficient_quota"))


def test_a_content_policy_refuses_only_the_window():
    with pytest.raises(RefusedError, match="HTTP 400: filtered"):
        ask(lambda asked: error(400, "filtered", code="content_filter"))


def test_the_key_travels_in_the_header_and_is_blotted_out_of_messages():
    seen = []

    def behave(asked):
        seen.append(asked.headers["Authorization"])
        return error(401, "Incorrect API key provided: sk-secret\x1b[31m\nbye")

    with pytest.raises(EndpointError, match=r"\*\*\* \[31m bye; check the key") as caught:
        ask(behave, key="sk-secret")
    assert seen == ["Bearer sk-secret"] and "sk-secret" not in str(caught.value)
    assert "sk-secret" not in repr(Endpoint("http://x/v1", "sk-secret", 1, 1))


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x/v1", "http://", "http://x:99999/v1", "file:///etc/passwd", ""]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(SettingsError, match="--base-url must be like"):
        checked_url(url)


def test_an_address_with_a_secret_in_it_is_refused_without_showing_it():
    for url in ("http://me:hunter2@x/v1", "http://x/v1?key=hunter2"):
        with pytest.raises(SettingsError, match="must not carry") as caught:
            checked_url(url)
        assert "hunter2" not in str(caught.value)


def test_the_key_is_read_from_the_variable_that_is_named(monkeypatch):
    monkeypatch.setenv("GRADER_KEY", " sk-1\n")
    assert (read_key(None), read_key("GRADER_KEY")) == (None, "sk-1")
    for bad in ("", "schlüssel", "a\nb"):
        monkeypatch.setenv("GRADER_KEY", bad)
        with pytest.raises(SettingsError, match=r"GRADER_KEY .*must hold a key"):
            read_key("GRADER_KEY")


@given(failures=integers(1, 40), wait_s=one_of(none(), integers(0, 600)), seed=integers(0, 9))
def test_a_pause_grows_to_a_minute_and_is_never_shorter_than_the_server_asked(failures, wait_s, seed):
    pause = backoff_s(failures, wait_s, random.Random(seed))
    longest = min(60, 2 ** (failures - 1))
    assert pause >= max(longest / 2, wait_s or 0)
    assert pause <= max(longest, (wait_s or 0) + 0.5)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("1.5", 1.5),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("1e999x", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header, seconds):
    assert retry_after_s(header, now=1445412480.0) == seconds
