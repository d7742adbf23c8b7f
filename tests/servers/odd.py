"""A chat server of the standard library that is odd in one way, with one SQLite file. Half of the ways are right.

    python odd.py --db chat.db --port 8000 --gateway http://127.0.0.1:9191/v1 --way plain

Right: `plain`; `events` (each message is an event first, which the history and the provider's requests are made of, and
comes to its table 80 ms later); `html` (each message as HTML, and in another column as it was said); `archived` (600 ms
after a turn its messages move to another table, which the history reads as well); `whole-file` (each commit writes the
whole file); `dead-letter` (an answer whose save fails is kept in a file, which the history reads as well); `cited` (a
number is added to each answer); `empties` (a new conversation empties the ones before it); `titled` (each conversation
has a row of its own); `linked` (another table puts each message into its conversation); `in-parts` (the text of each
message is in a table of parts); `templated` (each begins with an example of a question and an answer); `dated` (the
history has a line for the day between its messages); `reasons` (it has what the model thought before each answer);
`calls` (a message that only calls tools, and what they gave).
Undecided: `remembers` (of each question the end is stored, and the history is what the process remembers);
`archives-older` (a new conversation hides the ones before it from the history, and keeps their rows).
Wrong: `numbered` (each process counts conversations from one); `takes-older` (a client that leaves takes the answers of
the turns before with it); `asks-again` (a client that leaves has its question stored again); `cut-context`,
`turned-context`, `others-context` (the provider gets the end of each message, the newest first, or what was said in all
conversations); `cuts-next` (once a client has left, of later answers only the end is stored); `titled-late` (the row of
a conversation comes 60 ms after its first answer); `linked-late` (the answer comes into it 60 ms later); `titled-once`
(the row is deleted 900 ms after an answer); `notes-at-close`, `hides-at-close` (a client that hangs up at the end of a
stream has a note added to its conversation, or its answer is shown no more); `wipes-at-close`, `shuts-at-close` (the
first conversation in which a client does so is deleted, or shown as an empty one); `titled-at-close` (the row of its
conversation is deleted, and no message).
"""

import argparse
import html
import itertools
import json
import os
import select
import socket
import sqlite3
import threading
import time
import uuid
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from asking import ask

arguments = argparse.ArgumentParser()
arguments.add_argument("--db", required=True)
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--gateway", required=True)
arguments.add_argument("--way", default="plain")
options = arguments.parse_args()

SCHEMA = """CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT{});
    CREATE TABLE IF NOT EXISTS former (place INTEGER PRIMARY KEY, topic TEXT, side TEXT, words TEXT);
    CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, kind TEXT, payload TEXT);"""
INSERT = "INSERT INTO message (conversation_id, role, content) VALUES (?, ?, ?)"
TITLED = "INSERT OR IGNORE INTO conversation (id, title) VALUES (?, 'A chat')"
LINKED = """CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, role TEXT, content TEXT);
    CREATE TABLE IF NOT EXISTS conversation_message (conversation_id TEXT, message_id INTEGER);"""
IN_PARTS = """CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT);
    CREATE TABLE IF NOT EXISTS part (id INTEGER PRIMARY KEY, message_id INTEGER, kind TEXT, body TEXT);"""
numbers = itertools.count(1)
lock = threading.Lock()
letters = f"{options.db}.dead"
remembered: list[tuple[str, str, str]] = []
spoilt: dict[str, None] = {}


def make() -> sqlite3.Connection:
    db = sqlite3.connect(
        ":memory:" if options.way == "whole-file" else options.db,
        timeout=10,
        isolation_level=None,
        check_same_thread=False,
    )
    if options.way != "whole-file":
        db.execute("PRAGMA journal_mode = wal")
    return db


whole = make() if options.way == "whole-file" else None


def write(sql: str, *values: Any) -> None:
    if whole:
        with lock:
            whole.execute(sql, values)
            with open(options.db, "wb") as file:
                file.write(whole.serialize())
                os.fsync(file.fileno())
        return
    with closing(make()) as db:
        db.execute(sql, values)


def read(sql: str, *values: Any) -> list[Any]:
    if whole:
        with lock:
            return whole.execute(sql, values).fetchall()
    with closing(make()) as db:
        return db.execute(sql, values).fetchall()


def later(seconds: float, act: Any, *values: Any) -> None:
    timer = threading.Timer(seconds, act, values)
    timer.daemon = True
    timer.start()


