"""The same chat, kept as other applications keep theirs.

A model that calls tools gets them (only `json`): TOOLS says what is stored of them; `emptied` takes the results out again
some time after the answer. With APPROVAL the user is asked
first: `right` stores the call and ends the response, `doubles` stores the turn again with the decision, and `open` keeps
the response open, and the call in it. `waits`, `blocks` and `forgets` refuse the next turn while a call waits; of `blocks` and
`forgets` only the process that asked takes the decision, and another one of `forgets` says so in a stream. `replies` answers
the next turn with a text of its own, and 200, while a call waits. RAISES says what becomes of a turn whose tool raises (`explode` does): `goes_on` tells
the model, `ends` stores what there is and ends the turn, `loses` stores the call only, `as_answer` stores the error's text.

KEPT is `blob` (a tree in the conversation's row), `turn` (question and answer in one row), `json`
(a row whose JSON is the message) or `parts` (texts in rows of their own); SAVE is `before` or
`after` the final marker.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chat.events import Chunk
from chat.provider import Provider

def told(calls: list[dict[str, Any]], results: list[str]) -> list[dict[str, Any]]:
    """The messages of the results."""
    both = zip(calls, results, strict=True)
    content = [{"type": "tool_result", "tool_use_id": call["id"], "content": result} for call, result in both]
    return [{"type": "tool", "data": {"content": [each], "type": "tool"}} for each in content]


TABLES = {
    "blob": "CREATE TABLE IF NOT EXISTS chat (id TEXT PRIMARY KEY, title TEXT, chat TEXT NOT NULL)",
    "turn": "CREATE TABLE IF NOT EXISTS asked (id INTEGER PRIMARY KEY, session_id TEXT, prompt TEXT, response TEXT)",
    "json": "CREATE TABLE IF NOT EXISTS message_store (id INTEGER PRIMARY KEY, session_id TEXT, message TEXT)",
    "parts": """CREATE TABLE IF NOT EXISTS msg (id TEXT PRIMARY KEY, n INTEGER, thread_id TEXT, role TEXT);
        CREATE TABLE IF NOT EXISTS msg_part (msg_id TEXT, position INTEGER, body TEXT)""",
}


class Kept:
    """Each change is a transaction of its own."""

    def __init__(self, path: str, form: str) -> None:
        self.form = form
        self.db = sqlite3.connect(path, timeout=5, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = wal")
        self.db.executescript(TABLES[form])

    def begin(self) -> str:
        key = str(uuid4())
        if self.form == "blob":
            self.db.execute("INSERT INTO chat VALUES (?, 'chatctl', ?)", (key, json.dumps({"messages": []})))
        return key

    def read(self, key: str) -> list[dict[str, str]]:
        db = self.db
        if self.form == "blob":
            row = db.execute("SELECT chat FROM chat WHERE id = ?", (key,)).fetchone()
            return json.loads(row[0])["messages"] if row else []
        if self.form == "json":
            rows = db.execute("SELECT message FROM message_store WHERE session_id = ? ORDER BY id", (key,))
            messages = [json.loads(row[0]) for row in rows]
            roles = {"human": "user", "ai": "assistant", "tool": "tool"}
            return [{"role": roles[m["type"]], "content": m["data"]["content"]} for m in messages]
        if self.form == "turn":
            rows = db.execute("SELECT prompt, response FROM asked WHERE session_id = ? ORDER BY id", (key,))
            both = [(("user", prompt), ("assistant", response)) for prompt, response in rows]
            return [{"role": role, "content": text} for pair in both for role, text in pair if text is not None]
        rows = db.execute(
            "SELECT role, group_concat(body, '') FROM (SELECT * FROM msg m JOIN msg_part p ON p.msg_id = m.id"
            " WHERE thread_id = ? ORDER BY n, position) GROUP BY id ORDER BY n",
            (key,),
        )
        return [{"role": role, "content": text} for role, text in rows]

    def add(self, key: str, role: str, text: str) -> None:
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        if self.form == "blob":
            message = {"id": str(uuid4()), "role": role, "content": text}
            messages = [*self.read(key), message]
            db.execute("UPDATE chat SET chat = ? WHERE id = ?", (json.dumps({"messages": messages}), key))
        elif self.form == "json":
            kind = {"user": "human", "assistant": "ai"}[role]
            message = json.dumps({"type": kind, "data": {"content": text, "type": kind}})
            db.execute("INSERT INTO message_store (session_id, message) VALUES (?, ?)", (key, message))
        elif self.form == "turn" and role == "user":
            db.execute("INSERT INTO asked (session_id, prompt) VALUES (?, ?)", (key, text))
        elif self.form == "turn":
            db.execute(
                "UPDATE asked SET response = ? WHERE id = (SELECT max(id) FROM asked WHERE session_id = ?)",
                (text, key),
            )
        else:
            of = str(uuid4())
            number = db.execute("SELECT count(*) FROM msg").fetchone()[0]
            db.execute("INSERT INTO msg VALUES (?, ?, ?, ?)", (of, number, key, role))
            middle = len(text) // 2
            parts = [(of, 0, text[:middle]), (of, 1, text[middle:])]
            db.executemany("INSERT INTO msg_part VALUES (?, ?, ?)", parts)
        db.execute("COMMIT")


    def add_tools(self, key: str, calls: list[dict[str, Any]], results: list[str] | None) -> None:
        """As LangChain keeps them: the calls in a message of the model, each result in one of its own."""
        stored = {"swapped": calls[::-1], "fewer": calls[:-1]}.get(TOOLS, calls)
        called = [{"id": x["id"], "name": x["name"], "args": json.loads(x["arguments"])} for x in stored]
        data = {"content": "", "type": "ai", "tool_calls": called}
        messages = [{"type": "ai", "data": data}, *([] if results is None else told(calls, results))]
        if TOOLS == "fewer":
            messages.pop()
        self.insert(key, messages)

    def add_results(self, key: str, calls: list[dict[str, Any]], results: list[str]) -> None:
        self.insert(key, told(calls, results))

    def empty(self, key: str) -> None:
        rows = self.db.execute("SELECT id, message FROM message_store WHERE session_id = ?", (key,)).fetchall()
        for number, text in rows:
            message = json.loads(text)
            if message["type"] == "tool":
                message["data"]["content"] = ""
                self.db.execute("UPDATE message_store SET message = ? WHERE id = ?", (json.dumps(message), number))

    def insert(self, key: str, messages: list[dict[str, Any]]) -> None:
        rows = [(key, json.dumps(message)) for message in messages]
        self.db.executemany("INSERT INTO message_store (session_id, message) VALUES (?, ?)", rows)

    def waiting(self, key: str) -> list[dict[str, Any]]:
        """The calls that wait for a decision: nothing follows them."""
        rows = self.db.execute("SELECT message FROM message_store WHERE session_id = ? ORDER BY id DESC LIMIT 1", (key,))
        called = [x for row in rows for x in json.loads(row[0])["data"].get("tool_calls") or []]
        return [{"id": x["id"], "name": x["name"], "arguments": json.dumps(x["args"])} for x in called]


TOOLS = os.environ.get("TOOLS", "right")
APPROVAL = os.environ.get("APPROVAL")
RAISES = os.environ.get("RAISES", "goes_on")
ERROR = "the tool exploded: no fuse was found"
# The decisions that open responses wait for.
awaited: dict[str, asyncio.Future[bool]] = {}
# Conversations in which this process asked the user.
asked: set[str] = set()
# Decisions that are being taken.
deciding: set[str] = set()
kept = Kept(os.environ["DATABASE_PATH"], os.environ["KEPT"])
provider = Provider(os.environ["GATEWAY_URL"].rstrip("/"))


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    yield
    await provider.close()


async def health(_: Request) -> Response:
    return JSONResponse({"ok": True})


async def begin(_: Request) -> Response:
    return JSONResponse({"id": kept.begin()})


async def history(request: Request) -> Response:
    messages = kept.read(request.path_params["key"])
    if not messages:
        raise HTTPException(404)
    return JSONResponse(messages)


async def chat(request: Request) -> Response:
    body: dict[str, Any] = await request.json()
    if APPROVAL in ("waits", "blocks", "forgets", "replies") and kept.waiting(body["conversation_id"]):
        if APPROVAL != "replies":
            raise HTTPException(409, "a call waits for a decision")
        return Response("data: Approve or refuse first.\n\ndata: [DONE]\n\n", media_type="text/event-stream")
    return StreamingResponse(answer(body["conversation_id"], body["message"]), media_type="text/event-stream")


async def decide(request: Request) -> Response:
    key = request.path_params["key"]
    body: dict[str, Any] = await request.json()
    if APPROVAL == "open":
        if (decision := awaited.pop(key, None)) is None:
            raise HTTPException(404, "nothing waits for a decision")
        decision.set_result(body["approved"])
        return Response(status_code=202)
    if APPROVAL == "forgets" and key not in asked:
        return Response('data: {"error":"nothing waits"}\n\ndata: [DONE]\n\n', media_type="text/event-stream")
    calls = kept.waiting(key)
    if not calls or key in deciding or APPROVAL == "blocks" and key not in asked:
        raise HTTPException(409, "nothing waits for a decision")
    deciding.add(key)
    text = [x["content"] for x in kept.read(key) if x["role"] == "user"][-1]
    if APPROVAL == "doubles":
        kept.add(key, "user", text)
        kept.add_tools(key, calls, None)
    return StreamingResponse(go_on(key, text, calls, body["approved"]), media_type="text/event-stream")


ROUTES = [
    Route("/health", health),
    Route("/conversations", begin, methods=["POST"]),
    Route("/conversations/{key}/messages", history),
    Route("/chat", chat, methods=["POST"]),
    Route("/conversations/{key}/decide", decide, methods=["POST"]),
]
app = Starlette(routes=ROUTES, lifespan=lifespan)


async def go_on(key: str, text: str, calls: list[dict[str, Any]], is_approved: bool) -> AsyncIterator[str]:
    try:
        messages = [x for x in kept.read(key) if isinstance(x["content"], str) and x["content"]]
        results = results_of(calls, is_approved)
        kept.add_results(key, calls, results)
        async for frame in answer_to(key, [*messages, *asked_for(calls), *given(calls, results)]):
            yield frame
    finally:
        deciding.discard(key)


def results_of(calls: list[dict[str, Any]], is_approved: bool) -> list[str]:
    return [f"{call['name']}: {'done' if is_approved else 'refused by the user'}" for call in calls]


async def answer(key: str, text: str) -> AsyncIterator[str]:
    before = [x for x in kept.read(key) if isinstance(x["content"], str) and x["content"]]
    kept.add(key, "user", text)
    async for frame in answer_to(key, [*before, {"role": "user", "content": text}]):
        yield frame


async def answer_to(key: str, messages: list[dict[str, Any]]) -> AsyncIterator[str]:
    whole = ""
    calls: list[dict[str, Any]] = [{}]
    while calls:
        calls = []
        async for event in provider.stream(messages):
            if not isinstance(event, Chunk):
                continue
            add_calls(calls, json.loads(event.raw))
            if event.text:
                whole += event.text
                yield "".join(f"data: {line}\n" for line in event.text.split("\n")) + "\n"
        if calls and APPROVAL == "open":
            awaited[key] = asyncio.get_running_loop().create_future()
            try:
                results = results_of(calls, await awaited[key])
            finally:
                awaited.pop(key, None)
            kept.add_tools(key, calls, results)
            messages += [*asked_for(calls), *given(calls, results)]
        elif calls and APPROVAL:
            asked.add(key)
            kept.add_tools(key, calls, None)
            yield "data: [DONE]\n\n"
            return
        elif any(call["name"] == "explode" for call in calls) and RAISES != "goes_on":
            if RAISES == "loses":
                kept.add_tools(key, calls, None)
            else:
                kept.add(key, "assistant", whole)
                kept.add_tools(key, calls, [ERROR for _ in calls])
            if RAISES == "as_answer":
                kept.add(key, "assistant", ERROR)
            yield f"event: error\ndata: {ERROR}\n\n"
            return
        elif calls:
            results = [ERROR if call["name"] == "explode" else f"{call['name']}: done" for call in calls]
            kept.add_tools(key, calls, results)
            messages += [*asked_for(calls), *given(calls, results)]
    if os.environ["SAVE"] == "before":
        kept.add(key, "assistant", whole)
        # A marker within the same millisecond would ask too much of a busy machine's clock.
        await anyio.sleep(0.005)
    yield "data: [DONE]\n\n"
    if TOOLS == "emptied":
        asyncio.get_running_loop().call_later(0.4, kept.empty, key)
    if os.environ["SAVE"] == "after":
        # Long enough to notice that the client has hung up, also on a busy machine.
        await anyio.sleep(0.2)
        kept.add(key, "assistant", whole)


def add_calls(calls: list[dict[str, Any]], chunk: dict[str, Any]) -> None:
    for choice in chunk.get("choices") or []:
        for piece in choice["delta"].get("tool_calls") or []:
            if piece["index"] == len(calls):
                calls.append({"id": piece["id"], "name": piece["function"]["name"], "arguments": ""})
            calls[piece["index"]]["arguments"] += piece["function"].get("arguments") or ""


def asked_for(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    functions = [
        {"id": x["id"], "type": "function", "function": {"name": x["name"], "arguments": x["arguments"]}}
        for x in calls
    ]
    return [{"role": "assistant", "content": None, "tool_calls": functions}]


def given(calls: list[dict[str, Any]], results: list[str]) -> list[dict[str, Any]]:
    both = zip(calls, results, strict=True)
    return [{"role": "tool", "tool_call_id": call["id"], "content": result} for call, result in both]
