"""What becomes of turns that are under way at the same time, or that many clients left. Each is right as long as one
turn follows the other; `modes` says so.
"""

from collections.abc import AsyncIterator

from chat.events import DONE, Event
from chat.store import Delete, Handle, Insert
from chat.turn import Turn

Events = AsyncIterator[Event]

_last = ""
_parts: dict[str, list[str]] = {}
_held: list[Handle] = []
# Conversations with a turn under way.
busy: set[str] = set()


async def shared_conversation(turn: Turn) -> Events:
    """Where to save to is kept in the module: the last request decides."""
    global _last
    _last = turn.conversation_id
    async for chunk in turn.relay():
        yield chunk
    await turn.store.write(Insert(_last, "assistant", turn.answer))
    yield DONE


async def shared_buffer(turn: Turn) -> Events:
    """The answer is collected by conversation, and not by turn."""
    parts = _parts.setdefault(turn.conversation_id, [])
    async for chunk in turn.relay():
        parts.append(chunk.text)
        yield chunk
    await turn.save("".join(parts))
    parts.clear()
    yield DONE


async def loses_second_question(turn: Turn) -> Events:
    """`app` does not store a question while another turn is under way."""
    busy.add(turn.conversation_id)
    try:
        async for chunk in turn.relay():
            yield chunk
        await turn.save()
        yield DONE
    finally:
        busy.discard(turn.conversation_id)


async def stores_what_the_page_has(turn: Turn) -> Events:
    """The conversation is replaced by what the page sent, and the answer."""
    async for chunk in turn.relay():
        yield chunk
    lines = await turn.store.history(turn.conversation_id, turn.user_id) or []
    page = [Insert(turn.conversation_id, x["role"], x["content"]) for x in turn.messages]
    await turn.store.write(*[Delete(x.id) for x in lines], *page, turn.row())
    yield DONE


async def keeps_connections(turn: Turn) -> Events:
    """A turn holds a connection, and gives it back only where it comes to its end."""
    handle = turn.store.open()
    _held.append(handle)
    await handle.history(turn.conversation_id, turn.user_id)
    async for chunk in turn.relay():
        yield chunk
    await turn.save()
    _held.remove(handle)
    await handle.close()
    yield DONE
