#!/usr/bin/env python3
"""The order proof at the system-call gate, against servers in Go, on a JVM, and in several processes, on SQLite.

    benches/runtimes.py --chatctl target/release/chatctl --python target/venv/bin/python -n 3

Takes Debian's packages golang-go, golang-github-mattn-go-sqlite3-dev, openjdk-17-jdk-headless, libxerial-sqlite-jdbc-java and
gunicorn; a column whose programs are missing is left out, and named. Exits 1 when a right server is ever violated, or a wrong one
is ever proven or held.
"""

import argparse
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "benches" / "runtimes"
SERVERS = ROOT / "tests" / "servers"
JAR = "/usr/share/java/sqlite-jdbc.jar"
# The modes of `runtimes/`, and those of `tests/servers/chat` that do the same.
OWN = {"before": "proven", "both": "proven", "after": "violated", "detached": "violated"}
CHAT = {"correct": "proven", "conc_both": "proven", "after": "violated", "create_task": "violated"}


def go(folder):
    program = f"{folder}/server"
    # Debian has the sources of its packages there.
    env = os.environ | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": f"{folder}/cache", "GOFLAGS": "-p=1"}
    subprocess.run(["go", "build", "-tags", "libsqlite3", "-o", program, HERE / "server.go"], env=env, check=True)
    return lambda mode, journal: f"{program} {{port}} {{gateway_url}} {{database_path}} {journal} {mode}"


def jvm(folder):
    subprocess.run(["javac", "-d", folder, HERE / "Server.java"], check=True)
    run = f"java -Djava.library.path=/usr/lib/jni:/usr/lib/x86_64-linux-gnu/jni:/usr/lib/aarch64-linux-gnu/jni -cp {folder}:{JAR} Server"
    return lambda mode, journal: f"{run} {{port}} {{gateway_url}} {{database_path}} {journal} {mode}"


def workers(program):
    def command(mode, journal):
        env = f"env MODE={mode} JOURNAL={journal} STACK=sync BUSY_TIMEOUT_MS=10000 DATABASE_PATH={{database_path}} GATEWAY_URL={{gateway_url}}"
        return f"{env} {program}"

    return command


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--python", default=str(ROOT / "target/venv/bin/python"))
    parser.add_argument("-n", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="only these columns")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        uvicorn = f"{args.python} -m uvicorn chat.app:app --app-dir {SERVERS} --host 127.0.0.1 --port {{port}} --workers 2"
        gunicorn = (
            f"env PYTHONPATH={SERVERS}:{os.environ.get('PYTHONPATH', '')} {args.python} -m gunicorn chat.app:app -k uvicorn.workers.UvicornWorker -w 2 -b 127.0.0.1:{{port}}"
        )
        columns = {
            "go": (shutil.which("go"), lambda: go(folder), OWN),
            "jvm": (shutil.which("javac") and os.path.exists(JAR), lambda: jvm(folder), OWN),
            "uvicorn, 2 workers": (True, lambda: workers(uvicorn), CHAT),
            "gunicorn, 2 workers": (has(args.python, "gunicorn"), lambda: workers(gunicorn), CHAT),
        }
        wrong, rows = 0, []
        for name, (there, make, modes) in columns.items():
            if args.only and name not in args.only:
                continue
            if not there:
                print(f"# {name}: left out, its programs are missing", file=sys.stderr)
                continue
            command = make()
            for mode, truth in modes.items():
                cells = []
                for journal in ["wal", "delete"]:
                    seen = collections.Counter()
                    for _ in range(args.n):
                        verdict, gate, reason = run(args.chatctl, command(mode, journal))
                        seen[verdict] += 1
                        wrong += {"proven": verdict == "violated", "violated": verdict in ("proven", "held")}[truth]
                        if verdict != truth:
                            print(f"# {name} {mode} {journal}: {verdict} ({gate}): {reason}", file=sys.stderr, flush=True)
                    cells.append(" ".join(f"{count} {verdict}" for verdict, count in seen.items()))
                rows.append(f"| {name} | {mode} | {truth} | {' | '.join(cells)} |")
    print("| server | mode | truth | wal | delete |\n|---|---|---|---|---|", *rows, sep="\n")
    print(f"\n{wrong} wrong; load {os.getloadavg()[0]:.0f}")
    return 1 if wrong else 0


def has(python, module):
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0


def run(chatctl, start):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [chatctl, "verify-stream", "--format", "json", "--quiet", "--proof", "gate", "--trials", "3", "--profile", "plain",
             "--database-url", f"sqlite:{folder}/chat.db", "--ready", "/health", "--start", start],
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    if not done.stdout:
        return "error", "", done.stderr.strip()[-300:]
    report = json.loads(done.stdout)
    orders = [case for case in report["cases"] if case["name"].endswith("/order")]
    if not orders:
        return report["verdict"], "", json.dumps(report["findings"])[:300]
    gate = next((moment["what"] for moment in orders[0]["timeline"] if moment["what"].startswith("gate closed")), "")
    return orders[0]["verdict"], gate, orders[0].get("reason") or ""


if __name__ == "__main__":
    sys.exit(main())
