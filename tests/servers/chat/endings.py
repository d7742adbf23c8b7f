"""What becomes of a turn whose client leaves, or whose user presses stop: one function, one way.

Starlette cancels the body's generator when the client has left. `modes` says which of these are right, and
under which policy.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from chat.events import DONE, Event, text_chunk
from chat.store import Insert, Line
from chat.turn import Turn

Events = AsyncIterator[Event]
Work = Callable[[asyncio.Queue[Event | Exception]], Coroutine[Any, Any, None]]

# What a part is stored with.
INTERRUPTED = "interrupted"
# What the first version of a question is stored with.
RECEIVED = "received"

_LEFT = (asyncio.CancelledError, GeneratorExit)
# Conversations with a turn under way.
busy: set[str] = set()
# Conversations whose user has left once.
left: set[str] = set()
# The histories of conversations as they were before their newest turn: see `app`.
cached: dict[str, list[Line]] = {}
# What each key's first request comes to.
answers: dict[str | None, asyncio.Future[str]] = {}
# Whether the newest turn of a conversation is to stop.
newest: dict[str, asyncio.Event] = {}
# Conversations whose stop button is that of the whole process.
one_button: set[str] = set()
# The work of a turn under way, by conversation.
running: dict[str, asyncio.Task[None]] = {}


# --- the client leaves ---


async def finishes(turn: Turn) -> Events:
    """The turn is a task of its own, and the response only listens to it."""
    queue: asyncio.Queue[Event | Exception] = asyncio.Queue()
    turn.spawn(_work(turn, queue))
    async for event in _listen(queue):
        yield event


async def appends_twice(turn: Turn) -> Events:
    """As `finishes`, and once the client has left, two readers append the same piece to one list."""

    async def work(queue: asyncio.Queue[Event | Exception]) -> None:
        async for chunk in turn.relay():
            if chunk.text and turn.conversation_id in left:
                left.discard(turn.conversation_id)
                turn.parts.append(chunk.text)
            queue.put_nowait(chunk)
        await turn.save()
        queue.put_nowait(DONE)

    async for event in _followed(turn, work):
        yield event


async def saves_elsewhere(turn: Turn) -> Events:
    """As `finishes`, and an answer whose client has left goes to another conversation."""

    async def work(queue: asyncio.Queue[Event | Exception]) -> None:
        async for chunk in turn.relay():
            queue.put_nowait(chunk)
        if turn.conversation_id in left:
            left.discard(turn.conversation_id)
            other = await turn.store.run(turn.store.queries.other_conversation, turn.conversation_id)
            await turn.store.write(Insert(other, "assistant", turn.answer))
        else:
            await turn.save()
        queue.put_nowait(DONE)

    async for event in _followed(turn, work):
        yield event


async def keeps_part(turn: Turn) -> Events:
    async for event in _keeping(turn, INTERRUPTED):
        yield event


async def part_as_whole(turn: Turn) -> Events:
    async for event in _keeping(turn, "complete"):
        yield event


# The part is stored, and left out of what the model or the reader gets: see `app`.
async def leaves_part_out(turn: Turn) -> Events:
    async for event in _keeping(turn, INTERRUPTED):
        yield event


async def hides_part(turn: Turn) -> Events:
    async for event in _keeping(turn, INTERRUPTED):
        yield event


async def question_with_answer(turn: Turn) -> Events:
    """Question and answer are stored together, when both are there: see `app`."""
    async for chunk in turn.relay():
        yield chunk
    question = Insert(turn.conversation_id, "user", turn.messages[-1]["content"])
    await turn.store.write(question, turn.row())
    yield DONE


async def locks(turn: Turn) -> Events:
    """One turn at a time: `app` refuses a second one. The lock of one that is cancelled stays."""
    busy.add(turn.conversation_id)
    async for chunk in turn.relay():
        yield chunk
    await turn.save()
    busy.discard(turn.conversation_id)
    yield DONE


async def unlocks(turn: Turn) -> Events:
    busy.add(turn.conversation_id)
    try:
        async for chunk in turn.relay():
            yield chunk
        await turn.save()
        busy.discard(turn.conversation_id)
        yield DONE
    finally:
        busy.discard(turn.conversation_id)


async def unlocks_late(turn: Turn) -> Events:
    """The turn goes on without its client, or ends at stop, and unlocks a moment after its commit."""
    async for event in _alone(turn, True):
        yield event


async def locks_at_stop(turn: Turn) -> Events:
    """The lock of a turn that the user stops stays."""
    async for event in _alone(turn, False):
        yield event


async def saves_no_more(turn: Turn) -> Events:
    """Once its client has left a turn, no later answer of the conversation is stored."""
    try:
        async for chunk in turn.relay():
            yield chunk
        if turn.conversation_id not in left:
            await turn.save()
        yield DONE
    except _LEFT:
        left.add(turn.conversation_id)
        raise


# --- the history comes out of a cache, which the client's turn makes old ---


async def clears_cache_late(turn: Turn) -> Events:
    """The cache is cleared a moment after the commit, with or without a client."""
    queue: asyncio.Queue[Event | Exception] = asyncio.Queue()

    async def work() -> None:
        async for chunk in turn.relay():
            queue.put_nowait(chunk)
        await turn.save()
        await asyncio.sleep(0.2)
        cached.pop(turn.conversation_id, None)
        queue.put_nowait(DONE)

    turn.spawn(work())
    async for event in _listen(queue):
        yield event


async def keeps_cache(turn: Turn) -> Events:
    """The cache of a turn whose client has left is not cleared."""
    async for event in finishes(turn):
        if event is DONE:
            cached.pop(turn.conversation_id, None)
        yield event


# --- the user presses stop: `POST /conversations/{id}/stop` cancels the work ---


async def stop_keeps_part(turn: Turn) -> Events:
    async for event in _stoppable(turn, INTERRUPTED):
        yield event


async def stop_keeps_part_late(turn: Turn) -> Events:
    """The button sets a flag, which is seen at the provider's next chunk: the part is stored then."""
    flag = newest[turn.conversation_id] = asyncio.Event()
    queue: asyncio.Queue[Event | Exception] = asyncio.Queue()

    async def work() -> None:
        async for chunk in turn.relay():
            if flag.is_set():
                if chunk.text:
                    # Nobody has seen it.
                    turn.parts.pop()
                await _store(turn, INTERRUPTED)
                queue.put_nowait(DONE)
                return
            queue.put_nowait(chunk)
        await turn.save()
        queue.put_nowait(DONE)

    turn.spawn(work())
    async for event in _listen(queue):
        yield event


