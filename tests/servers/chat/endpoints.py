"""What the server does for each request, whatever framework has declared its route."""

import asyncio
import gzip
import os
from typing import Any

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from chat import again, buffer, crowded, endings, resuming, schema, transport
from chat.auth import COOKIE, signed
from chat.modes import MODES
from chat.provider import Provider
from chat.settings import Settings
from chat.store import Handle, Insert, Line, Store, open_store
from chat.stream import frames, numbered, unguarded
from chat.turn import Turn
from chat.wire import WIRES

settings = Settings.from_env()
respond = transport.load(settings.transport)

PAGE = 3
SLOW_FIRST = 2.0
# Conversations that this process began; the next one knows nothing of them.
begun_here: set[str] = set()


def begin_store() -> Store:
    schema.prepare(settings)
    return open_store(settings.stack, settings.database, settings.busy_timeout)


async def login(request: Request, email: str) -> Response:
    if settings.accounts == "closed":
        raise HTTPException(401, "no such account")
    store = request.app.state.store
    token = signed(await store.run(store.queries.login, email), settings.mode)
    response = JSONResponse({"access_token": token, "token_type": "bearer"})
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax")
    return response


async def create_conversation(request: Request, user_id: int | None, title: str | None) -> dict[str, str]:
    if request.app.state.store is None:
        request.app.state.store = begin_store()
    store = request.app.state.store
    key = await store.run(store.queries.create_conversation, title, user_id)
    begun_here.add(key)
    return {"id": key}


async def messages(request: Request, user_id: int | None, conversation_id: str) -> list[dict[str, Any]]:
    lines = endings.cached.get(conversation_id)
    if lines is None:
        lines = await find_history(request, conversation_id, user_id)
    if settings.mode == "hides_part":
        lines = [x for x in lines if x.status != endings.INTERRUPTED]
    lines = [x for x in lines if x.status != endings.RECEIVED]
    if settings.mode == "history_reversed":
        lines.reverse()
    if settings.mode == "history_paged":
        lines = lines[-PAGE:]
    if settings.mode == "history_in_memory" and conversation_id not in begun_here:
        lines = []
    return [
        {"id": x.id, "role": x.role, "content": x.content, "created_at": x.created_at}
        | (files_of(conversation_id) if x.role == "user" else {})
        for x in lines
    ]


def files_of(conversation_id: str) -> dict[str, list[str]]:
    return {"attachments": again.attached(conversation_id), "urls": again.urls(conversation_id)}


def file(key: str) -> Response:
    content = again.file(key)
    return Response(status_code=404) if content is None else Response(content)


async def answer_again(
    request: Request, user_id: int | None, conversation_id: str, message: str | None
) -> Response:
    """The last turn once more, in other words when there are some."""
    lines = await find_history(request, conversation_id, user_id)
    store, provider = request.app.state.store, request.app.state.provider
    question, writes = again.last_question(lines, conversation_id, message, settings.mode)
    await store.write(*writes)
    before = [x for x in lines if x.id < question.id]
    turn = Turn(store, provider, conversation_id, user_id, prompt(before, message or question.content))
    frames_of = frames(turn, MODES[settings.mode], WIRES[settings.wire])
    return respond(frames_of, None, "text/event-stream")


def rest(request: Request, conversation_id: str) -> Response:
    seen = request.headers.get("last-event-id")
    found = resuming.rest(settings.mode, conversation_id, seen)
    if found is None:
        return Response(status_code=204)
    events, after = found
    return respond(numbered(events, WIRES[settings.wire], after), None, "text/event-stream")


async def chat_with_files(
    request: Request, user_id: int | None, session: Handle | None, asked: dict[str, Any]
) -> Response:
    """`messages` come in modes where the client keeps the history."""
    told = [{"role": x["role"], "content": text_of(x)} for x in asked.get("messages", [])]
    message = told[-1]["content"] if told else asked.get("message", "")
    key = str(asked["conversation_id"])
    again.attach(key, asked.get("attachment"), asked.get("attachment_text", ""), settings.mode)
    return await chat(request, key, message, user_id, session, told)


