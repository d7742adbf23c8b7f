#!/usr/bin/env python3
"""The order proof against every mode of tests/servers/, many times each.

Prints a table of verdicts (P proven, H held, I inconclusive, V violated) and exits 1 when a mode
that is right is ever violated, or one that is wrong is ever proven or held.

    benches/matrix.py --chatctl target/release/chatctl --python target/venv/bin/python -n 12
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVERS = ROOT / "tests" / "servers"
LETTER = {"proven": "P", "held": "H", "inconclusive": "I", "violated": "V"}
# The order is right by accident there: the save blocks the loop (see tests/servers/README.md).
BY_ACCIDENT = {("create_task_slow", "raw")}


def run(args, mode, stack, transport, journal):
    with tempfile.TemporaryDirectory() as folder:
        start = (
            f"{args.python} -m uvicorn chat.app:app --app-dir {SERVERS} --host 127.0.0.1 --port {{port}}"
        )
        env = os.environ | {
            "MODE": mode,
            "STACK": stack,
            "TRANSPORT": transport,
            "JOURNAL": journal,
            "DATABASE_PATH": f"{folder}/chat.db",
        }
        command = [
            args.chatctl, "verify-stream", "--format", "json", "--quiet", "--proof", args.proof,
            "--database-url", f"sqlite:{folder}/chat.db", "--ready", "/health",
            "--start", f"env GATEWAY_URL={{gateway_url}} {start}",
        ]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    if not done.stdout:
        return "error", done.stderr.strip(), None
    report = json.loads(done.stdout)
    order = next(case for case in report["cases"] if case["name"].endswith("/order"))
    metrics = order["metrics"]
    overhead = metrics.get("session_ms", 0) - metrics.get("held_ms", 0)
    return report["verdict"], order["reason"], overhead


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--python", default=str(ROOT / "target/venv/bin/python"))
    parser.add_argument("--proof", default="gate", choices=["auto", "gate", "fault", "observe"])
    parser.add_argument("-n", type=int, default=12, help="runs of each cell, transports in turn")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--modes", nargs="*", help="only these")
    args = parser.parse_args()

    listed = subprocess.run(
        [args.python, "-m", "chat.modes"], cwd=SERVERS, capture_output=True, text=True, check=True
    )
    truths = dict(line.split() for line in listed.stdout.splitlines())
    modes = args.modes or [mode for mode, truth in truths.items() if truth != "other"]
    cells = list(itertools.product(modes, ["sync", "async", "raw"], ["wal", "delete"]))
    work = [(cell, ["starlette", "sse"][i % 2]) for cell in cells for i in range(args.n)]

    def one(job):
        (mode, stack, journal), transport = job
        return run(args, mode, stack, transport, journal)

    results = collections.defaultdict(list)
    with ThreadPoolExecutor(args.jobs) as pool:
        for (cell, transport), result in zip(work, pool.map(one, work)):
            results[cell].append(result)
            if result[0] in ("error", "inconclusive"):
                print(f"# {cell} {transport}: {result[0]}: {result[1][:300]}", file=sys.stderr, flush=True)

    columns = list(itertools.product(["sync", "async", "raw"], ["wal", "delete"]))
    print("| mode | truth | " + " | ".join(f"{stack} {journal}" for stack, journal in columns) + " |")
    print("|---|---|" + "---|" * len(columns))
    wrong = 0
    for mode in modes:
        row = []
        for stack, journal in columns:
            verdicts = collections.Counter(LETTER.get(result[0], "E") for result in results[mode, stack, journal])
            truth = "pass" if (mode, stack) in BY_ACCIDENT else truths[mode]
            bad = verdicts["V"] if truth == "pass" else verdicts["P"] + verdicts["H"]
            bad += verdicts["E"]
            wrong += bad
            cell = " ".join(f"{count}{letter}" for letter, count in sorted(verdicts.items()))
            row.append(f"**{cell}**" if bad else cell)
        print(f"| {mode} | {truths[mode]} | " + " | ".join(row) + " |")
    overheads = sorted(result[2] for cell in results.values() for result in cell if result[0] == "proven")
    if overheads:
        middle, worst = overheads[len(overheads) // 2], overheads[-1]
        print(f"\nproven sessions of one turn: time beyond the holds, ms: median {middle:.0f}, worst {worst:.0f}")
    print(f"\n{wrong} wrong verdicts in {len(work)} runs")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