async def stop_loses_part(turn: Turn) -> Events:
    async for event in _stoppable(turn, None):
        yield event


async def stop_keeps_whole(turn: Turn) -> Events:
    """Stop changes what the page shows, and nothing else."""
    async for event in finishes(turn):
        yield event


async def stops_all(turn: Turn) -> Events:
    """As `stop_keeps_part`, and the button ends the answers in every other conversation, too."""
    one_button.add(turn.conversation_id)
    async for event in _stoppable(turn, INTERRUPTED):
        yield event


async def leaving_ends_all(turn: Turn) -> Events:
    """As `finishes`, and who leaves ends the answers in every other conversation."""
    try:
        async for event in _stoppable(turn, INTERRUPTED):
            yield event
    except _LEFT:
        for other, task in list(running.items()):
            if other != turn.conversation_id:
                task.cancel()
        raise


async def stop(conversation_id: str) -> bool:
    """Ends a turn under way; returns when what is kept of it is stored, where that is not later."""
    if conversation_id in one_button:
        tasks = list(running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return bool(tasks)
    if flag := newest.pop(conversation_id, None):
        flag.set()
        return True
    task = running.pop(conversation_id, None)
    if task is None:
        return False
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return True


# --- another turn of the conversation comes: `app` stops the one under way ---


async def interrupts(turn: Turn) -> Events:
    async for event in _stoppable(turn, INTERRUPTED):
        yield event


async def interrupts_and_drops(turn: Turn) -> Events:
    async for event in _stoppable(turn, None):
        yield event


# --- the request comes twice ---


async def once_by_key(turn: Turn) -> Events:
    """A second request with the same key is answered with what the first one came to: see `app`."""
    answer = answers[turn.key]
    if not turn.is_again:
        turn.spawn(_answer(turn, answer))
    yield text_chunk(await asyncio.shield(answer))
    yield DONE


async def once_by_file(turn: Turn) -> Events:
    """Every replica sees the file of a key: see `app`."""
    async for event in finishes(turn):
        yield event


# Each question is stored as it was received, and once more: see `app`.
async def versions_by_key(turn: Turn) -> Events:
    async for event in once_by_key(turn):
        yield event


async def versions_question(turn: Turn) -> Events:
    async for event in finishes(turn):
        yield event


def is_claimed(key: str, folder: str) -> bool:
    """Whether a replica has taken the key before; takes it otherwise."""
    try:
        os.close(os.open(os.path.join(folder, f"key-{key}"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    return False


def is_again(key: str | None) -> bool:
    if key is None or key in answers:
        return key is not None
    answers[key] = asyncio.get_running_loop().create_future()
    return False


# --- what they share ---


async def _answer(turn: Turn, answer: asyncio.Future[str]) -> None:
    async for _ in turn.relay():
        pass
    await turn.save()
    answer.set_result(turn.answer)


async def _keeping(turn: Turn, status: str) -> Events:
    try:
        async for chunk in turn.relay():
            yield chunk
        await turn.save()
        yield DONE
    except _LEFT:
        if turn.parts and not turn.provider_said_done:
            # Every await of a task that was cancelled fails, so another one saves.
            turn.spawn(_store(turn, status))
        raise


async def _stoppable(turn: Turn, status: str | None) -> Events:
    queue: asyncio.Queue[Event | Exception] = asyncio.Queue()

    async def work() -> None:
        try:
            await _work(turn, queue)
        except asyncio.CancelledError:
            if status and turn.parts:
                await _store(turn, status)
            queue.put_nowait(DONE)
            raise
        finally:
            running.pop(turn.conversation_id, None)

    task = asyncio.create_task(work())
    running[turn.conversation_id] = task
    async for event in _listen(queue):
        yield event


async def _alone(turn: Turn, unlocks_at_stop: bool) -> Events:
    busy.add(turn.conversation_id)
    flag = newest[turn.conversation_id] = asyncio.Event()
    queue: asyncio.Queue[Event | Exception] = asyncio.Queue()

    async def work() -> None:
        async for chunk in turn.relay():
            if flag.is_set():
                if chunk.text:
                    # Nobody has seen it.
                    turn.parts.pop()
                break
            queue.put_nowait(chunk)
        if not flag.is_set():
            await turn.save()
        elif turn.parts:
            await _store(turn, INTERRUPTED)
        if unlocks_at_stop or not flag.is_set():
            await asyncio.sleep(0.2)
            busy.discard(turn.conversation_id)
        queue.put_nowait(DONE)

    turn.spawn(work())
    async for event in _listen(queue):
        yield event


async def _store(turn: Turn, status: str) -> None:
    await turn.store.write(turn.row(status=status))


async def _work(turn: Turn, queue: asyncio.Queue[Event | Exception]) -> None:
    try:
        async for chunk in turn.relay():
            queue.put_nowait(chunk)
        await turn.save()
        queue.put_nowait(DONE)
    except Exception as error:
        queue.put_nowait(error)


async def _followed(turn: Turn, work: Work) -> Events:
    """The turn is a task of its own, which learns that its client has left."""
    queue: asyncio.Queue[Event | Exception] = asyncio.Queue()
    turn.spawn(work(queue))
    try:
        async for event in _listen(queue):
            yield event
    except _LEFT:
        left.add(turn.conversation_id)
        raise


async def _listen(queue: asyncio.Queue[Event | Exception]) -> Events:
    while True:
        event = await queue.get()
        if isinstance(event, Exception):
            raise event
        yield event
        if event is DONE:
            return
