#!/usr/bin/env python3
"""Random cases against good servers: none may be violated.

Each run takes a good server, a stack, a store, a transport, the seed of the run, and some faults of the provider, alone or
mixed; it also plays every client that leaves. Runs are repeated until there are so many cases. Prints how they
ended, and exits 1 when one is violated.

    benches/false_alarms.py --chatctl target/release/chatctl --cases 1000
    benches/false_alarms.py --on sqlite postgres mariadb --cases 200 --seed 7 --load 4
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import engines
from matrix import COLUMNS, SERVERS, Bench, load

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What a server does, and what its session declares of clients that leave.
GOOD = {"correct": None, "finish_reason": None, "finishes": "finish", "keeps_part": "keep-part", "tok_pre": None}
TEXTS = ["nul", "lone-surrogate", "emoji", "rtl", "crlf", "megabyte"]
STREAMS = ["empty-deltas", "drip", "split-character", "stall", "done-twice", "data-after-done"]
ENDS = ["error-in-stream", "rst", "fin", "ends-early", "http-429-once"]
ALONE = ["only-reasoning", "only-tool-call", "http-429", "http-503", "error-with-200", "json-with-200"]
SESSION = """
[[setup]]
request = "POST /conversations"
json = {{ title = "a turn" }}
capture = {{ conversation_id = "$.id" }}

[request]
request = "POST /chat"
json = {{ conversation_id = "{{conversation_id}}", message = "{{user}}" }}
{declared}

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added. Is there anything else that I can do for you?"

[[turn]]
user = "Mark it as done"
answer = "Done: 'Buy milk' is marked as done, and your list is empty now."

[history]
request = "GET /conversations/{{conversation_id}}/messages"
"""


def mix(rng):
    """One fault, or some that may be played at once."""
    if rng.random() < 0.3:
        return rng.choice(ALONE)
    some = [rng.choice(kind) for kind in (TEXTS, STREAMS, ENDS) if rng.random() < 0.6]
    return "+".join(some) or rng.choice(TEXTS)


def play(bench, args, seed):
    """The cases of one run: what it was, and name and verdict of each."""
    rng = random.Random(seed)
    mode, declared = rng.choice(list(GOOD.items()))
    columns = [column for column in COLUMNS if not column.is_node and column.database in args.on]
    # A client that leaves cancels a save in the loop only where the stack can be cancelled.
    column = rng.choice([column for column in columns if declared is None or column.stack == "async"])
    transport = rng.choice(["starlette", "sse"])
    faults = ",".join(dict.fromkeys(mix(rng) for _ in range(6)))
    suite = rng.choice(["quick", "full"])
    what = f"seed {seed}: {mode}, {column.database} {column.name}, {transport}, {suite}, {faults}"
    env = os.environ | {"MODE": mode, "TRANSPORT": transport} | dict(column.settings)
    program = f"{args.python} -m uvicorn chat.app:app --app-dir {SERVERS} --host 127.0.0.1 --port {{port}}"
    with tempfile.TemporaryDirectory() as folder, bench.store(column.database) as (url, setting):
        session = pathlib.Path(folder) / "session.toml"
        session.write_text(SESSION.format(declared=f'on_disconnect = "{declared}"' if declared else ""))
        command = [
            args.chatctl, "verify-stream", "--format", "json", "--quiet", "--proof", "observe", "--profile", "plain",
            "--database-url", url, "--ready", "/health", "--seed", str(seed), "--suite", suite,
            "--provider-fault", faults, "--ready-timeout", "2m",
            "--start", f"env GATEWAY_URL={{gateway_url}} {setting} {program}", str(session),
        ]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    if not done.stdout:
        return what, [("no report", "error", done.stderr.strip())]
    report = json.loads(done.stdout)
    cases = [(case["name"], case["verdict"], case["reason"]) for case in report["cases"]]
    # What is found outside of a case counts as one.
    errors = [item for item in report["findings"] if item["severity"] == "error" and not item["place"].get("case")]
    return what, cases + [(item["code"], "violated", item["harm"]) for item in errors]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--python", default=str(ROOT / "target/venv/bin/python"))
    parser.add_argument("--on", nargs="*", default=["sqlite", "postgres", "mariadb"], help="only these databases")
    parser.add_argument("--cases", type=int, default=1000, help="at least so many")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first run; the next ones follow")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--load", type=int, default=0, help="so many processes that keep the machine busy")
    args = parser.parse_args()

    ended = collections.Counter()
    seed = args.seed
    with contextlib.ExitStack() as stack:
        kinds = {"postgres": engines.Postgres, "mariadb": engines.MariaDb}
        servers = {name: stack.enter_context(kinds[name]()) for name in args.on if name in kinds}
        bench = Bench(args, servers)
        stack.enter_context(load(args.load))
        pool = stack.enter_context(ThreadPoolExecutor(args.jobs))
        while ended.total() < args.cases:
            seeds = range(seed, seed + args.jobs)
            seed += args.jobs
            for what, cases in pool.map(lambda seed: play(bench, args, seed), seeds):
                ended.update(verdict for _, verdict, _ in cases)
                for name, verdict, reason in cases:
                    if verdict not in ("held", "proven"):
                        print(f"# {what}\n#   {name}: {verdict}: {reason[:300]}", file=sys.stderr, flush=True)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(ended.items()))
    print(f"{ended.total()} cases in {seed - args.seed} runs: {counts}; load {os.getloadavg()[0]:.0f}")
    return 1 if ended["violated"] or ended["error"] else 0


if __name__ == "__main__":
    sys.exit(main())
