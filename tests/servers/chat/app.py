"""The HTTP server."""

import asyncio
import gzip
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

from chat import again, buffer, crowded, endings, resuming, schema, transport
from chat.auth import COOKIE, current_user, signed
from chat.modes import MODES
from chat.provider import Provider
from chat.settings import Settings
from chat.store import Handle, Insert, Line, Store, Touch, open_store
from chat.stream import frames, numbered, unguarded
from chat.turn import Turn
from chat.wire import WIRES

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)

settings = Settings.from_env()
if settings.mode not in MODES:
    raise SystemExit(f"MODE={settings.mode}: expected one of {', '.join(MODES)}")
respond = transport.load(settings.transport)

PAGE = 3
SLOW_FIRST = 2.0
# Conversations that this process began; the next one knows nothing of them.
begun_here: set[str] = set()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.settings = settings
    app.state.provider = Provider(settings.gateway_url)
    app.state.store = None if settings.mode == "late_store" else begin_store()
    beating = asyncio.create_task(beat(app.state.store)) if settings.beat_ms else None
    yield
    if beating is not None:
        beating.cancel()
    if app.state.store is not None:
        await buffer.flush(app.state.store)
        await app.state.store.dispose()
    await app.state.provider.close()


async def beat(store: Store) -> None:
    """As a presence or a job queue does: a small write, over and over, of no chat."""
    while True:
        await asyncio.sleep(settings.beat_ms / 1000)
        await store.write(Touch("nobody"))


def begin_store() -> Store:
    schema.prepare(settings)
    return open_store(settings.stack, settings.database, settings.busy_timeout)


app = FastAPI(lifespan=lifespan, openapi_url=None)
if settings.cors_origin:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[settings.cors_origin],
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )


async def request_session(request: Request) -> AsyncIterator[Handle | None]:
    if settings.mode != "depends_commit":
        yield None
        return
    async with request.app.state.store.open() as session:
        yield session
        await session.commit()


UserId = Annotated[int | None, Depends(current_user)]
RequestSession = Annotated[Handle | None, Depends(request_session)]


class LoginBody(BaseModel):
    email: str


class ConversationBody(BaseModel):
    title: str | None = None


class ChatBody(BaseModel):
    conversation_id: str | int
    message: str = ""
    # Of modes where the client keeps the history.
    messages: list[dict[str, Any]] = []
    attachment: str | None = None
    attachment_text: str = ""


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/login")
async def login(body: LoginBody, request: Request, response: Response) -> dict[str, str]:
    if settings.accounts == "closed":
        raise HTTPException(401, "no such account")
    store = request.app.state.store
    token = signed(await store.run(store.queries.login, body.email), settings.mode)
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax")
    return {"access_token": token, "token_type": "bearer"}


@app.post("/conversations", status_code=201)
async def create_conversation(
    request: Request, user_id: UserId, body: ConversationBody | None = None
) -> dict[str, str]:
    if request.app.state.store is None:
        request.app.state.store = begin_store()
    store = request.app.state.store
    title = body.title if body else None
    key = await store.run(store.queries.create_conversation, title, user_id)
    begun_here.add(key)
    return {"id": key}


@app.get("/conversations/{conversation_id}/messages")
async def messages(conversation_id: str, request: Request, user_id: UserId) -> list[dict[str, Any]]:
    lines = await find_history(request, conversation_id, user_id)
    if settings.mode == "hides_part":
        lines = [x for x in lines if x.status != endings.INTERRUPTED]
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


@app.get("/files/{key}")
async def file(key: str) -> Response:
    content = again.file(key)
    return Response(status_code=404) if content is None else Response(content)


@app.post("/conversations/{conversation_id}/stop")
async def stop(conversation_id: str) -> dict[str, bool]:
    return {"stopped": await endings.stop(conversation_id)}


class EditBody(BaseModel):
    message: str | None = None


@app.post("/conversations/{conversation_id}/again")
async def post_again(conversation_id: str, body: EditBody, request: Request, user_id: UserId) -> Response:
    """The last turn once more, in other words when there are some."""
    lines = await find_history(request, conversation_id, user_id)
    store, provider = request.app.state.store, request.app.state.provider
    question, writes = again.last_question(lines, conversation_id, body.message, settings.mode)
    await store.write(*writes)
    before = [x for x in lines if x.id < question.id]
    messages = prompt(before, body.message or question.content)
    turn = Turn(store, provider, conversation_id, user_id, messages)
    frames_of = frames(turn, MODES[settings.mode], WIRES[settings.wire])
    return respond(frames_of, None, "text/event-stream")


@app.get("/conversations/{conversation_id}/stream")
async def rest(conversation_id: str, request: Request) -> Response:
    seen = request.headers.get("last-event-id")
    found = resuming.rest(settings.mode, conversation_id, seen)
    if found is None:
        return Response(status_code=204)
    events, after = found
    return respond(numbered(events, WIRES[settings.wire], after), None, "text/event-stream")


@app.post("/chat")
async def post_chat(
    body: ChatBody, request: Request, user_id: UserId, session: RequestSession
) -> Response:
    told = [{"role": x["role"], "content": text_of(x)} for x in body.messages]
    message = told[-1]["content"] if told else body.message
    again.attach(str(body.conversation_id), body.attachment, body.attachment_text, settings.mode)
    return await chat(request, str(body.conversation_id), message, user_id, session, told)


@app.get("/chat")
async def get_chat(
    conversation_id: str, message: str, request: Request, user_id: UserId, session: RequestSession
) -> Response:
    return await chat(request, conversation_id, message, user_id, session)


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
    if settings.mode in ("locks", "unlocks") and conversation_id in endings.busy:
        raise HTTPException(409, "a turn is under way")
    key = request.headers.get("idempotency-key") if settings.mode == "once_by_key" else None
    again = endings.is_again(key)
    claim = request.headers.get("idempotency-key") if settings.mode == "once_by_file" else None
    if claim and endings.is_claimed(claim, os.environ["KEYS"]):
        raise HTTPException(409, "this turn was sent before")
    lines = await find_history(request, conversation_id, user_id)
    store, provider = request.app.state.store, request.app.state.provider
    is_lost = settings.mode == "loses_second_question" and conversation_id in crowded.busy
    if settings.mode not in ("user_lost", "question_with_answer") and not again and not is_lost:
        await store.write(Insert(conversation_id, "user", message))
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
