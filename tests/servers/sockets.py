"""A small chat server whose answers come over a WebSocket.

    python sockets.py --db chat.db --port 8000 --gateway http://127.0.0.1:9191/v1 --wire WIRE

`--wire` says what is spoken: `own` (JSON messages at `/ws`, after a `ready` of the server), `openai-responses`
(the same events as over SSE, a message each), `khoj` (pieces of text and events of JSON, with the same
characters after each), `open-webui` (Socket.IO; the turn comes as an HTTP request that names the socket), or
`chainlit` (Socket.IO; the turn is an event). `--save before` the final marker, or `--save MS`: so many
milliseconds after it. `--left finish` brings an answer to its end when its client leaves, `--left drop`
forgets it. `--close` closes the socket after the final marker. `--fails` ends an answer with an error. A message
of the kind `stop` ends an answer that is then not stored (`--stop drop`), or nothing (`--stop ignore`). One of the
kind `again` brings another answer, in the place of the old one (`--again replace`) or after it (`--again add`); one of
the kind `edit` does so for other words of the question. The events of `own` are numbered, and `resume` asks for those
`after` a number: `--resume` sends what is missing (`rest`), also the last one that the client has (`twice`), only
what comes from now on (`now`), or closes the socket (`refuse`). A page of Socket.IO keeps its name when it connects again
(`sessionId` or `page` of what it gives): Chainlit's then gets the whole answer again (`rest`), Open WebUI's what comes from
then on, and at the end all of it (`rest`) or not (`now`). `refuse` does not let it in while its answer is under way.
"""

import argparse
import asyncio
import contextlib
import json
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import socketio
import uvicorn
from asking import ask
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from wires import wire

arguments = argparse.ArgumentParser()
arguments.add_argument("--db", required=True)
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--gateway", required=True)
arguments.add_argument("--wire", required=True, choices=["own", "openai-responses", "khoj", "open-webui", "chainlit"])
arguments.add_argument("--save", default="before")
arguments.add_argument("--left", default="finish", choices=["finish", "drop"])
arguments.add_argument("--close", action="store_true")
arguments.add_argument("--fails", action="store_true")
arguments.add_argument("--stop", default="drop", choices=["drop", "ignore"])
arguments.add_argument("--again", default="replace", choices=["replace", "add"])
arguments.add_argument("--resume", default="rest", choices=["rest", "twice", "now", "refuse"])
options = arguments.parse_args()

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
tasks: set[asyncio.Task[None]] = set()

Say = Callable[[Any], Awaitable[None]]


def database() -> sqlite3.Connection:
    return sqlite3.connect(options.db, timeout=10, isolation_level=None)


def keep(chat: str, role: str, text: str) -> None:
    with closing(database()) as db:
        db.execute("INSERT INTO message (chat, role, content) VALUES (?, ?, ?)", (chat, role, text))


def drop_last(chat: str, role: str) -> None:
    with closing(database()) as db:
        db.execute("DELETE FROM message WHERE id = (SELECT max(id) FROM message WHERE chat = ? AND role = ?)", (chat, role))


def messages(chat: str) -> list[dict[str, str]]:
    with closing(database()) as db:
        rows = db.execute("SELECT role, content FROM message WHERE chat = ? ORDER BY id", (chat,))
        return [{"role": role, "content": text} for role, text in rows]


def history(request: Request) -> Response:
    return JSONResponse(messages(request.path_params["chat"]))


def health(_: Request) -> Response:
    return JSONResponse("ok")


