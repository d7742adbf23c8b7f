"""The web process of a chat server whose answers a worker saves.

    python web.py --port 8000 --worker http://127.0.0.1:9000 [--late] [--visits]

It waits until the worker has saved an answer before it sends the final marker; with `--late` it hands
the answer over and sends the marker at once. With `--visits` it commits a row of its own to DATABASE_URL
before the marker. OPENAI_BASE_URL is its provider.
"""

import argparse
import json
import os
import sys
import threading
import urllib.request
import uuid
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from asking import ask  # noqa: E402

arguments = argparse.ArgumentParser()
arguments.add_argument("--host", default="127.0.0.1")
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--worker", required=True)
arguments.add_argument("--late", action="store_true")
arguments.add_argument("--visits", action="store_true")
options = arguments.parse_args()


def worker(path: str, value: Any) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(options.worker + path, json.dumps(value).encode(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def save(conversation: str, role: str, content: str) -> None:
    worker("/save", {"conversation_id": conversation, "role": role, "content": content})


def visit() -> None:
    import psycopg2

    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS visit (visited_at timestamptz)")
            cursor.execute("INSERT INTO visit VALUES (now())")


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
        if parts[0] == "conversations":
            self.reply(200, worker("/history", {"conversation_id": parts[1]}))
        else:
            self.reply(200, {"status": "ok"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/conversations":
            self.reply(201, {"id": str(uuid.uuid4())})
            return
        conversation = asked["conversation_id"]
        save(conversation, "user", asked["message"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        said = ""
        messages = worker("/history", {"conversation_id": conversation})
        for piece in ask("openai-chat", os.environ["OPENAI_BASE_URL"], messages):
            said += piece
            lines = "".join(f"data: {line}\n" for line in piece.split("\n"))
            self.wfile.write(f"{lines}\n".encode())
        saving = threading.Thread(target=save, args=(conversation, "assistant", said))
        saving.start()
        if not options.late:
            saving.join()
        if options.visits:
            visit()
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True


ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()