async def chat(
    request: Request,
    conversation_id: str,
    message: str,
    user_id: int | None,
    session: Handle | None,
    told: list[dict[str, str]] = [],
) -> Response:
    if settings.mode == "html":
        return HTMLResponse("<!doctype html><title>Chat</title><p>Please log in.</p>")
    if settings.mode == "compressed":
        packed = gzip.compress(b"data: [DONE]\n\n")
        return Response(packed, media_type="text/event-stream", headers={"content-encoding": "gzip"})
    if settings.mode == "status_500":
        return JSONResponse({"detail": "Internal Server Error"}, 500)
    if settings.mode == "mute":
        await asyncio.sleep(3600)
    if settings.mode == "slow_first" and len(begun_here) == 1:
        await asyncio.sleep(SLOW_FIRST)
    if conversation_id in endings.busy:
        raise HTTPException(409, "a turn is under way")
    if settings.mode in ("interrupts", "interrupts_and_drops"):
        await endings.stop(conversation_id)
    knows_keys = settings.mode in ("once_by_key", "versions_by_key")
    key = request.headers.get("idempotency-key") if knows_keys else None
    again = endings.is_again(key)
    claim = request.headers.get("idempotency-key") if settings.mode == "once_by_file" else None
    if claim and endings.is_claimed(claim, os.environ["KEYS"]):
        raise HTTPException(409, "this turn was sent before")
    lines = await find_history(request, conversation_id, user_id)
    if settings.mode in ("clears_cache_late", "keeps_cache"):
        endings.cached[conversation_id] = lines
    store, provider = request.app.state.store, request.app.state.provider
    is_lost = settings.mode == "loses_second_question" and conversation_id in crowded.busy
    if settings.mode not in ("user_lost", "question_with_answer") and not again and not is_lost:
        has_versions = settings.mode in ("versions_by_key", "versions_question")
        statuses = [endings.RECEIVED, "complete"] if has_versions else ["complete"]
        await store.write(*[Insert(conversation_id, "user", message, status) for status in statuses])
    await ask_aside(provider, message)
    messages = (told or prompt(lines, message)) if settings.mode != "forgets_context" else prompt([], message)
    turn = Turn(store, provider, conversation_id, user_id, messages, session, key=key, is_again=again)
    media = "text/plain" if settings.mode == "not_sse" else "text/event-stream"
    relay = unguarded if settings.mode == "unguarded" else frames
    wire = WIRES[settings.wire]
    if settings.mode in resuming.MODES:
        body = numbered(MODES[settings.mode].strategy(turn), wire, 0)
    else:
        body = relay(turn, MODES[settings.mode], wire)
    return respond(body, BackgroundTask(turn.run_after_response), media)


def text_of(message: dict[str, Any]) -> str:
    return message.get("content") or "".join(part["text"] for part in message["parts"])


async def ask_aside(provider: Provider, message: str) -> None:
    if settings.mode == "titles":
        prompt = [{"role": "user", "content": f"Make a title for: {message}"}]
        await provider.aside("/chat/completions", {"model": "titles", "messages": prompt})
    if settings.mode == "speech":
        await provider.aside("/audio/speech", {"model": "speech", "input": message})


async def find_history(request: Request, conversation_id: str, user_id: int | None) -> list[Line]:
    lines = await request.app.state.store.history(conversation_id, user_id)
    if lines is None:
        raise HTTPException(404, "Conversation not found")
    return [*lines, *buffer.waiting(conversation_id)]


def prompt(lines: list[Line], message: str) -> list[dict[str, str]]:
    told = ["complete"] if settings.mode == "leaves_part_out" else ["complete", endings.INTERRUPTED]
    past = [{"role": x.role, "content": x.content} for x in lines if x.status in told]
    # As images in base64 make a request large.
    images = [{"role": "system", "content": "A" * (settings.prompt_mb << 20)}]
    return [*(images if settings.prompt_mb else []), *past, {"role": "user", "content": message}]
