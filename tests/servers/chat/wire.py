"""How events are written for the client."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from chat.events import Chunk, Done, Event, Failure


@dataclass(frozen=True)
class Frame:
    data: str
    event: str | None = None
    id: str | None = None


Wire = Callable[[Event], Frame | None]


def plain(event: Event) -> Frame | None:
    match event:
        case Chunk():
            return Frame(event.text) if event.text else None
        case Failure():
            return Frame(_error(event), "error")
        case Done():
            return Frame("[DONE]")


def openai(event: Event) -> Frame | None:
    match event:
        case Chunk():
            return Frame(event.raw)
        case Failure():
            return Frame(_error(event))
        case Done():
            return Frame("[DONE]")


def _error(failure: Failure) -> str:
    return json.dumps({"error": {"message": failure.message, "type": "server_error"}})


WIRES: dict[str, Wire] = {"plain": plain, "openai": openai}
