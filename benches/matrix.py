#!/usr/bin/env python3
"""The order proof against every mode of tests/servers/, many times each, by the default gate of each database.

Prints a table of verdicts (P proven, H held, I inconclusive, V violated, E none) and exits 1 when a
mode that is right is ever violated, or one that is wrong is ever proven or held.

    benches/matrix.py --chatctl target/release/chatctl --python target/venv/bin/python -n 12
    benches/matrix.py --on postgres mariadb --modes correct conc_writer -n 4 --load 8

`--load` keeps so many processes busy while it runs. It starts a PostgreSQL and a MariaDB server of its own.
"""

import argparse
import collections
import contextlib
import itertools
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import engines

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVERS = ROOT / "tests" / "servers"
LETTER = {"proven": "P", "held": "H", "inconclusive": "I", "violated": "V"}
# The order is right by accident there: the save blocks the loop (see tests/servers/README.md).
BY_ACCIDENT = {("create_task_slow", "raw")}


@dataclass(frozen=True)
class Column:
    """A server and its way to a database."""

    database: str
    name: str
    settings: tuple[tuple[str, str], ...]
    is_node: bool = False

    @property
    def stack(self):
        return dict(self.settings).get("STACK")


def python_column(database, stack, **more):
    name = " ".join([stack, *more.values()])
    settings = {"STACK": stack, **{name.upper(): value for name, value in more.items()}}
    return Column(database, name, tuple(settings.items()))


def node_column(database, driver, **more):
    name = " ".join([driver, *more.values()])
    return Column(database, name, tuple((name.upper(), value) for name, value in more.items()), is_node=True)


COLUMNS = [
    *(
        python_column("sqlite", stack, journal=journal)
        for stack, journal in itertools.product(["sync", "async", "raw"], ["wal", "delete"])
    ),
    *(node_column("sqlite", "better-sqlite3", journal=journal) for journal in ["wal", "delete"]),
    python_column("postgres", "async", driver="asyncpg"),
    python_column("postgres", "async", driver="psycopg"),
    python_column("postgres", "sync", driver="psycopg2"),
    python_column("postgres", "sync", driver="pg8000"),
    node_column("postgres", "pg"),
    python_column("mariadb", "async", driver="aiomysql"),
    python_column("mariadb", "async", driver="asyncmy"),
    python_column("mariadb", "sync", driver="pymysql"),
    node_column("mariadb", "mysql2"),
]


class Bench:
    def __init__(self, args, servers):
        self.args, self.servers = args, servers
        self.until = time.monotonic() + args.minutes * 60
        self.numbers = itertools.count()
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def store(self, database):
        """The URL of a new store, and what of it a server gets."""
        if database == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                yield f"sqlite:{folder}/chat.db", "DATABASE_PATH={database_path}"
            return
        server = self.servers[database]
        with self.lock:
            name = f"chat{next(self.numbers)}"
            server.make(name)
        try:
            yield server.url(name), "DATABASE_URL={database_url}"
        finally:
            with self.lock:
                server.drop(name)

    def run(self, mode, column, transport):
        """Verdict, reason and time beyond the holds; none when the time is up."""
        if time.monotonic() > self.until:
            return None
        program = (
            f"env NODE_PATH={self.args.node}/node_modules node {SERVERS}/node/server.js {{port}}"
            if column.is_node
            else f"{self.args.python} -m uvicorn chat.app:app --app-dir {SERVERS} --host 127.0.0.1 --port {{port}}"
        )
        env = os.environ | {"MODE": mode, "TRANSPORT": transport} | dict(column.settings)
        with self.store(column.database) as (url, setting):
            command = [
                self.args.chatctl, "verify-stream", "--format", "json", "--quiet", "--proof", self.args.proof,
                "--database-url", url, "--ready", "/health", "--ready-timeout", "2m",
                "--start", f"env GATEWAY_URL={{gateway_url}} {setting} {program}",
            ]
            command += ["--gate", self.args.gate] if self.args.gate else []
            try:
                done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
            except subprocess.TimeoutExpired:
                return "error", "the run took longer than 300 s", None
        if not done.stdout:
            return "error", done.stderr.strip(), None
        report = json.loads(done.stdout)
        order = next(case for case in report["cases"] if case["name"].endswith("/order"))
        # A server whose answers are gone after a reload is found before there is an order to prove.
        if order["verdict"] == "inconclusive" and report["verdict"] == "violated":
            return "violated", order.get("reason") or "", None
        metrics = order["metrics"]
        # A client that hangs up at the marker is followed by a wait: only then is it known that its answer stays.
        watched = sum(case["metrics"].get("watched_ms", 0) for case in report["cases"])
        overhead = metrics.get("session_ms", 0) - metrics.get("held_ms", 0) - watched
        return order["verdict"], order.get("reason") or "", overhead


