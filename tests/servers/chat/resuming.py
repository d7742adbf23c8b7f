"""What a page gets that lost its connection and asks for the rest: `GET /conversations/{id}/stream`.

A turn is a task of its own. Its events are kept, numbered from 1, until it is stored; after that a page loads what
is stored. `modes` says which of these are right.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from chat.events import DONE, Event, Failure
from chat.turn import Turn

Events = AsyncIterator[Event]


class Run:
    """A turn under way."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.events: list[Event] = []
        self.more = asyncio.Event()

    def add(self, event: Event) -> None:
        self.events.append(event)
        self.more.set()
        self.more = asyncio.Event()

    async def listen(self, after: int) -> Events:
        """Its events after the first few, up to its end."""
        while True:
            more = self.more
            for event in self.events[after:]:
                after += 1
                yield event
                if event is DONE or isinstance(event, Failure):
                    return
            if after == len(self.events):
                await more.wait()

    async def work(self) -> None:
        try:
            async for chunk in self.turn.relay():
                self.add(chunk)
            await self.turn.save()
            self.add(DONE)
        except Exception as error:
            self.add(Failure(str(error)))
        finally:
            runs.pop(self.turn.conversation_id, None)


# By conversation.
runs: dict[str, Run] = {}


async def resumes(turn: Turn) -> Events:
    run = runs[turn.conversation_id] = Run(turn)
    turn.spawn(run.work())
    async for event in run.listen(0):
        yield event


# These differ in what is sent to a page that resumes.
async def resumes_twice(turn: Turn) -> Events:
    async for event in resumes(turn):
        yield event


async def resumes_from_now(turn: Turn) -> Events:
    async for event in resumes(turn):
        yield event


async def resumes_anew(turn: Turn) -> Events:
    async for event in resumes(turn):
        yield event


MODES = ("resumes", "resumes_twice", "resumes_from_now", "resumes_anew")


def rest(mode: str, conversation_id: str, last_event_id: str | None) -> tuple[Events, int] | None:
    """What a page gets, and the number of the event before it; None when no turn is under way."""
    run = runs.get(conversation_id)
    if run is None:
        return None
    after = int(last_event_id or 0)
    match mode:
        case "resumes_twice":
            after = max(after - 1, 0)
        case "resumes_from_now":
            after = len(run.events)
        case "resumes_anew":
            return resumes(replace(run.turn, parts=[])), 0
    return run.listen(after), after
