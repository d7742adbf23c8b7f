"""A chat server of the standard library that keeps question and answer in one row, with one SQLite file.

    python pairs.py --db chat.db --port 8000 --gateway http://127.0.0.1:9191/v1 --again insert

`--again HOW`: what becomes of the row of an answer that is asked for again, as soon as there is a new one: `insert` (it is
deleted, and another one inserted), `update` (it gets the new answer), `version` (another one comes next to it, and the
history shows the newest one of each question), `twice` (the same, and two come).
"""

import argparse
import json
import sqlite3
import uuid
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from asking import ask

arguments = argparse.ArgumentParser()
arguments.add_argument("--db", required=True)
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--gateway", required=True)
arguments.add_argument("--again", default="insert", choices=["insert", "update", "version", "twice"])
options = arguments.parse_args()

INSERT = "INSERT INTO turn (conversation_id, prompt, response) VALUES (?, ?, ?)"
NEWEST = """SELECT id, prompt, response FROM turn WHERE id IN
    (SELECT max(id) FROM turn WHERE conversation_id = ? GROUP BY prompt) ORDER BY id"""


def open_database() -> sqlite3.Connection:
    return sqlite3.connect(options.db, timeout=10, isolation_level=None)


def write(*writes: tuple[str, tuple[Any, ...]]) -> int:
    with closing(open_database()) as db:
        db.execute("BEGIN IMMEDIATE")
        for sql, values in writes:
            key = db.execute(sql, values).lastrowid
        db.execute("COMMIT")
        return key or 0


def rows(key: str) -> list[Any]:
    with closing(open_database()) as db:
        return db.execute(NEWEST, (key,)).fetchall()


def messages(turns: list[Any]) -> list[dict[str, str]]:
    said = [(role, text) for _, *texts in turns for role, text in zip(("user", "assistant"), texts) if text]
    return [{"role": role, "content": text} for role, text in said]


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
        self.reply(200, messages(rows(parts[1])) if parts[0] == "conversations" else {"status": "ok"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
        if self.path == "/conversations":
            self.reply(201, {"id": str(uuid.uuid4())})
        elif self.path == "/chat":
            self.chat(asked["conversation_id"], asked["message"])
        else:
            self.chat_again(self.path.split("/")[2])

    def chat(self, key: str, question: str) -> None:
        before = rows(key)
        row = write((INSERT, (key, question, None)))
        said = self.relay([*messages(before), {"role": "user", "content": question}])
        write(("UPDATE turn SET response = ? WHERE id = ?", (said, row)))
        self.end()

    def chat_again(self, key: str) -> None:
        *before, (row, question, _) = rows(key)
        said = self.relay([*messages(before), {"role": "user", "content": question}])
        new = (INSERT, (key, question, said))
        match options.again:
            case "insert":
                write(("DELETE FROM turn WHERE id = ?", (row,)), new)
            case "update":
                write(("UPDATE turn SET response = ? WHERE id = ?", (said, row)))
            case "version":
                write(new)
            case _:
                write(new, new)
        self.end()

    def relay(self, told: list[dict[str, str]]) -> str:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        said = ""
        for piece in ask("openai-chat", options.gateway, told):
            said += piece
            if piece:
                self.send("".join(f"data: {line}\n" for line in piece.split("\n")) + "\n")
        return said

    def end(self) -> None:
        self.send("data: [DONE]\n\n")
        self.send("")

    def send(self, text: str) -> None:
        try:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text.encode()), text.encode()))
        except OSError:
            # Nobody listens any more; the answer is still to be saved.
            self.close_connection = True


with closing(open_database()) as made:
    made.execute("PRAGMA journal_mode = wal")
    made.execute(
        """CREATE TABLE IF NOT EXISTS turn (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT,
            prompt TEXT, response TEXT)"""
    )
ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()
