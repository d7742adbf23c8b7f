"""A small chat server whose turns are more than one streamed request.

    python flows.py --db chat.db --port 8000 --gateway http://127.0.0.1:9191/v1 --flow FLOW

`--flow` says what a client does: `multipart` sends a form and gets the stream of Agno, and the history has
a record for each turn; `two-step` starts an answer and then fetches its stream; `poll` starts it and then
asks for its state; `ids` learns the thread's id from the stream of AG-UI (or from its header or cookie), and its history is a
snapshot of the same protocol. `--save before`, or `--save MS`: so many milliseconds after the final marker.
"""

import argparse
import json
import queue
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from asking import ask
from product_wires import wire_named

arguments = argparse.ArgumentParser()
arguments.add_argument("--db", required=True)
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--gateway", required=True)
arguments.add_argument("--flow", required=True, choices=["multipart", "two-step", "poll", "ids"])
arguments.add_argument("--save", default="before")
options = arguments.parse_args()


def database() -> sqlite3.Connection:
    return sqlite3.connect(options.db, timeout=10, isolation_level=None)


def keep(chat: str, role: str, text: str) -> None:
    with closing(database()) as db:
        db.execute("INSERT INTO message (chat, role, content) VALUES (?, ?, ?)", (chat, role, text))


def messages(chat: str) -> list[dict[str, str]]:
    with closing(database()) as db:
        rows = db.execute("SELECT role, content FROM message WHERE chat = ? ORDER BY id", (chat,))
        return [{"role": role, "content": text} for role, text in rows]


def answered(chat: str, question: str, end: Callable[[str], None]) -> Iterator[str]:
    """The pieces of an answer. `end` sends its final marker, before or after the answer is saved."""
    keep(chat, "user", question)
    said = ""
    for piece in ask("openai-chat", options.gateway, messages(chat)):
        said += piece
        if piece:
            yield piece
    if options.save == "before":
        keep(chat, "assistant", said)
    end(said)
    if options.save != "before":
        time.sleep(int(options.save) / 1000)
        keep(chat, "assistant", said)


class Run:
    """An answer that is made whether or not anybody fetches it."""

    def __init__(self, chat: str, question: str) -> None:
        self.pieces: queue.Queue[str | None] = queue.Queue()
        self.text = ""
        self.state = "running"
        threading.Thread(target=self.make, args=(chat, question)).start()

    def make(self, chat: str, question: str) -> None:
        for piece in answered(chat, question, self.end):
            self.text += piece
            self.pieces.put(piece)

    def end(self, _: str) -> None:
        self.state = "done"
        self.pieces.put(None)


runs: dict[str, Run] = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def reply(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def open(self, chat: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if chat is not None:
            self.send_header("X-Thread", chat)
            self.send_header("Set-Cookie", "theme=dark; Path=/")
            self.send_header("Set-Cookie", f"thread={chat}; Path=/; HttpOnly")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send(self, text: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

    def close(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def form(self, body: bytes) -> dict[str, str]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
        return {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode() for part in parts
        }

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = self.path.strip("/").split("/")
        match options.flow:
            case "multipart":
                form = self.form(body)
                assert form["notes"] == "milk\n" and form["stream"] == "true", form
                self.stream("agno", form["session_id"], form["message"])
            case "ids":
                asked = json.loads(body)
                # The first message of a thread names none.
                self.stream("ag-ui", asked.get("thread") or str(uuid.uuid4()), asked["message"])
            case "two-step" | "poll":
                asked = json.loads(body)
                assert uuid.UUID(asked["id"]) and len(asked["key"]) == 21, asked
                chat, run = parts[1], uuid.uuid4().hex
                assert asked["turn"] == len(messages(chat)) // 2 + 1, asked
                runs[run] = Run(chat, asked["message"])
                self.reply(202, {"run": run})

    def stream(self, name: str, chat: str, question: str) -> None:
        wire = wire_named(name)
        self.open(chat)
        for event in wire.start:
            self.send(event.replace(b'"threadId": "t"', f'"threadId": "{chat}"'.encode()))

        def end(said: str) -> None:
            for event in wire.end(said):
                self.send(event)

        so_far = ""
        for piece in answered(chat, question, end):
            so_far += piece
            self.send(wire.piece(piece, so_far))
        self.close()

    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case ["runs", run, "stream"]:
                self.open()
                while (piece := runs[run].pieces.get()) is not None:
                    lines = "".join(f"data: {line}\n" for line in piece.split("\n"))
                    self.send(lines.encode() + b"\n")
                self.send(b"data: [DONE]\n\n")
                self.close()
            case ["runs", run]:
                self.reply(200, {"state": runs[run].state, "text": runs[run].text})
            case ["chats", chat, "turns"]:
                said = messages(chat)
                pairs = zip(said[::2], [*said[1::2], {"content": None}], strict=False)
                self.reply(200, [{"query": asked["content"], "answer": got["content"]} for asked, got in pairs])
            case ["threads", chat, "snapshot"]:
                self.open()
                self.send(b'data: {"type": "RUN_STARTED"}\n\n')
                event = json.dumps({"type": "MESSAGES_SNAPSHOT", "messages": messages(chat)})
                self.send(f"data: {event}\n\n".encode())
                self.close()
            case ["threads", chat, "messages"]:
                self.reply(200, messages(chat))
            case _:
                self.reply(200, {"status": "ok"})


with closing(database()) as made:
    made.execute("PRAGMA journal_mode = wal")
    made.execute("CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, chat TEXT, role TEXT, content TEXT)")
ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()
