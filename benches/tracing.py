#!/usr/bin/env python3
"""What the system-call gate costs a server on SQLite while nothing is withheld: requests a second with and without chatctl.

    benches/tracing.py --chatctl target/release/chatctl

The same server runs twice: by itself, and started by a chatctl whose gate is open. Each request commits a row. Both are measured
in turns, so that load of the machine meets both alike; on a busy machine the processor time of the server tells more.
"""

import argparse
import http.client
import os
import pathlib
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import engines

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Saves(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    database = None

    def setup(self):
        super().setup()
        # An answer must not wait for the acknowledgement of its head.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self):
        if self.path == "/save":
            with self.database:
                self.database.execute("INSERT INTO row VALUES ('x')")
        body = str(time.process_time()).encode() if self.path == "/cpu" else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        # chatctl waits for this chat as long as it is let.
        threading.Event().wait()

    def log_message(self, *_):
        pass


class Server(HTTPServer):
    def process_request(self, request, address):
        # A connection has a thread, but for the one that measures there are none at a time.
        threading.Thread(target=self.one, args=(request, address), daemon=True).start()

    def one(self, request, address):
        self.finish_request(request, address)
        self.shutdown_request(request)


def serve(port, file):
    Saves.database = sqlite3.connect(file, check_same_thread=False)
    Saves.database.execute("PRAGMA journal_mode = wal")
    Saves.database.execute("CREATE TABLE IF NOT EXISTS row (text)")
    Server(("127.0.0.1", port), Saves).serve_forever()


def rate(port, count):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began = time.perf_counter()
    for _ in range(count):
        connection.request("GET", "/save")
        connection.getresponse().read()
    taken = time.perf_counter() - began
    connection.close()
    return count / taken


def cpu(port):
    """The processor time that the server has taken, in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/cpu")
    return float(connection.getresponse().read())


def until_ready(port):
    deadline = time.monotonic() + 30
    while socket.socket().connect_ex(("127.0.0.1", port)):
        if time.monotonic() > deadline:
            raise SystemExit("error: the server does not listen")
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--count", type=int, default=50, help="requests of a round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        alone, traced = engines.free_port(), engines.free_port()
        start = f"{sys.executable} {__file__} serve"
        ours = subprocess.Popen([*start.split(), str(alone), f"{folder}/alone.db"])
        chatctl = subprocess.Popen(
            [args.chatctl, "verify-stream", "--quiet", "--database-url", f"sqlite:{folder}/traced.db", "--ready", "/health", "--server",
             f"http://127.0.0.1:{traced}", "--start", f"{start} {traced} {folder}/traced.db", "--response-timeout", "1h"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until_ready(alone)
            until_ready(traced)
            time.sleep(2)
            rates = {"without chatctl": [], "started by chatctl": []}
            before = [cpu(port) for port in [alone, traced]]
            for _ in range(args.rounds):
                for (name, seen), port in zip(rates.items(), [alone, traced]):
                    seen.append(rate(port, args.count))
            requests = args.rounds * args.count
            taken = [(cpu(port) - began) / requests * 1e6 for port, began in zip([alone, traced], before)]
            if chatctl.poll() is not None:
                raise SystemExit("error: chatctl has ended")
        finally:
            chatctl.terminate()
            chatctl.wait()
            ours.kill()
            ours.wait()
    middle = {name: statistics.median(seen) for name, seen in rates.items()}
    for name, seen in rates.items():
        print(f"{name}: {middle[name]:.0f} requests/s (median of {len(seen)} rounds; {min(seen):.0f} to {max(seen):.0f})")
    pairs = zip(rates["started by chatctl"], rates["without chatctl"])
    ratio = statistics.median(ours / alone for ours, alone in pairs)
    print(f"ratio, median of the rounds: {ratio:.3f}; processor time a request: {taken[0]:.0f} and {taken[1]:.0f} µs; "
          f"load {os.getloadavg()[0]:.0f}")  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), sys.argv[3])
    else:
        main()