def keep(key: str, role: str, text: str) -> None:
    row = (key, role, text)
    if options.way == "events":
        write("INSERT INTO event (kind, payload) VALUES ('MessageAdded', ?)", json.dumps(row))
        later(0.08, write, INSERT, *row)
    elif options.way == "html":
        columns = "INSERT INTO message (conversation_id, role, content, markdown) VALUES (?, ?, ?, ?)"
        write(columns, key, role, f"<p>{html.escape(text)}</p>", text)
    elif options.way.startswith("linked"):
        keep_linked(*row)
    elif options.way == "in-parts":
        keep_in_parts(*row)
    elif options.way == "remembers":
        remembered.append(row)
        write(INSERT, key, role, text[-28:] if role == "user" else text)
    elif options.way == "cuts-next" and role == "assistant" and key in spoilt:
        write(INSERT, key, role, text[-28:])
    elif options.way == "cited" and role == "assistant":
        write(INSERT, key, role, f"{text} [1]")
    else:
        write(INSERT, *row)


def keep_linked(key: str, role: str, text: str) -> None:
    with closing(make()) as db:
        row = db.execute("INSERT INTO message (role, content) VALUES (?, ?)", (role, text)).lastrowid
    link = ("INSERT INTO conversation_message VALUES (?, ?)", key, row)
    if options.way == "linked-late" and role == "assistant":
        later(0.06, write, *link)
    else:
        write(*link)


def keep_in_parts(key: str, role: str, text: str) -> None:
    with closing(make()) as db:
        db.execute("BEGIN IMMEDIATE")
        row = db.execute("INSERT INTO message (conversation_id, role) VALUES (?, ?)", (key, role)).lastrowid
        db.execute("INSERT INTO part (message_id, kind, body) VALUES (?, 'text', ?)", (row, text))
        db.execute("COMMIT")


def archive(key: str) -> None:
    with closing(make()) as db:
        db.execute("BEGIN IMMEDIATE")
        moved = "SELECT conversation_id, role, content FROM message WHERE conversation_id = ? ORDER BY id"
        db.execute(f"INSERT INTO former (topic, side, words) {moved}", (key,))
        db.execute("DELETE FROM message WHERE conversation_id = ?", (key,))
        db.execute("COMMIT")


def dead_letters(key: str) -> list[Any]:
    if not os.path.exists(letters):
        return []
    with open(letters) as file:
        rows = [json.loads(line) for line in file]
    return [(role, text) for topic, role, text in rows if topic == key]


def history(key: str) -> list[dict[str, str]]:
    if options.way == "events":
        events = [json.loads(payload) for (payload,) in read("SELECT payload FROM event ORDER BY number")]
        rows = [(role, text) for topic, role, text in events if topic == key]
    elif options.way == "remembers":
        rows = [(role, text) for topic, role, text in remembered if topic == key]
    elif options.way.startswith("linked"):
        linked = "message JOIN conversation_message ON message_id = id WHERE conversation_id = ? ORDER BY id"
        rows = read(f"SELECT role, content FROM {linked}", key)
    elif options.way == "in-parts":
        parts = "message JOIN part ON message_id = message.id WHERE conversation_id = ? ORDER BY part.id"
        rows = read(f"SELECT role, body FROM {parts}", key)
    elif options.way == "html":
        rows = read("SELECT role, markdown FROM message WHERE conversation_id = ? ORDER BY id", key)
    elif options.way == "archives-older":
        rows = read("SELECT role, content FROM message WHERE conversation_id = ? AND NOT gone ORDER BY id", key)
    else:
        rows = read("SELECT side, words FROM former WHERE topic = ? ORDER BY place", key)
        rows += read("SELECT role, content FROM message WHERE conversation_id = ? ORDER BY id", key)
        rows += dead_letters(key)
    if options.way == "hides-at-close" and key in spoilt:
        rows = rows[:-1]
    if options.way == "shuts-at-close" and spoilt and key == next(iter(spoilt)):
        rows = []
    return [{"role": role, "content": text} for role, text in rows]


def shown(key: str) -> list[dict[str, str]]:
    before: dict[str, list[dict[str, Any]]] = {
        "reasons": [{"role": "reasoning", "content": "They want something."}],
        "calls": [{"role": "assistant", "content": None}, {"role": "tool", "content": "done"}],
    }
    more = before.get(options.way, [])
    return [it for row in history(key) for it in [*(more if row["role"] == "assistant" else []), row]]


