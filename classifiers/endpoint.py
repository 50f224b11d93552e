"""One request to a server that speaks OpenAI's chat protocol, and what its outcome means for the run and the bill.

Four outcomes: an answer that came whole (paid for, whatever it says); not now (429, 5xx, time-out, broken connection:
ask again later); not this window (the server's content policy); and not at all (wrong key, address or model: the run
stops). Redirects are not followed, since they would carry the key to another host.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from classifiers.assignment import checked_url
from common.errors import EduSieveError, SettingsError

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 1 << 20
"""A grade is a few words; a body beyond this is dropped unread."""
MAX_KEPT_CHARACTERS = 500
"""What is kept of a reply that is no grade, and of a server's error message."""
MAX_WAIT_S = 600.0
"""A server that asks for a longer pause ends the run; the next run goes on where it stopped."""
RETRIED = frozenset({408, 409, 425, 429})
CONTENT_POLICY = frozenset({"content_filter", "content_policy_violation"})
HINTS = {
    401: "; check the key in the environment variable that --api-key-env names",
    403: "; check the key in the environment variable that --api-key-env names",
    404: "; check --base-url, which mostly ends in /v1, and --model",
}


class EndpointError(EduSieveError):
    """The server cannot or will not grade anything: the run stops."""


class RefusedError(Exception):
    """The server will not read this window."""


class TryAgainError(Exception):
    """The request may be sent again. ``billed``: it may have been paid for although no whole reply came."""

    def __init__(self, message: str, billed: bool, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.billed = billed
        self.wait_s = wait_s


@dataclass(frozen=True)
class Answer:
    """A reply that came whole. ``problem`` says why it is no chat completion; None if it is one."""

    text: str
    problem: str | None = None
    prompt_tokens: int | None = None
    reply_tokens: int | None = None


@dataclass
class Endpoint:
    """``POST {base_url}/chat/completions``; use it as an async context manager."""

    base_url: str
    key: str | None = field(repr=False)
    timeout_s: float
    connections: int

    def __post_init__(self) -> None:
        self._url = f"{checked_url(self.base_url)}/chat/completions"

    async def __aenter__(self) -> Endpoint:
        import httpx

        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        headers |= {"Authorization": f"Bearer {self.key}"} if self.key else {}
        # One pool of n connections takes httpcore n² steps a request: 64 at a time took 16 s of CPU for 1,139 requests,
        # n pools of one take 4 s.
        trusted = httpx.create_ssl_context()
        limits = httpx.Limits(max_connections=1)
        times = httpx.Timeout(None, connect=self.timeout_s / 2)  # the whole request has its limit in ask()
        self._idle = [
            httpx.AsyncClient(headers=headers, timeout=times, limits=limits, verify=trusted)
            for _ in range(self.connections)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._idle:
            await client.aclose()

    async def ask(self, request: dict[str, Any]) -> Answer:
        """Send one request; no more than ``connections`` at a time.

        Raises:
            TryAgainError: 429, 408, 409, 425, 5xx, time-out, broken connection.
            RefusedError: the server's content policy forbids this window.
            EndpointError: any other answer that is not 200.
        """
        import httpx

        client = self._idle.pop()
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                client.stream("POST", self._url, content=json.dumps(request).encode()) as response,
            ):
                body = await _bounded(response)
        except TimeoutError as error:
            raise TryAgainError(f"no whole reply within {self.timeout_s:g} s", billed=True) from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TryAgainError(f"no connection to {self._host()}: {self._safe(str(error))}", billed=False) from error
        except httpx.TransportError as error:
            what = self._safe(str(error)) or type(error).__name__
            raise TryAgainError(f"the connection broke: {what}", billed=True) from error
        finally:
            self._idle.append(client)
        if response.status_code == 200:
            return _answer(body)
        raise self._refusal(response.status_code, body, retry_after_s(response.headers.get("retry-after")))

    def _refusal(self, status: int, body: bytes, wait_s: float | None) -> Exception:
        message, code = _complaint(body)
        said = f"HTTP {status}" + (f": {self._safe(message)}" if message else "")
        if code == "insufficient_quota" or (wait_s or 0) > MAX_WAIT_S:
            wait = f" (it asks to wait {wait_s:.0f} s)" if wait_s else ""
            return EndpointError(f"{self._host()} takes no more requests for now{wait}: {said}; run again later")
        if status in RETRIED or status >= 500:
            return TryAgainError(said, billed=False, wait_s=wait_s)
        if code in CONTENT_POLICY:
            return RefusedError(said)
        return EndpointError(f"{self._host()} refused the request: {said}{HINTS.get(status, '')}")

    def _host(self) -> str:
        return urlsplit(self._url).netloc

    def _safe(self, message: str) -> str:
        """One bounded line of printable characters without the key, which some servers echo."""
        clean = message.replace(self.key, "***") if self.key else message
        return "".join(c if c.isprintable() else " " for c in clean[:MAX_KEPT_CHARACTERS]).strip()


def read_key(variable: str | None) -> str | None:
    """The key in an environment variable; None if no variable is named.

    Raises:
        SettingsError: if it is unset, empty, or cannot stand in a header; the value is not shown.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise SettingsError(f"the environment variable {variable} (--api-key-env) must hold a key of plain letters")
    return key


def backoff_s(failures: int, wait_s: float | None, chance: random.Random) -> float:
    """Pause after so many failures in a row: 1, 2, 4 … 60 s, each shortened by up to a half at random, so that
    requests that failed together do not come back together; but never shorter than the server asked for."""
    return max(min(60.0, 2.0 ** (failures - 1)) * chance.uniform(0.5, 1), (wait_s or 0) + chance.uniform(0, 0.5))


def retry_after_s(header: str | None, now: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date); None if it is absent or unreadable.

    >>> retry_after_s("7")
    7.0
    """
    if header is None:
        return None
    try:
        seconds = float(header) if header.strip()[:1].isdigit() else _until(header, now)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds)


def _until(date: str, now: float | None) -> float:
    return parsedate_to_datetime(date).timestamp() - (time.time() if now is None else now)


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            break
    return bytes(body)


def _answer(body: bytes) -> Answer:
    kept = body[: 4 * MAX_KEPT_CHARACTERS].decode("utf-8", "replace")[:MAX_KEPT_CHARACTERS]
    if len(body) > MAX_BODY_BYTES:
        return Answer(kept, f"the body is longer than {MAX_BODY_BYTES} bytes")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Answer(kept, "the body is not JSON")
    usage = value.get("usage") if isinstance(value, dict) else None
    counted = usage if isinstance(usage, dict) else {}
    tokens = _count(counted.get("prompt_tokens")), _count(counted.get("completion_tokens"))
    try:
        text = value["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return Answer(kept, "the body is no chat completion", *tokens)
    if not isinstance(text, str):
        return Answer(kept, "the reply has no text", *tokens)
    return Answer(text, None, *tokens)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31 else None


def _complaint(body: bytes) -> tuple[str, str | None]:
    """Message and code of an error body, in OpenAI's form or any other."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body[: 4 * MAX_KEPT_CHARACTERS].decode("utf-8", "replace"), None
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return str(error), None
    code = error.get("code")
    return str(error.get("message") or error.get("detail") or error), code if isinstance(code, str) else None
