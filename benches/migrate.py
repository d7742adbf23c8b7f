#!/usr/bin/env python3
"""What the proof costs: `chatctl migrate up` beside `sqlx migrate run`, and beside the engine itself.

    benches/migrate.py --chatctl target/release/chatctl -n 11 --messages 1000000
    benches/migrate.py --backends postgres --parts fifty

Times are of whole processes, medians of n, tools in turn and every second round in the other order;
they are comparable within one run only, and the load is printed. Servers are private ones. Parts:

    fifty   nothing to do with 50 files applied, and 50 new files, beside sqlx (`cargo install sqlx-cli`;
            from the PATH or --sqlx)
    proof   files on a store of about 200 bytes a message, each on a fresh copy of it:
              read    all columns of messages written out by the engine's client, into sha256sum
              bare    the same statements in one transaction in the engine's client
              proof   chatctl minus bare; and as a multiple of read
            On MariaDB chatctl rehearses on a copy, which is most of that time.
    folder  the files of --folder from an empty PostgreSQL, beside one session of psql
"""

import argparse
import os
import pathlib
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches" / "peers"))
from run import STORES, server  # noqa: E402

FILES = 50
CONVERSATIONS = 10_000
KEY = {"sqlite": "INTEGER", "postgres": "bigint", "mysql": "BIGINT"}
NAME = {"sqlite": "TEXT", "postgres": "text", "mysql": "VARCHAR(200)"}
SCHEMA = """
CREATE TABLE conversations (id {key} PRIMARY KEY, title {name} NOT NULL);
CREATE TABLE messages (
    id              {key} PRIMARY KEY,
    conversation_id {key} NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role            {name} NOT NULL,
    body            TEXT,
    note            TEXT
);
CREATE INDEX messages_of_conversation ON messages (conversation_id);
CREATE TABLE settings (id {key} PRIMARY KEY, name {name});
"""
COLUMNS = "id, conversation_id, role, body, note"
COMMON = {
    "CREATE TABLE, index on another table": "CREATE TABLE tags (id {key} PRIMARY KEY, name {name});\n"
                                            "CREATE INDEX settings_by_name ON settings (name);\n",
    "ADD COLUMN on messages": "ALTER TABLE messages ADD COLUMN status {name} NOT NULL DEFAULT 'complete';\n",
    "UPDATE of one message's note": "UPDATE messages SET note = 'x' WHERE id = 500;\n",
    "INSERT of one message": "INSERT INTO messages (id, conversation_id, role) VALUES (0, 1, 'user');\n",
}
REBUILD = {
    "sqlite": "PRAGMA foreign_keys=OFF;\n"
    "CREATE TABLE __new_conversations (id INTEGER PRIMARY KEY, title TEXT NOT NULL DEFAULT 'New chat');\n"
    "INSERT INTO __new_conversations (id, title) SELECT id, title FROM conversations;\n"
    "DROP TABLE conversations;\n"
    "ALTER TABLE __new_conversations RENAME TO conversations;\n"
    "PRAGMA foreign_keys=ON;\n",
}


def changes(backend):
    texts = {name: sql.format(key=KEY[backend], name=NAME[backend]) for name, sql in COMMON.items()}
    if backend in REBUILD:
        texts["Drizzle's rebuild of conversations"] = REBUILD[backend]
    return texts


def timed(command, stdin=None):
    began = time.perf_counter()
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return took


def in_turn(rounds, ways):
    """Medians of ways to do something: name to a function that gives seconds."""
    times = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways) if number % 2 == 0 else list(reversed(ways))
        for name in names:
            times[name].append(ways[name]())
    return {name: statistics.median(each) for name, each in times.items()}