def context(key: str) -> list[dict[str, str]]:
    before = history(key)
    if options.way == "cut-context":
        return [{**message, "content": message["content"][-30:]} for message in before]
    if options.way == "turned-context":
        return before[::-1]
    if options.way == "others-context":
        return [{"role": role, "content": text} for role, text in read("SELECT role, content FROM message ORDER BY id")]
    return before


def save(key: str, text: str) -> None:
    try:
        keep(key, "assistant", text)
    except sqlite3.Error:
        if options.way != "dead-letter":
            raise
        with open(letters, "a") as file:
            file.write(json.dumps([key, "assistant", text]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print("error: a save failed, the answer is kept in a file", flush=True)


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

    def do_GET(self) -> None:
        parts = self.path.strip("/").split("/")
        day = [{"day": "Monday"}] if options.way == "dated" else []
        self.reply(200, day + shown(parts[1]) if parts[0] == "conversations" else {"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/conversations":
            key = str(next(numbers) if options.way == "numbered" else uuid.uuid4())
            if options.way == "empties":
                write("DELETE FROM message")
            if options.way == "archives-older":
                write("UPDATE message SET gone = 1")
            if options.way in ("titled", "titled-once", "titled-at-close"):
                write(TITLED, key)
            if options.way == "templated":
                write(INSERT, key, "user", "Which tasks do I have?")
                write(INSERT, key, "assistant", "You have none.")
            self.reply(201, {"id": key})
        else:
            self.chat(body["conversation_id"], body["message"])

    def chat(self, key: str, question: str) -> None:
        messages = [*context(key), {"role": "user", "content": question}]
        keep(key, "user", question)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        said, is_left = "", False
        for piece in ask("openai-tools" if options.way == "calls" else "openai-chat", options.gateway, messages):
            said += piece
            is_left = is_left or self.has_left()
            if piece and not is_left:
                self.send(b"".join(f"data: {line}\n".encode() for line in piece.split("\n")) + b"\n")
        if is_left:
            self.clean_up(key, question)
        save(key, said)
        if not is_left:
            self.send(b"data: [DONE]\n\n")
            if options.way.endswith("at-close") and self.leaves():
                self.hung_up(key)
            self.send_end()
        if options.way == "archived":
            later(0.6, archive, key)
        if options.way == "titled-late":
            later(0.06, write, TITLED, key)
        if options.way == "titled-once":
            later(0.9, write, "DELETE FROM conversation WHERE id = ?", key)
        self.close_connection = True

    def clean_up(self, key: str, question: str) -> None:
        if options.way == "takes-older":
            write("DELETE FROM message WHERE conversation_id = ? AND role = 'assistant'", key)
        spoilt[key] = None
        if options.way == "asks-again":
            keep(key, "user", question)

    def leaves(self) -> bool:
        until = time.monotonic() + 0.15
        while time.monotonic() < until:
            if self.has_left():
                return True
            time.sleep(0.01)
        return False

    def hung_up(self, key: str) -> None:
        spoilt[key] = None
        if options.way == "notes-at-close":
            keep(key, "assistant", "The answer was interrupted. Please try again.")
        if options.way == "titled-at-close":
            later(0.1, write, "DELETE FROM conversation WHERE id = ?", key)
        if options.way == "wipes-at-close" and len(spoilt) == 1:
            later(0.1, write, "DELETE FROM message WHERE conversation_id = ?", key)

    def has_left(self) -> bool:
        is_readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(is_readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionResetError:
            return True

    def send_end(self) -> None:
        try:
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass

    def send(self, text: bytes) -> None:
        try:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
        except OSError:
            # Nobody listens any more; the answer is still to be saved.
            pass


if whole:
    whole.executescript(SCHEMA.format(""))
    write("DELETE FROM former")
else:
    with closing(make()) as db:
        more = {"html": ", markdown TEXT", "archives-older": ", gone INTEGER DEFAULT 0"}
        schemas = {"linked": LINKED, "linked-late": LINKED, "in-parts": IN_PARTS}
        db.executescript(schemas.get(options.way, SCHEMA.format(more.get(options.way, ""))))
        if options.way.startswith("titled"):
            db.execute("CREATE TABLE IF NOT EXISTS conversation (id TEXT PRIMARY KEY, title TEXT)")
ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()
