"""Runs a strategy and turns its events, and its errors, into frames."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from chat.events import DONE, Event, Failure
from chat.modes import Mode
from chat.provider import ProviderError
from chat.turn import Turn
from chat.wire import Frame, Wire

logger = logging.getLogger("chat")


async def frames(turn: Turn, mode: Mode, wire: Wire) -> AsyncIterator[Frame]:
    done = False
    try:
        async with aclosing(mode.strategy(turn)) as events:
            async for event in events:
                done = done or event is DONE
                if (frame := wire(event)) is not None:
                    yield frame
    except ProviderError as error:
        logger.warning("no answer: %s", error)
        yield wire(Failure(str(error)))
    except Exception:
        logger.exception("saving the answer failed")
        if not done:
            yield wire(Failure("the answer could not be saved"))


async def numbered(events: AsyncIterator[Event], wire: Wire, after: int) -> AsyncIterator[Frame]:
    """Frames with an id each, for a page that resumes."""
    async with aclosing(events):
        async for event in events:
            after += 1
            if (frame := wire(event)) is not None:
                yield replace(frame, id=str(after))


async def unguarded(turn: Turn, mode: Mode, wire: Wire) -> AsyncIterator[Frame]:
    """As most servers are written: an error ends the connection in the middle of the body."""
    yield Frame("")
    async with aclosing(mode.strategy(turn)) as events:
        async for event in events:
            if (frame := wire(event)) is not None:
                yield frame