class Stores:
    """Fresh stores of a backend, and copies of one."""

    def __init__(self, backend, url, place):
        self.backend, self.url, self.place, self.number = backend, url, place, 0

    def new(self):
        self.number += 1
        at = self.place / f"{self.backend}_{self.number}"
        at.mkdir()
        return STORES[self.backend](at, self.url)

    def copy(self, base):
        store = self.new()
        if self.backend == "sqlite":
            shutil.copyfile(base.path, store.path)
        elif self.backend == "postgres":
            store.ask("postgres", f"DROP DATABASE {store.name}")
            store.ask("postgres", f"CREATE DATABASE {store.name} TEMPLATE {base.name}")
        else:
            dump = subprocess.run([*self.client(base, "mariadb-dump"), base.name], capture_output=True, check=True).stdout
            subprocess.run([*self.client(store), store.name], input=dump, check=True)
        return store

    def drop(self, store):
        store.drop()
        shutil.rmtree(self.place / f"{self.backend}_{self.number}", ignore_errors=True)

    def client(self, store, program="mariadb"):
        port = re.search(r":(\d+)", store.url.rpartition("@")[2])[1]
        return [program, "--no-defaults", "-uroot", "-h127.0.0.1", f"-P{port}"]

    def engine(self, store):
        if self.backend == "sqlite":
            return ["sqlite3", "-bail", str(store.path)]
        if self.backend == "postgres":
            return ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", store.url]
        return [*self.client(store), store.name]

    def read(self, store):
        """Every column of messages, written out and digested."""
        if self.backend == "postgres":
            command = [*self.engine(store), "-c", f"COPY messages ({COLUMNS}) TO STDOUT"]
        elif self.backend == "mysql":
            command = [*self.engine(store), "-q", "-N", "-e", f"SELECT {COLUMNS} FROM messages"]
        else:
            command = [*self.engine(store), f"SELECT {COLUMNS} FROM messages"]
        began = time.perf_counter()
        writing = subprocess.Popen(command, stdout=subprocess.PIPE)
        subprocess.run(["sha256sum"], stdin=writing.stdout, stdout=subprocess.DEVNULL, check=True)
        if writing.wait():
            sys.exit(f"{command[0]} can't read messages")
        return time.perf_counter() - began


def chatctl(args, store, migrations):
    return [args.chatctl, "migrate", "up", "--format", "json", "--database-url", store.url, "--dir", str(migrations),
            "--backup-dir", str(migrations.parent / "backups")]


def fifty(args, stores, place):
    migrations = place / "fifty"
    shutil.rmtree(migrations, ignore_errors=True)
    migrations.mkdir()
    key, name = KEY[stores.backend], NAME[stores.backend]
    for number in range(1, FILES + 1):
        text = f"CREATE TABLE t{number} (id {key} PRIMARY KEY, name {name});\nINSERT INTO t{number} VALUES (1, 'x');\n"
        (migrations / f"{number:04}_table.sql").write_text(text)

    def sqlx(store):
        url = f"{store.url}?mode=rwc" if stores.backend == "sqlite" else store.url
        return [args.sqlx, "migrate", "run", "--database-url", url, "--source", str(migrations)]

    def ours(store):
        return chatctl(args, store, migrations)

    def fresh(command):
        store = stores.new()
        took = timed(command(store))
        stores.drop(store)
        return took

    applied = stores.new()
    timed(ours(applied))
    noop = in_turn(args.n, {"chatctl": lambda: timed(ours(applied)), "sqlx": lambda: timed(sqlx(applied))})
    new = in_turn(args.n, {"chatctl": lambda: fresh(ours), "sqlx": lambda: fresh(sqlx)})
    applied.drop()
    for what, took in ((f"nothing to do, {FILES} applied", noop), (f"{FILES} new files", new)):
        ours_ms, theirs_ms = took["chatctl"] * 1000, took["sqlx"] * 1000
        print(f"| {stores.backend} | {what} | {ours_ms:.1f} ms | {theirs_ms:.1f} ms | {ours_ms / theirs_ms:.2f} | {load()} |", flush=True)


def load():
    return f"{os.getloadavg()[0]:.1f}"


def proof(args, stores, place):
    migrations, base = place / "one", stores.new()
    shutil.rmtree(migrations, ignore_errors=True)
    migrations.mkdir()
    (migrations / "1_begin.sql").write_text(SCHEMA.format(key=KEY[stores.backend], name=NAME[stores.backend]))
    timed(chatctl(args, base, migrations))
    fill(stores, base, args.messages)
    stores.read(base)
    reading = statistics.median(stores.read(base) for _ in range(max(args.runs, 5)))
    print(f"\n{stores.backend}: {args.messages} messages; a full read of them takes {reading:.2f} s\n")
    print("| migration | chatctl | bare | proof | proof / read | load |\n|---|---|---|---|---|---|", flush=True)

    def on_copy(command, stdin=None):
        store = stores.copy(base)
        took = timed(command(store), stdin)
        stores.drop(store)
        return took

    begin = "BEGIN IMMEDIATE" if stores.backend == "sqlite" else "BEGIN"
    for what, sql in changes(stores.backend).items():
        (migrations / "2_change.sql").write_text(sql)
        took = in_turn(args.runs, {
            "chatctl": lambda: on_copy(lambda store: chatctl(args, store, migrations)),
            "bare": lambda: on_copy(stores.engine, f"{begin};\n{sql}COMMIT;\n"),
        })
        cost = took["chatctl"] - took["bare"]
        print(f"| {what} | {took['chatctl']:.2f} s | {took['bare']:.2f} s | {cost:.2f} s | {cost / reading:.2f} | {load()} |", flush=True)
    base.drop()


