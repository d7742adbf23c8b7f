#!/usr/bin/env python3
"""What the proof costs: `chatctl migrate up` beside `sqlx migrate run`, and beside the engine itself. SQLite.

    benches/migrate.py --chatctl target/release/chatctl -n 11 --messages 1000000

Times are of whole processes, medians of n, tools in turn and every second round in the other order;
they are comparable within one run only. Part 1 takes sqlx (`cargo install sqlx-cli`) from the PATH or
from --sqlx, and is left out without it. Part 2 makes a store of about 200 bytes a message and takes
sqlite3 from the PATH. Each migration of part 2 runs on a fresh copy of that store:

    bare    the same statements in one transaction in sqlite3
    read    sum(length(…)) over every column of messages in sqlite3, the file being in the page cache
    proof   chatctl minus bare; and as a multiple of read
"""

import argparse
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = 50
CONVERSATIONS = 10_000
SCHEMA = """
CREATE TABLE conversations (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE messages (
    id              INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role            TEXT NOT NULL,
    body            TEXT,
    note            TEXT
);
CREATE INDEX messages_of_conversation ON messages (conversation_id);
CREATE TABLE settings (id INTEGER PRIMARY KEY, name TEXT);
"""
CHANGES = {
    "CREATE TABLE, index on another table": "CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT);\n"
                                            "CREATE INDEX settings_by_name ON settings (name);\n",
    "ADD COLUMN on messages": "ALTER TABLE messages ADD COLUMN status TEXT NOT NULL DEFAULT 'complete';\n",
    "UPDATE of one message's note": "UPDATE messages SET note = 'x' WHERE id = 500;\n",
    "Drizzle's rebuild of conversations": "PRAGMA foreign_keys=OFF;\n"
    "CREATE TABLE __new_conversations (id INTEGER PRIMARY KEY, title TEXT NOT NULL DEFAULT 'New chat');\n"
    "INSERT INTO __new_conversations (id, title) SELECT id, title FROM conversations;\n"
    "DROP TABLE conversations;\n"
    "ALTER TABLE __new_conversations RENAME TO conversations;\n"
    "PRAGMA foreign_keys=ON;\n",
}


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


def chatctl(args, store, migrations):
    return [args.chatctl, "migrate", "up", "--format", "json", "--database-url", f"sqlite:{store}", "--dir", str(migrations)]


def beside_sqlx(args, place):
    migrations = place / "fifty"
    migrations.mkdir()
    for number in range(1, FILES + 1):
        text = f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, name TEXT);\nINSERT INTO t{number} VALUES (1, 'x');\n"
        (migrations / f"{number:04}_table.sql").write_text(text)

    def sqlx(store):
        return [args.sqlx, "migrate", "run", "--database-url", f"sqlite:{store}?mode=rwc", "--source", str(migrations)]

    applied = place / "applied.db"
    timed(chatctl(args, applied, migrations))
    new = place / "new.db"

    def fresh(command):
        for suffix in ("", "-wal", "-shm", "-journal"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)
        return timed(command(new))

    ours = lambda store: chatctl(args, store, migrations)
    noop = in_turn(args.n, {"chatctl": lambda: timed(ours(applied)), "sqlx": lambda: timed(sqlx(applied))})
    fifty = in_turn(args.n, {"chatctl": lambda: fresh(ours), "sqlx": lambda: fresh(sqlx)})
    print("| | chatctl | sqlx migrate run | ratio |\n|---|---|---|---|")
    for what, took in ((f"nothing to do, {FILES} applied", noop), (f"{FILES} new ones", fifty)):
        print(f"| {what} | {took['chatctl'] * 1000:.1f} ms | {took['sqlx'] * 1000:.1f} ms | {took['chatctl'] / took['sqlx']:.2f} |")


def of_the_proof(args, place):
    migrations, base, store = place / "one", place / "base.db", place / "store.db"
    migrations.mkdir()
    (migrations / "1_begin.sql").write_text(SCHEMA)
    timed(chatctl(args, base, migrations))
    fill(base, args.messages)

    def on_copy(command, stdin=None):
        shutil.copyfile(base, store)
        return timed(command(store), stdin)

    engine = lambda path: ["sqlite3", "-bail", str(path)]
    columns = " + ".join(f"coalesce(length({name}), 0)" for name in ("id", "conversation_id", "role", "body", "note"))
    read = f"SELECT sum({columns}) FROM messages;"
    timed(engine(base), read)
    size = base.stat().st_size / 1e6
    print(f"\n{args.messages} messages, {size:.0f} MB; a full read of them takes ", end="", flush=True)
    reading = statistics.median(timed(engine(base), read) for _ in range(max(args.runs, 3)))
    print(f"{reading:.2f} s\n\n| migration | chatctl | bare | proof | proof / read |\n|---|---|---|---|---|")
    for what, sql in CHANGES.items():
        (migrations / "2_change.sql").write_text(sql)
        took = in_turn(args.runs, {
            "chatctl": lambda: on_copy(lambda path: chatctl(args, path, migrations)),
            "bare": lambda: on_copy(engine, f"BEGIN IMMEDIATE;\n{sql}COMMIT;\n"),
        })
        proof = took["chatctl"] - took["bare"]
        print(f"| {what} | {took['chatctl']:.2f} s | {took['bare']:.2f} s | {proof:.2f} s | {proof / reading:.1f} |", flush=True)


def fill(path, messages):
    connection = sqlite3.connect(path)
    text = "All work and no play makes a dull answer; so the assistant writes some more, and then a little more of it. " * 2
    with connection:
        connection.executemany("INSERT INTO conversations VALUES (?, ?)", ((i, f"chat {i}") for i in range(1, CONVERSATIONS + 1)))
        connection.executemany(
            "INSERT INTO messages VALUES (?, ?, ?, ?, NULL)",
            ((i, i % CONVERSATIONS + 1, "ai" if i % 2 else "user", f"{i} {text[i % 60:i % 60 + 140]}") for i in range(1, messages + 1)),
        )
        connection.executemany("INSERT INTO settings VALUES (?, ?)", ((i, f"setting {i}") for i in range(1, 101)))
    connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--sqlx", default=shutil.which("sqlx"))
    parser.add_argument("-n", type=int, default=11, help="rounds of part 1")
    parser.add_argument("--runs", type=int, default=3, help="rounds of part 2")
    parser.add_argument("--messages", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        if args.sqlx:
            beside_sqlx(args, place)
        of_the_proof(args, place)


if __name__ == "__main__":
    main()
