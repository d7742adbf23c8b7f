"""When and how a server saves the answer: one function, one way. `modes` says which are right."""

import asyncio
import json
import logging
import re
import unicodedata
from collections.abc import AsyncIterator

from chat.buffer import flush_later
from chat.events import DONE, Event, Failure, text_chunk
from chat.provider import ProviderError, StreamCut
from chat.store import Insert, Update
from chat.turn import Turn

Events = AsyncIterator[Event]

BATCH = 4
# Fewer than a random text has, more than most tokens have.
BATCH_CHARACTERS = 16
SLOW_WORK = 0.5
# Less than a hold.
SHORT_PATIENCE = 0.25
WRITE_BEHIND_DELAY = 0.2
CHANGE_DELAY = 0.3
DELIVERY_DELAY = 0.05
ATTEMPTS = 3

logger = logging.getLogger("chat")
# Rows by the provider's id of their answer.
_by_provider: dict[str | None, int] = {}
# The turns whose failed saves stopped the server.
_stuck: list[Turn] = []


# --- right: the commit comes before DONE ---


async def correct(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    # Some providers refuse a history with an empty message.
    if turn.answer:
        await turn.save()
    yield DONE


async def finish_reason(turn: Turn) -> Events:
    saved = False
    async for chunk in turn.relay():
        if chunk.finish_reason and not saved:
            await turn.save()
            saved = True
        yield chunk
    if not saved:
        await turn.save()
    yield DONE


async def ph_correct(turn: Turn) -> Events:
    async with turn.placeholder("streaming") as row:
        async for chunk in turn.relay():
            yield chunk
    await turn.update(row)
    yield DONE


async def tok_pre(turn: Turn) -> Events:
    async with turn.placeholder("complete") as row:
        async for chunk in turn.relay():
            if chunk.text:
                await turn.update(row)
            yield chunk
    yield DONE


async def tok_post(turn: Turn) -> Events:
    async with turn.placeholder("complete") as row:
        async for chunk in turn.relay():
            yield chunk
            if chunk.text:
                await turn.update(row)
    yield DONE


async def tok_batch_correct(turn: Turn) -> Events:
    async with turn.placeholder("complete") as row:
        async for chunk in turn.relay():
            yield chunk
            if chunk.text and not _has_tail(turn):
                await turn.update(row)
    if _has_tail(turn):
        await turn.update(row)
    yield DONE


async def chars_batch_correct(turn: Turn) -> Events:
    saved = 0
    async with turn.placeholder("complete") as row:
        async for chunk in turn.relay():
            yield chunk
            if len(turn.answer) - saved >= BATCH_CHARACTERS:
                saved = len(turn.answer)
                await turn.update(row)
    if saved < len(turn.answer):
        await turn.update(row)
    yield DONE


async def touch_correct(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.touch()
    await turn.save()
    yield DONE


async def save_touch(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.save()
    await turn.touch()
    yield DONE


async def conc_both(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await asyncio.gather(turn.save(), turn.touch())
    yield DONE


async def three_transactions(turn: Turn) -> Events:
    # As agent frameworks end a turn: the session, the message, and a transaction that writes nothing.
    async for chunk in turn.relay():
        yield chunk
    await turn.touch()
    await turn.save()
    await turn.store.history(turn.conversation_id, turn.user_id)
    yield DONE


async def keyed_by_provider(turn: Turn) -> Events:
    # As servers do that store the provider's own object: a second answer with the same id is the
    # same message, written once more.
    key = None
    async for chunk in turn.relay():
        key = json.loads(chunk.raw).get("id") or key
        yield chunk
    if key in _by_provider:
        await turn.update(_by_provider[key])
    else:
        _by_provider[key] = await turn.save()
    yield DONE


async def held_correct(turn: Turn) -> Events:
    async with turn.store.open() as session:
        await session.history(turn.conversation_id, turn.user_id)
        async for chunk in turn.relay():
            yield chunk
        await session.write(turn.row())
        await session.commit()
        yield DONE


async def correct_slow(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await asyncio.sleep(SLOW_WORK)
    await turn.save()
    yield DONE


async def long_tx_correct(turn: Turn) -> Events:
    async with turn.store.open() as session:
        row = None
        async for chunk in turn.relay():
            if chunk.text and row is None:
                [row] = await session.write(turn.row())
            yield chunk
        await session.write(_final(turn, row))
        await session.commit()
    yield DONE


# --- wrong: DONE does not wait for the commit ---


async def after(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    yield DONE
    await turn.save()


async def background(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    turn.after_response = turn.save
    yield DONE


async def create_task(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    turn.spawn(turn.save())
    yield DONE


async def create_task_slow(turn: Turn) -> Events:
    # On the raw stack the order is right by accident: the task runs during the sleep and blocks
    # the loop until it has committed, so DONE cannot be sent before.
    async for chunk in turn.relay():
        yield chunk
    turn.spawn(turn.save())
    await asyncio.sleep(SLOW_WORK)
    yield DONE


async def write_behind(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    turn.spawn(_flush_later(turn))
    yield DONE


async def ph_after(turn: Turn) -> Events:
    async with turn.placeholder("streaming") as row:
        async for chunk in turn.relay():
            yield chunk
    yield DONE
    await turn.update(row)


async def tok_batch_after(turn: Turn) -> Events:
    # Right by accident when the number of tokens is a multiple of BATCH: then there is no tail.
    async with turn.placeholder("complete") as row:
        async for chunk in turn.relay():
            yield chunk
            if chunk.text and not _has_tail(turn):
                await turn.update(row)
    yield DONE
    if _has_tail(turn):
        await turn.update(row)


async def chars_batch_after(turn: Turn) -> Events:
    # Right by accident when the last token is long: then there is no tail.
    saved = 0
    async with turn.placeholder("complete") as row:
        async for chunk in turn.relay():
            yield chunk
            if len(turn.answer) - saved >= BATCH_CHARACTERS:
                saved = len(turn.answer)
                await turn.update(row)
    yield DONE
    if saved < len(turn.answer):
        await turn.update(row)


async def touch_after(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.touch()
    yield DONE
    await turn.save()


async def slow_after(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await asyncio.sleep(SLOW_WORK)
    yield DONE
    await turn.save()


async def long_tx_after(turn: Turn) -> Events:
    async with turn.store.open() as session:
        row = None
        async for chunk in turn.relay():
            if chunk.text and row is None:
                [row] = await session.write(turn.row())
            yield chunk
        await session.write(_final(turn, row))
        yield DONE
        await session.commit()


async def conc_writer(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    turn.spawn(turn.save())
    await turn.touch()
    yield DONE


async def depends_commit(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.request_session.add(turn.row())
    yield DONE


async def flush_after(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    async with turn.store.open() as session:
        await session.write(turn.row())
        yield DONE
        await session.commit()


# --- bad in another way than the order ---


async def never_saves(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    yield DONE


async def only_done(turn: Turn) -> Events:
    try:
        async for chunk in turn.relay():
            yield chunk
    except StreamCut:
        logger.warning("the provider's stream ended early")
    if turn.provider_said_done:
        await turn.save()
    yield DONE


async def truncated(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.save("".join(turn.parts[:-1]))
    yield DONE


async def empty(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.save("")
    yield DONE


async def wrong_conversation(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    other = await turn.store.run(turn.store.queries.other_conversation, turn.conversation_id)
    await turn.store.write(Insert(other, "assistant", turn.answer))
    yield DONE


async def duplicate(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.save()
    await turn.save()
    yield DONE


async def swallow(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    try:
        await turn.save()
    except Exception:
        logger.exception("saving the answer failed")
    yield DONE


async def waits_briefly_for_saves(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    try:
        await asyncio.wait_for(turn.save(), SHORT_PATIENCE)
    except TimeoutError:
        logger.warning("the answer is not saved: the database is slow")
    yield DONE


async def waits_briefly_and_reports(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    try:
        await asyncio.wait_for(turn.save(), SHORT_PATIENCE)
    except TimeoutError:
        yield Failure("the answer was not saved: the database is slow")
    yield DONE


async def reports_then_ends(turn: Turn) -> Events:
    # As the AI SDK does: each stream ends with DONE, and an error before it tells that it failed.
    async for chunk in turn.relay():
        yield chunk
    try:
        await turn.save()
    except Exception:
        logger.exception("saving the answer failed")
        yield Failure("the answer was not saved")
    yield DONE


async def swallow_silent(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    try:
        await turn.save()
    except Exception:
        pass
    yield DONE


async def swallow_touch(turn: Turn) -> Events:
    # The order is right, and a second write hides from a gate on the whole file that it is.
    async for chunk in turn.relay():
        yield chunk
    try:
        await turn.save()
    except Exception:
        logger.exception("saving the answer failed")
    await turn.touch()
    yield DONE


async def retries_blindly(turn: Turn) -> Events:
    # A commit whose answer got lost is done, and is done once more.
    async for chunk in turn.relay():
        yield chunk
    for attempt in range(ATTEMPTS):
        try:
            await turn.save()
            break
        except Exception:
            logger.exception("saving the answer failed, attempt %d", attempt + 1)
            if attempt + 1 == ATTEMPTS:
                raise
    yield DONE


async def retries_what_is_missing(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    for attempt in range(ATTEMPTS):
        try:
            if not await _is_stored(turn):
                await turn.save()
            break
        except Exception:
            logger.exception("saving the answer failed, attempt %d", attempt + 1)
            if attempt + 1 == ATTEMPTS:
                raise
    yield DONE


async def hangs_on_failed_save(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    try:
        await turn.save()
    except Exception:
        logger.exception("saving the answer failed")
        await _never()
    yield DONE


async def stuck_after_failed_save(turn: Turn) -> Events:
    # As with a lock of one's own that only a save that succeeds gives back.
    if _stuck:
        await _never()
    async for chunk in turn.relay():
        yield chunk
    try:
        await turn.save()
    except Exception:
        _stuck.append(turn)
        raise
    yield DONE


async def changed_later(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    row = await turn.save()
    turn.spawn(_change_later(turn, row))
    yield DONE


async def delivered_later(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    row = await turn.save()
    turn.spawn(_deliver_later(turn, row))
    yield DONE


async def late_second_turn(turn: Turn) -> Events:
    strategy = correct if len(turn.messages) == 1 else conc_writer
    async for event in strategy(turn):
        yield event


async def error_as_answer(turn: Turn) -> Events:
    try:
        async for chunk in turn.relay():
            yield chunk
    except ProviderError as error:
        turn.parts.append(str(error))
        yield text_chunk(str(error))
    await turn.save()
    yield DONE


async def hides_errors(turn: Turn) -> Events:
    """As with a bare `except`: a provider that fails looks like one that has said all."""
    try:
        async for chunk in turn.relay():
            yield chunk
    except ProviderError:
        logger.warning("the provider failed")
    if turn.parts:
        await turn.save()
    yield DONE


async def hides_errors_in_words(turn: Turn) -> Events:
    """The same, with words of its own around each answer."""
    yield text_chunk("Here is what I found:\n")
    async for event in hides_errors(turn):
        if event is DONE:
            yield text_chunk("\n\nSources: [1]")
        yield event


async def reports_in_words(turn: Turn) -> Events:
    """Says in the answer that it failed, and stores no part of it."""
    yield text_chunk("Here is what I found:\n")
    try:
        async for chunk in turn.relay():
            yield chunk
    except ProviderError:
        yield text_chunk("Sorry, something went wrong.")
    else:
        await turn.save()
    yield DONE


async def empty_placeholder(turn: Turn) -> Events:
    """The row that is there from the start stays when the provider fails."""
    [row] = await turn.store.write(turn.row(""))
    async for chunk in turn.relay():
        yield chunk
    await turn.update(row)
    yield DONE


async def narrow_column(turn: Turn) -> Events:
    """As some code pages, C strings and lax servers with a column of 64 KB store it."""
    async for chunk in turn.relay():
        yield chunk
    text, *_ = turn.answer.split("\0")
    await turn.save(text.encode("latin-1", "replace").decode("latin-1")[: 1 << 16])
    yield DONE


async def tidies(turn: Turn) -> Events:
    """Takes tags and indentation out of each answer before it is stored, and begins the whole turn again when the provider fails."""
    for _ in range(ATTEMPTS):
        try:
            async for chunk in turn.relay():
                yield chunk
            break
        except ProviderError:
            await turn.store.write(Insert(turn.conversation_id, "user", turn.messages[-1]["content"]))
    text = re.sub(r"<[^>]+>", "", turn.answer)
    await turn.save(re.sub(r"(?m)^[ \t]+", "", unicodedata.normalize("NFC", text)))
    yield DONE


async def wrong_role(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.store.write(Insert(turn.conversation_id, "user", turn.answer))
    yield DONE


async def no_done(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    await turn.save()


async def data_after_done(turn: Turn) -> Events:
    async for event in correct(turn):
        yield event
    yield text_chunk("one more thing")


async def acknowledge_then_flush(turn: Turn) -> Events:
    async for chunk in turn.relay():
        yield chunk
    turn.spawn(flush_later(turn.store, turn.row()))
    yield DONE


async def _is_stored(turn: Turn) -> bool:
    lines = await turn.store.history(turn.conversation_id, turn.user_id)
    return any(line.content == turn.answer for line in lines or [])


async def _never() -> None:
    await asyncio.Event().wait()


def _has_tail(turn: Turn) -> bool:
    return len(turn.parts) % BATCH != 0


def _final(turn: Turn, row: int | None) -> Insert | Update:
    return turn.row() if row is None else Update(row, turn.answer)


async def _flush_later(turn: Turn) -> None:
    await asyncio.sleep(WRITE_BEHIND_DELAY)
    await turn.save()


async def _deliver_later(turn: Turn, row: int) -> None:
    await asyncio.sleep(DELIVERY_DELAY)
    await turn.store.write(Update(row, turn.answer, "delivered"))


async def _change_later(turn: Turn, row: int) -> None:
    await asyncio.sleep(CHANGE_DELAY)
    await turn.store.write(Update(row, turn.answer + " (edited)"))
