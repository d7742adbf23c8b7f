"""Answers that are asked for again, and files that are sent with a question. `modes` says which are right."""

from collections.abc import AsyncIterator

from chat.events import DONE, Event
from chat.store import Delete, Insert, Line, Write
from chat.turn import Turn

Events = AsyncIterator[Event]

_attached: dict[str, list[str]] = {}


async def replaces_answer(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.save()
    yield DONE


# These differ in what `last_question` and `attach` do.
async def leaves_old_answer(turn: Turn) -> Events:
    async for event in replaces_answer(turn):
        yield event


async def keeps_attachments(turn: Turn) -> Events:
    async for event in replaces_answer(turn):
        yield event


def last_question(
    lines: list[Line], conversation_id: str, words: str | None, mode: str
) -> tuple[Line, list[Write]]:
    """The last question, and what has to be written before it is answered again, in other words or in the same."""
    question = [x for x in lines if x.role == "user"][-1]
    if mode == "leaves_old_answer":
        return question, [Insert(conversation_id, "user", words)] if words else []
    gone: list[Write] = [Delete(x.id) for x in lines if x.id > question.id]
    if words:
        gone += [Delete(question.id), Insert(conversation_id, "user", words)]
    return question, gone


def attach(conversation_id: str, name: str | None, mode: str) -> None:
    if name and mode == "keeps_attachments":
        _attached.setdefault(conversation_id, []).append(name)


def attached(conversation_id: str) -> list[str]:
    return _attached.get(conversation_id, [])