TEXT = "All work and no play makes a dull answer; so the assistant writes some more, and then a little more of it. " * 2
NUMBERS = {
    "postgres": "(SELECT n FROM generate_series(1, {count}) AS n) AS numbers",
    "mysql": "(SELECT seq AS n FROM seq_1_to_{count}) AS numbers",
}


def fill(stores, base, messages):
    if stores.backend != "sqlite":
        def of(count):
            return NUMBERS[stores.backend].format(count=count)

        analyze = "ANALYZE" if stores.backend == "postgres" else "ANALYZE TABLE messages"
        sql = (
            f"INSERT INTO conversations SELECT n, concat('chat ', n) FROM {of(CONVERSATIONS)};\n"
            f"INSERT INTO messages SELECT n, n % {CONVERSATIONS} + 1, CASE n % 2 WHEN 1 THEN 'ai' ELSE 'user' END,"
            f" concat(n, ' ', substr('{TEXT}', n % 60 + 1, 140)), NULL FROM {of(messages)};\n"
            f"INSERT INTO settings SELECT n, concat('setting ', n) FROM {of(100)};\n{analyze};\n"
        )
        timed(stores.engine(base), sql)
        return
    connection = sqlite3.connect(base.path)
    with connection:
        connection.executemany("INSERT INTO conversations VALUES (?, ?)", ((i, f"chat {i}") for i in range(1, CONVERSATIONS + 1)))
        connection.executemany(
            "INSERT INTO messages VALUES (?, ?, ?, ?, NULL)",
            ((i, i % CONVERSATIONS + 1, "ai" if i % 2 else "user", f"{i} {TEXT[i % 60:i % 60 + 140]}") for i in range(1, messages + 1)),
        )
        connection.executemany("INSERT INTO settings VALUES (?, ?)", ((i, f"setting {i}") for i in range(1, 101)))
    connection.close()


def folder(args, stores):
    """A real folder from an empty database. What a file says of sqlx's history, psql has no history for."""
    files = sorted(args.folder.glob("*.sql"))
    history = ("CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL"
               " DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);\n")
    whole = history + ";\n".join(file.read_text() for file in files)

    def fresh(command, stdin=None):
        store = stores.new()
        took = timed(command(store), stdin)
        stores.drop(store)
        return took

    ways = {
        "chatctl": lambda: fresh(lambda store: [args.chatctl, "migrate", "up", "--database-url", store.url, "--dir", str(args.folder)]),
        "psql, one session": lambda: fresh(stores.engine, whole),
    }
    if args.sqlx:
        ways["sqlx migrate run"] = lambda: fresh(
            lambda store: [args.sqlx, "migrate", "run", "--database-url", store.url, "--source", str(args.folder)])
    took = in_turn(args.n, ways)
    print(f"\n{len(files)} files of {args.folder.name}, from an empty PostgreSQL (load {load()}):\n")
    for name, seconds in took.items():
        print(f"* {name}: {seconds:.2f} s, {seconds / took['psql, one session']:.1f} x psql", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--sqlx", default=shutil.which("sqlx"))
    parser.add_argument("--backends", nargs="*", choices=STORES, default=["sqlite", "postgres", "mysql"])
    parser.add_argument("--parts", nargs="*", choices=["fifty", "proof", "folder"], default=["fifty", "proof"])
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("-n", type=int, default=11, help="rounds of fifty and folder")
    parser.add_argument("--runs", type=int, default=5, help="rounds of proof")
    parser.add_argument("--messages", type=int, default=1_000_000)
    args = parser.parse_args()
    if "fifty" in args.parts and not args.sqlx:
        sys.exit("sqlx is not on the PATH: name it with --sqlx, or leave the part out with --parts proof")
    if "fifty" in args.parts:
        print("| | | chatctl | sqlx migrate run | ratio | load |\n|---|---|---|---|---|---|")
    started = []
    try:
        with tempfile.TemporaryDirectory() as name:
            place, all_stores = pathlib.Path(name), {}
            for backend in args.backends:
                if backend != "sqlite":
                    started.append(server(backend))
                all_stores[backend] = Stores(backend, started[-1][2] if backend != "sqlite" else None, place)
            for stores in all_stores.values() if "fifty" in args.parts else ():
                fifty(args, stores, place)
            for stores in all_stores.values() if "proof" in args.parts else ():
                proof(args, stores, place)
            if "folder" in args.parts:
                folder(args, all_stores["postgres"])
    finally:
        for process, data, _ in started:
            process.terminate()
            process.wait()
            shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
