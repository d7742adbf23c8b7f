"""A small chat server that speaks to PostgreSQL in the ways that drivers know.

    python drivers.py --port 8000 --gateway http://127.0.0.1:9191/v1 --way pipelined [--late]

`--way plain`: BEGIN, the write and COMMIT one by one. `pipelined`: all three in one go, before the first answer.
`prepared`: COMMIT is a prepared statement, used again and again. `cancelled`: a query of another connection is
cancelled before each save, which takes half a minute where the request to cancel gets lost. `--late` saves the answer
after the final marker. DATABASE_URL is the database.
"""

import argparse
import json
import os
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
from asking import ask

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--gateway", required=True)
arguments.add_argument("--way", choices=["plain", "pipelined", "prepared", "cancelled"], default="plain")
arguments.add_argument("--late", action="store_true")
options = arguments.parse_args()

TABLE = """CREATE TABLE IF NOT EXISTS message (id bigserial PRIMARY KEY, conversation_id text NOT NULL,
    role text NOT NULL, content text NOT NULL)"""
INSERT = "INSERT INTO message (conversation_id, role, content) VALUES (%s, %s, %s)"
connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
connection.execute(TABLE)
lock = threading.Lock()


def cancel_a_query() -> None:
    """Returns when another connection's query has ended: at once, if the request comes through."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        began = threading.Event()

        def query() -> None:
            began.set()
            try:
                other.execute("SELECT pg_sleep(30)")
            except psycopg.errors.QueryCanceled:
                pass

        thread = threading.Thread(target=query)
        thread.start()
        began.wait()
        # The request may come before the query, and then it cancels nothing.
        while thread.is_alive():
            other.cancel()
            thread.join(0.05)


def save(*row: str) -> None:
    if options.way == "cancelled":
        cancel_a_query()
    with lock:
        match options.way:
            case "pipelined":
                with connection.pipeline():
                    connection.execute("BEGIN")
                    connection.execute(INSERT, row)
                    connection.execute("COMMIT")
            case "prepared":
                for statement, values in [("BEGIN", None), (INSERT, row), ("COMMIT", None)]:
                    connection.execute(statement, values, prepare=True)
            case _:
                with connection.transaction():
                    connection.execute(INSERT, row)


def history(key: str) -> list[dict[str, str]]:
    with lock:
        rows = connection.execute("SELECT role, content FROM message WHERE conversation_id = %s ORDER BY id", (key,))
        return [{"role": role, "content": content} for role, content in rows]


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
        self.reply(200, history(parts[1]) if parts[0] == "conversations" else {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/conversations":
            self.reply(201, {"id": str(uuid.uuid4())})
            return
        key = asked["conversation_id"]
        save(key, "user", asked["message"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        said = ""
        for piece in ask("openai-chat", options.gateway, history(key)):
            said += piece
            lines = "".join(f"data: {line}\n" for line in piece.split("\n"))
            self.wfile.write(f"{lines}\n".encode())
        if not options.late:
            save(key, "assistant", said)
        self.wfile.write(b"data: [DONE]\n\n")
        if options.late:
            save(key, "assistant", said)
        self.close_connection = True


ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()
