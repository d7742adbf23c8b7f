"""What a turn sends to the client, before it is written in a wire format."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Chunk:
    """One chunk of the provider: its JSON text as received, and what the server reads in it."""

    raw: str
    text: str = ""
    finish_reason: str | None = None


@dataclass(frozen=True)
class Failure:
    message: str


@dataclass(frozen=True)
class Done:
    pass


DONE = Done()
Event = Chunk | Failure | Done


def text_chunk(text: str) -> Chunk:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    body = {"id": "chatcmpl-local", "object": "chat.completion.chunk", "choices": [choice]}
    return Chunk(json.dumps(body), text)
