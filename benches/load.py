#!/usr/bin/env python3
"""What many conversations at the same time cost: memory and CPU time of chatctl, next to those of the server.

    benches/load.py --chatctl target/release/chatctl --python target/venv/bin/python --concurrency 1000

With --httpx-sse and --eventsource-parser the same conversations are played by a script on each of the two packages, next to
chatctl. It starts a FastAPI server with SQLite through chatctl and plays the case `side-by-side`: each conversation gets an answer
of 200 tokens, a chunk each, and each row is compared with what was said. Fails where the case does not hold, where chatctl
takes more than 300 MB, or more CPU time than the server.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEMORY_MB = 300
TICKS = os.sysconf("SC_CLK_TCK")
SESSION = """
[[setup]]
request = "POST /conversations"
json = { title = "load" }
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }

[[turn]]
user = "Tell me a story"
cassette = "story.sse"
"""


def story(tokens):
    """An answer of OpenAI's chat completions with a chunk for each token."""
    def event(delta, reason=None):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return f"data: {json.dumps(body)}\n\n"

    words = [event({"content": f"word{number} "}) for number in range(tokens)]
    return "".join([event({"role": "assistant", "content": ""}), *words, event({}, "stop"), "data: [DONE]\n\n"])


def stat(pid):
    """Parent and CPU seconds of a process; nothing where it has ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS


def descendants(root):
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and (told := stat(entry.name)):
            parents[int(entry.name)] = told[0]
    found, more = set(), {root}
    while more:
        more = {pid for pid, parent in parents.items() if parent in more}
        found |= more
    return found


def peak_mb(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


class Watched:
    """Peak memory and CPU time of a process, and the CPU time of those that it started."""

    def __init__(self, child):
        self.child, self.memory, self.own, self.started = child, 0.0, 0.0, {}

    def look(self):
        self.memory = max(self.memory, peak_mb(self.child.pid))
        self.own = max(self.own, (stat(self.child.pid) or (0, 0.0))[1])
        for pid in descendants(self.child.pid):
            if told := stat(pid):
                self.started[pid] = max(self.started.get(pid, 0.0), told[1])


def server_command(options, port, path, gateway):
    return (f"env STACK=raw FRAMEWORK=fastapi MODE=correct DATABASE_PATH={path} GATEWAY_URL={gateway} "
            f"{options.python} -m uvicorn chat.app:app --app-dir {ROOT}/tests/servers --host 127.0.0.1 "
            f"--port {port} --log-level warning --backlog 4096")


def chatctl(options, folder):
    """Plays the case; returns its row, and whether the limits hold."""
    start = server_command(options, "{port}", "{database_path}", "{gateway_url}")
    command = [options.chatctl, "verify-stream", folder / "load.toml", "--database-url", f"sqlite:{folder}/chat.db",
               "--ready", "/health", "--start", start, "--profile", "plain", "--proof", "observe",
               "--concurrency", str(options.concurrency), "--response-timeout", "10m", "--format", "json"]
    with open(folder / "report.json", "wb") as out:
        watched = Watched(subprocess.Popen(command, stdout=out))
        while watched.child.poll() is None:
            watched.look()
            time.sleep(0.1)
    report = json.loads((folder / "report.json").read_text())
    case = next((case for case in report["cases"] if case["name"].endswith("/side-by-side")), None)
    verdict = case["verdict"] if case else "not played"
    seconds = case["took_ms"] / 1000 if case else 0.0
    if case and verdict != "held":
        print(case["reason"], file=sys.stderr)
    server = sum(watched.started.values())
    row("chatctl", options, verdict, seconds, watched, server)
    return verdict == "held" and watched.memory <= MEMORY_MB and watched.own <= server


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until_open(port):
    for _ in range(600):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def peer(name, driver, options, folder):
    """The same conversations by a script that only reads the streams; the rows are compared here, afterwards."""
    database = folder / f"{name}.db"
    provider, port = free_port(), free_port()
    answers = subprocess.Popen([options.python, ROOT / "benches/load/provider.py", str(provider), folder / "story.sse"])
    serve = server_command(options, port, database, f"http://127.0.0.1:{provider}/v1")
    until_open(provider)
    server = Watched(subprocess.Popen(serve.split()))
    try:
        until_open(port)
        began = time.monotonic()
        command = [*driver, f"http://127.0.0.1:{port}", str(options.concurrency)]
        watched = Watched(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        while watched.child.poll() is None:
            watched.look()
            server.look()
            time.sleep(0.1)
        seconds = time.monotonic() - began
        ended = int(watched.child.stdout.read() or 0)
    finally:
        for child in (server.child, answers):
            child.terminate()
            child.wait()
    text = "".join(f"word{number} " for number in range(options.tokens))
    with sqlite3.connect(database) as connection:
        whole, = connection.execute("SELECT count(*) FROM message WHERE role = 'assistant' AND content = ?", [text]).fetchone()
    verdict = f"{ended} ended, {whole} stored"
    row(name, options, verdict, seconds, watched, server.own + sum(server.started.values()))


def row(name, options, verdict, seconds, watched, server):
    print(f"| {name} | {options.concurrency} | {options.tokens} | {verdict} | {seconds:.1f} s | {watched.memory:.0f} MB "
          f"| {watched.own:.1f} s | {server:.1f} s |", flush=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--chatctl", default=ROOT / "target/release/chatctl")
    options.add_argument("--python", default=ROOT / "target/venv/bin/python")
    options.add_argument("--concurrency", type=int, default=1000)
    options.add_argument("--tokens", type=int, default=200)
    options.add_argument("--httpx-sse", metavar="PYTHON", help="a Python that has httpx-sse: the same by a script on it")
    options.add_argument("--eventsource-parser", metavar="FOLDER",
                         help="a folder in which npm installed eventsource-parser: the same by a script on it")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "load.toml").write_text(SESSION)
        (folder / "story.sse").write_text(story(options.tokens))
        print("| | conversations | tokens each | verdict | time | memory | CPU | server: CPU |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        is_held = chatctl(options, folder)
        if options.httpx_sse:
            peer("httpx-sse", [options.httpx_sse, ROOT / "benches/load/on_httpx_sse.py"], options, folder)
        if options.eventsource_parser:
            # Node looks for packages next to the script.
            script = pathlib.Path(options.eventsource_parser) / "on_eventsource_parser.mjs"
            shutil.copy(ROOT / "benches/load/on_eventsource_parser.mjs", script)
            try:
                peer("eventsource-parser", ["node", script], options, folder)
            finally:
                script.unlink()
    if not is_held:
        raise SystemExit(1)


main()
