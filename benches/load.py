#!/usr/bin/env python3
"""What many conversations at the same time cost: memory and CPU time of chatctl, next to those of the server.

    benches/load.py --chatctl target/release/chatctl --python target/venv/bin/python --concurrency 1000

It starts a FastAPI server with SQLite through chatctl and plays the case `side-by-side`: each conversation gets an answer
of 200 tokens, a chunk each, and each row is compared with what was said. Fails where the case does not hold, where chatctl
takes more than 300 MB, or more CPU time than the server.
"""

import argparse
import json
import os
import pathlib
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


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--chatctl", default=ROOT / "target/release/chatctl")
    options.add_argument("--python", default=ROOT / "target/venv/bin/python")
    options.add_argument("--concurrency", type=int, default=1000)
    options.add_argument("--tokens", type=int, default=200)
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "load.toml").write_text(SESSION)
        (folder / "story.sse").write_text(story(options.tokens))
        start = (f"env STACK=raw FRAMEWORK=fastapi MODE=correct DATABASE_PATH={{database_path}} GATEWAY_URL={{gateway_url}} "
                 f"{options.python} -m uvicorn chat.app:app --app-dir {ROOT}/tests/servers --host 127.0.0.1 "
                 "--port {port} --log-level warning --backlog 4096")
        command = [options.chatctl, "verify-stream", folder / "load.toml", "--database-url", f"sqlite:{folder}/chat.db",
                   "--ready", "/health", "--start", start, "--profile", "plain", "--proof", "observe",
                   "--concurrency", str(options.concurrency), "--response-timeout", "10m", "--format", "json"]
        began = time.monotonic()
        with open(folder / "report.json", "wb") as out:
            child = subprocess.Popen(command, stdout=out)
            memory, own, server = 0.0, 0.0, {}
            while child.poll() is None:
                memory = max(memory, peak_mb(child.pid))
                own = max(own, (stat(child.pid) or (0, 0.0))[1])
                for pid in descendants(child.pid):
                    if told := stat(pid):
                        server[pid] = max(server.get(pid, 0.0), told[1])
                time.sleep(0.1)
        took = time.monotonic() - began
        report = json.loads((folder / "report.json").read_text())
    case = next((case for case in report["cases"] if case["name"].endswith("/side-by-side")), None)
    verdict = case["verdict"] if case else "not played"
    seconds = case["took_ms"] / 1000 if case else 0.0
    print("| conversations | tokens each | verdict | case | run | chatctl: memory | chatctl: CPU | server: CPU |")
    print("|---|---|---|---|---|---|---|---|")
    print(f"| {options.concurrency} | {options.tokens} | {verdict} | {seconds:.1f} s | {took:.1f} s | {memory:.0f} MB "
          f"| {own:.1f} s | {sum(server.values()):.1f} s |")
    if case and verdict != "held":
        print(case["reason"], file=sys.stderr)
    if verdict != "held" or memory > MEMORY_MB or own > sum(server.values()):
        raise SystemExit(1)


main()
