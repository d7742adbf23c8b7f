"""The client of the LLM provider (OpenAI chat completions, streamed)."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx

from chat.events import DONE, Chunk, Done

MODEL = "test-model"


class ProviderError(Exception):
    """The provider gave no usable answer."""


class StreamCut(ProviderError):
    """The stream ended with neither a finish_reason nor [DONE]."""


class Provider:
    def __init__(self, gateway_url: str) -> None:
        self.base = gateway_url
        self.url = f"{gateway_url}/chat/completions"
        # The gateway speaks plain HTTP on this machine; loading the CA bundle would only slow
        # every start, and a proxy from the environment would only get in the way.
        self.client = httpx.AsyncClient(verify=False, trust_env=False, timeout=60)

    async def stream(self, messages: list[dict[str, str]]) -> AsyncIterator[Chunk | Done]:
        body = {
            "model": MODEL,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            async with self.client.stream("POST", self.url, json=body) as response:
                await _check_status(response)
                async with aclosing(_read(response)) as events:
                    async for event in events:
                        yield event
        except httpx.HTTPError as error:
            raise ProviderError(f"provider: {error or type(error).__name__}") from error

    async def aside(self, path: str, body: dict[str, Any]) -> None:
        """A request beside the answer; the chat does not depend on it."""
        await self.client.post(f"{self.base}{path}", json=body)

    async def close(self) -> None:
        await self.client.aclose()


async def _check_status(response: httpx.Response) -> None:
    if response.status_code != 200:
        text = (await response.aread()).decode(errors="replace")
        raise ProviderError(f"provider answered {response.status_code}: {_message(text)}")


async def _read(response: httpx.Response) -> AsyncIterator[Chunk | Done]:
    finished = False
    async with aclosing(_lines(response)) as lines:
        async for line in lines:
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                yield DONE
                return
            chunk = _parse(data)
            finished = finished or chunk.finish_reason is not None
            yield chunk
    if not finished:
        raise StreamCut("the provider's stream ended early")


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    # Not aiter_lines(): it also breaks lines at U+2028 and the like, which JSON may hold unescaped.
    rest = b""
    async for block in response.aiter_bytes():
        *lines, rest = re.split(rb"[\r\n]", rest + block)
        for line in lines:
            yield line.decode().removeprefix("\ufeff")
    yield rest.decode()


def _parse(data: str) -> Chunk:
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ProviderError("the provider sent malformed JSON") from error
    if not isinstance(body, dict) or body.get("error"):
        raise ProviderError(f"provider: {_message(data)}")
    choice: dict[str, Any] = next(
        (c for c in body.get("choices") or [] if c.get("index", 0) == 0), {}
    )
    text = (choice.get("delta") or {}).get("content") or ""
    return Chunk(data, text, choice.get("finish_reason"))


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
