"""Answers that are told to the user before they are stored."""

import asyncio

from chat.store import Insert, Line, Store

FLUSH_DELAY = 5.0

_waiting: list[Insert] = []


async def flush_later(store: Store, row: Insert) -> None:
    _waiting.append(row)
    await asyncio.sleep(FLUSH_DELAY)
    await flush(store)


async def flush(store: Store) -> None:
    rows = _waiting.copy()
    _waiting.clear()
    for row in rows:
        await store.write(row)


def waiting(conversation_id: str) -> list[Line]:
    """What the history shows although no store has it."""
    rows = [row for row in _waiting if row.conversation_id == conversation_id]
    return [Line(0, row.role, row.content, row.status, "") for row in rows]