class Run:
    """An answer under way, for who comes back."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.more = asyncio.Event()
        self.is_over = False

    def end(self) -> None:
        self.is_over = True
        self.more.set()

    def add(self, event: Any) -> Any:
        if options.wire == "own":
            event = {**event, "n": len(self.events) + 1}
        self.events.append(event)
        self.more.set()
        self.more = asyncio.Event()
        return event

    async def tell_after(self, number: int, say: Say) -> None:
        """Its events after the first few, up to the last one."""
        while True:
            more = self.more
            for event in self.events[number:]:
                number += 1
                await say(event)
            if number < len(self.events):
                continue
            if self.is_over:
                return
            await more.wait()


# By chat.
runs: dict[str, Run] = {}


async def answer(chat: str, question: str | None, say: Say, events: "Events") -> None:
    """Answers a question, or the last one again, whether or not anybody still listens."""
    run = runs[chat] = Run()
    try:
        await answer_in(run, chat, question, say, events)
    finally:
        run.end()
        runs.pop(chat)


async def answer_in(run: Run, chat: str, question: str | None, say: Say, events: "Events") -> None:
    async def tell(event: Any) -> None:
        event = run.add(event)
        if options.left == "drop":
            await say(event)
        else:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await say(event)

    if question is not None:
        await asyncio.to_thread(keep, chat, "user", question)
    elif options.again == "replace":
        await asyncio.to_thread(drop_last, chat, "assistant")
    said = ""
    for event in events.start():
        await tell(event)
    history = await asyncio.to_thread(messages, chat)
    async for piece in iterate_in_threadpool(ask("openai-chat", options.gateway, history)):
        said += piece
        if piece:
            await tell(events.piece(piece))
    if options.fails:
        await tell(events.error())
        return
    *before, final = events.end(said)
    for event in before:
        await tell(event)
    if options.save == "before":
        await asyncio.to_thread(keep, chat, "assistant", said)
    await tell(final)
    if options.save != "before":
        await asyncio.sleep(int(options.save) / 1000)
        await asyncio.to_thread(keep, chat, "assistant", said)


class Events:
    """What a server sends: lists of messages, and of events with their names for Socket.IO."""

    def start(self) -> list[Any]:
        match options.wire:
            case "openai-responses":
                return [self.responses.start[0]]
            case "khoj":
                return [self.khoj("metadata", {"conversationId": "c"}), self.khoj("start_llm_response", "")]
            case "chainlit":
                return [("task_start", {}), ("new_message", {**self.step(""), "type": "run"})]
        return []

    def piece(self, piece: str) -> Any:
        match options.wire:
            case "own":
                return {"kind": "word", "text": piece}
            case "openai-responses":
                return self.responses.piece(piece, "")
            case "khoj":
                return piece + DELIMITER
            case "open-webui":
                delta = {"type": "response.output_text.delta", "output_index": 0, "delta": piece}
                return self.open_webui("response:completion", delta)
        if not self.has_begun:
            self.has_begun = True
            return "stream_start", self.step(piece)
        return "stream_token", {"id": "m", "token": piece, "isSequence": False}

    def end(self, said: str) -> list[Any]:
        match options.wire:
            case "own":
                return [{"kind": "bye"}]
            case "openai-responses":
                return self.responses.end(said)
            case "khoj":
                return [self.khoj("end_llm_response", ""), self.khoj("end_response", "")]
            case "open-webui":
                output = [{"type": "message", "content": [{"type": "output_text", "text": said}]}]
                whole = {} if options.resume == "now" else {"output": output}
                return [
                    self.open_webui("status", {"description": "Saving", "done": True}),
                    self.open_webui("chat:completion", {"done": True, **whole}),
                ]
        updates = [] if options.resume == "now" else [("update_message", self.step(said))]
        return [*updates, ("task_end", {})]

    def error(self) -> Any:
        match options.wire:
            case "own":
                return {"kind": "oops", "why": "it broke"}
            case "openai-responses":
                return self.responses.error
            case "khoj":
                return self.khoj("end_response", "")
            case "open-webui":
                return self.open_webui("chat:message:error", {"error": {"content": "it broke"}})
        return "new_message", {**self.step("it broke"), "isError": True}

    def __init__(self, chat: str = "") -> None:
        self.chat = chat
        self.has_begun = False
        self.responses = wire("openai-responses")

    def khoj(self, kind: str, data: Any) -> str:
        return json.dumps({"type": kind, "data": data}) + DELIMITER

    def open_webui(self, kind: str, data: Any) -> Any:
        return "events", {"chat_id": self.chat, "message_id": "m", "data": {"type": kind, "data": data}}

    def step(self, output: str) -> dict[str, Any]:
        return {"id": "m", "threadId": self.chat, "type": "assistant_message", "output": output, "isError": False}


DELIMITER = "␃🔚␗"


async def talk(socket: WebSocket) -> None:
    chat = socket.path_params["chat"]
    # Before the page knows that it is connected again, so nothing of what follows is counted.
    told_before = len(runs[chat].events) if chat in runs else 0
    await socket.accept()
    hello = await socket.receive_json()
    assert hello == {"kind": "hello"}, hello
    ready = json.dumps({"kind": "ready"})
    await socket.send_text(ready + DELIMITER if options.wire == "khoj" else ready)

    async def say(event: Any) -> None:
        match event:
            case bytes():
                data = [line for line in event.decode().splitlines() if line.startswith("data: ")]
                await socket.send_text(data[0].removeprefix("data: "))
            case str():
                await socket.send_text(event)
            case _:
                await socket.send_json(event)

    async def respond(question: str | None) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await answer(chat, question, say, Events())
            if options.close:
                await socket.close()

    async def edit(question: str) -> None:
        if options.again == "replace":
            await asyncio.to_thread(drop_last, chat, "assistant")
            await asyncio.to_thread(drop_last, chat, "user")
        await respond(question)

    async def resume(after: int) -> None:
        run = runs.get(chat)
        if run is None or options.resume == "refuse":
            await socket.close()
            return
        missing = {"rest": after, "twice": max(after - 1, 0), "now": told_before}
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await run.tell_after(missing[options.resume], say)

    answering = None
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            asked = await socket.receive_json()
            match asked.get("kind"):
                case "stop":
                    if answering and options.stop == "drop":
                        answering.cancel()
                case "edit":
                    answering = in_background(edit(asked["text"]))
                case "resume":
                    in_background(resume(asked["after"] or 0))
                case _:
                    answering = in_background(respond(asked.get("text")))


# The page of each socket, the newest socket of each page, and the chat of its newest turn.
pages: dict[str, str] = {}
newest: dict[str, str] = {}
asked_by: dict[str, str] = {}


def run_of(page: str) -> Run | None:
    return runs.get(asked_by.get(page, ""))


def emitting(sid: str, follows: bool = False) -> Say:
    """Says to a socket, or to the newest one of its page."""

    async def say(event: Any) -> None:
        name, data = event
        to = newest[pages[sid]] if follows else sid
        if not sio.manager.is_connected(to, "/"):
            raise WebSocketDisconnect
        await sio.emit(name, data, to=to)

    return say


def in_background(work: Any) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


@sio.event
async def connect(sid: str, _: Any, auth: Any) -> None:
    if not auth or auth.get("token") != "t":
        raise ConnectionRefusedError("no token")
    page = auth.get("sessionId") or auth.get("page") or sid
    if options.resume == "refuse" and run_of(page):
        raise ConnectionRefusedError("the page is connected")
    pages[sid] = page
    newest[page] = sid


@sio.on("connection_successful")
async def connection_successful(sid: str) -> None:
    # Chainlit sends the marker before the first turn, too.
    await sio.emit("task_end", {}, to=sid)
    await sio.emit("clear_ask", {}, to=sid)
    await sio.emit("clear_call_fn", {}, to=sid)
    run = run_of(pages[sid])
    if run and options.resume == "rest":
        in_background(run.tell_after(0, emitting(sid)))


@sio.on("client_message")
async def client_message(sid: str, payload: Any) -> None:
    thread, asked = str(uuid.uuid4()), payload["message"]["output"]
    asked_by[pages[sid]] = thread
    in_background(answer(thread, asked, emitting(sid, follows=options.resume == "now"), Events(thread)))


async def completions(request: Request) -> Response:
    asked = await request.json()
    sid, chat = asked["session_id"], asked["chat_id"]
    asked_by[pages[sid]] = chat
    in_background(answer(chat, asked["messages"][-1]["content"], emitting(sid, follows=True), Events(chat)))
    return JSONResponse({"status": True, "task_ids": [str(uuid.uuid4())]})


with closing(database()) as made:
    made.execute("PRAGMA journal_mode = wal")
    made.execute("CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, chat TEXT, role TEXT, content TEXT)")
routes = [
    Route("/chats/{chat}", history),
    Route("/health", health),
    Route("/api/chat/completions", completions, methods=["POST"]),
    WebSocketRoute("/ws/{chat}", talk),
]
app = Starlette(routes=routes)
served = socketio.ASGIApp(sio, app, socketio_path="/ws/socket.io")
uvicorn.run(served, host="127.0.0.1", port=options.port, log_level="warning")
