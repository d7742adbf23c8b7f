"""The worker of a chat server: it alone writes to the database, and answers when it has.

    python worker.py --port 9000

DATABASE_URL is its PostgreSQL database.
"""

import argparse
import json
import os
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg2

arguments = argparse.ArgumentParser()
arguments.add_argument("--host", default="127.0.0.1")
arguments.add_argument("--port", type=int, required=True)
options = arguments.parse_args()

TABLE = """CREATE TABLE IF NOT EXISTS message (id bigserial PRIMARY KEY, conversation_id text NOT NULL,
    role text NOT NULL, content text NOT NULL, created_at timestamptz NOT NULL DEFAULT now())"""


def run(sql: str, *values: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = asked["conversation_id"]
        if self.path == "/save":
            run("INSERT INTO message (conversation_id, role, content) VALUES (%s, %s, %s)", key, asked["role"], asked["content"])
            answer: Any = {"saved": True}
        else:
            rows = run("SELECT role, content FROM message WHERE conversation_id = %s ORDER BY id", key)
            answer = [{"role": role, "content": content} for role, content in rows]
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


run(TABLE)
server = ThreadingHTTPServer((options.host, options.port), Handler)
print("worker: ready", flush=True)
server.serve_forever()