def truths(command, folder):
    listed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    known = map(str.split, listed.stdout.splitlines())
    return {mode: truth for mode, truth in known if truth in ("pass", "violation")}


@contextlib.contextmanager
def load(count):
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(count)]
    for process in busy:
        process.start()
    yield
    for process in busy:
        process.kill()


def spin():
    while True:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--python", default=str(ROOT / "target/venv/bin/python"))
    parser.add_argument("--node", default=str(ROOT / "target/node"), help="the folder with the drivers of the Node servers")
    parser.add_argument("--proof", default="gate", choices=["auto", "gate", "fault", "observe"])
    parser.add_argument("--gate", help="this gate, not the default one")
    parser.add_argument("--on", nargs="*", default=["sqlite", "postgres", "mariadb"], help="only these databases")
    parser.add_argument("-n", type=int, default=12, help="runs of each cell, transports in turn")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--load", type=int, default=0, help="so many processes that keep the machine busy")
    parser.add_argument("--modes", nargs="*", help="only these")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so many")
    args = parser.parse_args()

    of_python = truths([args.python, "-m", "chat.modes"], SERVERS)
    of_node = truths(["node", "modes.js"], SERVERS / "node")
    columns = [column for column in COLUMNS if column.database in args.on]
    modes = args.modes or list(of_python | of_node)
    truth_of = {
        (mode, column): "pass" if (mode, column.stack) in BY_ACCIDENT else known[mode]
        for column in columns
        for known in [of_node if column.is_node else of_python]
        for mode in modes
        if mode in known
    }
    # Runs of a cell are spread over the whole time.
    work = [(cell, ["starlette", "sse"][i % 2]) for i in range(args.n) for cell in truth_of]

    results = collections.defaultdict(list)
    with contextlib.ExitStack() as stack:
        kinds = {"postgres": engines.Postgres, "mariadb": engines.MariaDb}
        servers = {name: stack.enter_context(kinds[name]()) for name in args.on if name in kinds}
        bench = Bench(args, servers)
        stack.enter_context(load(args.load))
        pool = stack.enter_context(ThreadPoolExecutor(args.jobs))
        for (cell, transport), result in zip(work, pool.map(lambda job: bench.run(*job[0], job[1]), work)):
            if result is None:
                continue
            results[cell].append(result)
            verdict, reason, _ = result
            bad = verdict not in ({"proven"} if truth_of[cell] == "pass" else {"violated"})
            if bad:
                print(f"# {cell[0]}, {cell[1].database} {cell[1].name}: {verdict}: {reason[:300]}", file=sys.stderr, flush=True)

    return report(modes, columns, truth_of, results)


def report(modes, columns, truth_of, results):
    print("| mode | truth | " + " | ".join(f"{column.database} {column.name}" for column in columns) + " |")
    print("|---|---|" + "---|" * len(columns))
    wrong = 0
    for mode in modes:
        row = []
        for column in columns:
            cell = (mode, column)
            verdicts = collections.Counter(LETTER.get(result[0], "E") for result in results[cell])
            bad = verdicts["V"] if truth_of.get(cell) == "pass" else verdicts["P"] + verdicts["H"]
            wrong += bad
            text = " ".join(f"{count}{letter}" for letter, count in sorted(verdicts.items())) or "–"
            row.append(f"**{text}**" if bad else text)
        truth = next(truth for (name, _), truth in truth_of.items() if name == mode)
        print(f"| {mode} | {truth} | " + " | ".join(row) + " |")
    flat = [result for cell in results.values() for result in cell]
    for database in dict.fromkeys(column.database for column in columns):
        proven = [
            result[2]
            for (_, column), runs in results.items()
            for result in runs
            if column.database == database and result[0] == "proven"
        ]
        if proven:
            middle, worst = sorted(proven)[len(proven) // 2], max(proven)
            print(f"\n{database}, proven sessions of one turn: time beyond the holds, ms: median {middle:.0f}, worst {worst:.0f}")
    undecided = sum(result[0] in ("inconclusive", "error") for result in flat)
    print(f"\n{wrong} wrong and {undecided} undecided in {len(flat)} runs; load {os.getloadavg()[0]:.0f}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
