"""A server that writes what it is asked to, for the tests of the system-call gate.

`python writer.py PORT DATABASE JOURNAL [fork|stuck|child]`. `GET /save?text=…` answers when the text is
committed; `/late?text=…` answers at once and commits afterwards. Each request has a thread and a
connection of its own; with `fork`, two processes serve. With `stuck`, a process of the server can't be stopped for the
first seconds, as one that waits for a busy disk: it waits for its child like after vfork(2). With `child`, a process that has ended is still among those of the server.
"""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

PORT, DATABASE, JOURNAL = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def save(text: str, busy_timeout: float = 5) -> None:
    connection = sqlite3.connect(DATABASE, timeout=busy_timeout)
    # PERSIST and TRUNCATE are of the connection; the log is of the file.
    connection.execute(f"PRAGMA journal_mode = {JOURNAL}")
    with connection:
        connection.execute("INSERT INTO message (content) VALUES (?)", (text,))
    connection.close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = urlparse(self.path)
        text = parse_qs(asked.query).get("text", [""])[0]
        error = ""
        if asked.path == "/late":
            threading.Thread(target=save, args=(text,)).start()
        elif asked.path == "/save":
            try:
                save(text)
            except sqlite3.Error as raised:
                error = str(raised)
        elif asked.path == "/sleep":
            time.sleep(0.05)
        body = (error or "ok").encode()
        self.send_response(500 if error else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


STUCK = """
import ctypes, os, platform, signal, time
CLONE_VFORK = 0x4000
number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
child = ctypes.PyDLL(None).syscall(number, CLONE_VFORK | signal.SIGCHLD, 0, 0, 0, 0)
if child == 0:
    print("stuck", flush=True)
    time.sleep(8)
    os._exit(0)
os.waitpid(child, 0)
"""

if sys.argv[4:] == ["stuck"]:
    stuck = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE)
    assert stuck.stdout is not None and stuck.stdout.readline() == b"stuck\n"
if sys.argv[4:] == ["child"]:
    # It ends, and nobody asks for it.
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
if sys.argv[4:] == ["fork"]:
    os.fork()
server.serve_forever()
