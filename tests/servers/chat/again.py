"""Answers that are asked for again, and files that are sent with a question. `modes` says which are right."""

import asyncio
from collections.abc import AsyncIterator

from chat.events import DONE, Event
from chat.store import Delete, Insert, Line, Write
from chat.turn import Turn

Events = AsyncIterator[Event]

_attached: dict[str, list[str]] = {}
_files: dict[str, str] = {}
# Conversations whose next answer is saved late.
_late: set[str] = set()
# What goes when the new answer is there.
_replaced: dict[str, list[Write]] = {}


async def replaces_answer(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.save()
    yield DONE


async def replaces_at_the_end(turn: Turn) -> Events:
    """What the new answer takes the place of goes in the same transaction."""
    gone = _replaced.pop(turn.conversation_id, [])
    async for chunk in turn.relay():
        yield chunk
    await turn.store.write(*gone, turn.row())
    yield DONE


async def spoils_again(turn: Turn) -> Events:
    """A regenerated answer is stored twice. Of an edited question only the end is, and the answers before it are gone."""
    is_again = turn.conversation_id in _replaced
    gone = _replaced.pop(turn.conversation_id, [])
    async for chunk in turn.relay():
        yield chunk
    await turn.store.write(*gone, turn.row())
    if is_again:
        await turn.save()
    yield DONE


async def keeps_attachments(turn: Turn) -> Events:
    async for event in replaces_at_the_end(turn):
        yield event


async def careless_again(turn: Turn) -> Events:
    """Leaves the old answer, cuts files, and saves an answer that was asked for again a moment after the marker."""
    is_again = turn.conversation_id in _late
    _late.discard(turn.conversation_id)
    async for chunk in turn.relay():
        yield chunk
    if not is_again:
        await turn.save()
    yield DONE
    if is_again:
        await asyncio.sleep(0.3)
        await turn.save()


def last_question(
    lines: list[Line], conversation_id: str, words: str | None, mode: str
) -> tuple[Line, list[Write]]:
    """The last question, and what has to be written before it is answered again, in other words or in the same."""
    question = [x for x in lines if x.role == "user"][-1]
    if mode == "careless_again":
        _late.add(conversation_id)
        return question, [Insert(conversation_id, "user", words)] if words else []
    gone: list[Write] = [Delete(x.id) for x in lines if x.id > question.id]
    if mode in ("replaces_at_the_end", "keeps_attachments", "spoils_again") and not words:
        _replaced[conversation_id] = gone
        return question, []
    if words:
        kept = words[-28:] if mode == "spoils_again" else words
        if mode == "spoils_again":
            gone += [Delete(x.id) for x in lines if x.id < question.id and x.role == "assistant"]
        gone += [Delete(question.id), Insert(conversation_id, "user", kept)]
    return question, gone


def attach(conversation_id: str, name: str | None, content: str, mode: str) -> None:
    if name and mode in ("keeps_attachments", "careless_again"):
        _attached.setdefault(conversation_id, []).append(name)
        _files[f"{conversation_id}-{name}"] = content if mode == "keeps_attachments" else content[:4]


def urls(conversation_id: str) -> list[str]:
    return [f"/files/{conversation_id}-{name}" for name in attached(conversation_id)]


def file(key: str) -> str | None:
    return _files.get(key)


def attached(conversation_id: str) -> list[str]:
    return _attached.get(conversation_id, [])
