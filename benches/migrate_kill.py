#!/usr/bin/env python3
"""Whether a migration that was killed at any moment is brought to its end by the next run.

    benches/migrate_kill.py                          30 kills on SQLite, and 30 on a private PostgreSQL
    benches/migrate_kill.py --backends mysql -n 10   on a private MariaDB

A folder of eight files is applied to a store of 20 000 messages: columns and a backfill, a rebuild,
files that commit in the middle, and what can't run in a transaction. chatctl is killed (SIGKILL)
after a random part of the time that a whole run takes. Then one more run has to exit 0, and every
row of every table, the indexes and the history have to be those of a store that was never killed.

Prints for each backend how many kills hit a run, how the versions were found after it, and what
differed; exits 1 when anything did. Takes sqlite3, or psql and mariadb, from the PATH.
"""

import argparse
import collections
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches" / "peers"))
from run import STORES, server  # noqa: E402

MESSAGES = 20_000
KEY = {"sqlite": "INTEGER", "postgres": "bigint", "mysql": "BIGINT"}
NUMBERS = {
    "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})",
    "postgres": "WITH n (i) AS (SELECT generate_series(1, {count}))",
    "mysql": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})",
}
TEXT = {"sqlite": "TEXT", "postgres": "text", "mysql": "VARCHAR(200)"}


def seed(backend):
    key, text, numbers = KEY[backend], TEXT[backend], NUMBERS[backend]

    def fill(count, sql):
        head = numbers.format(count=count)
        # MariaDB has INSERT before WITH.
        return f"{head} {sql};\n" if backend != "mysql" else sql.replace("SELECT", f"{head} SELECT", 1) + ";\n"

    return (
        ("SET max_recursive_iterations = 1000000;\n" if backend == "mysql" else "")
        + f"CREATE TABLE conversations (id {key} PRIMARY KEY, title {text} NOT NULL);\n"
        f"CREATE TABLE messages (id {key} PRIMARY KEY, conversation_id {key} NOT NULL REFERENCES conversations (id), body {text}, note {text});\n"
        + fill(200, "INSERT INTO conversations SELECT i, concat('chat ', i) FROM n" if backend != "sqlite"
               else "INSERT INTO conversations SELECT i, 'chat ' || i FROM n")
        + fill(MESSAGES, "INSERT INTO messages SELECT i, i % 200 + 1, concat('text ', i), NULL FROM n" if backend != "sqlite"
               else "INSERT INTO messages SELECT i, i % 200 + 1, 'text ' || i, NULL FROM n")
    )


def files(backend):
    key, text = KEY[backend], TEXT[backend]
    begin = "START TRANSACTION" if backend == "mysql" else "BEGIN"
    last = {
        "sqlite": "-- no-transaction\nCREATE INDEX by_note ON messages (note);\nVACUUM;\nCREATE TABLE last (id INTEGER PRIMARY KEY);\n",
        "postgres": "-- no-transaction\nCREATE INDEX CONCURRENTLY by_note ON messages (note);\n"
                    "CREATE INDEX CONCURRENTLY by_body ON messages (body);\nCREATE TABLE last (id bigint PRIMARY KEY);\n",
        "mysql": "CREATE INDEX by_note ON messages (note);\nCREATE TABLE last (id BIGINT PRIMARY KEY);\n",
    }[backend]
    return [
        f"ALTER TABLE messages ADD COLUMN status {text} DEFAULT 'complete';\nUPDATE messages SET status = 'old' WHERE id <= 5000;\n",
        f"CREATE TABLE runs (n {key});\nINSERT INTO runs VALUES (1);\n",
        f"ALTER TABLE conversations ADD COLUMN topic {text};\nUPDATE conversations SET topic = title;\n",
        f"CREATE TABLE conversations_new (id {key} PRIMARY KEY, title {text} NOT NULL, topic {text}, pinned {key} NOT NULL DEFAULT 0);\n"
        "INSERT INTO conversations_new (id, title, topic) SELECT id, title, topic FROM conversations;\n"
        + {"sqlite": "DROP TABLE conversations;\nALTER TABLE conversations_new RENAME TO conversations;\n",
           "postgres": "ALTER TABLE conversations RENAME TO conversations_old;\nALTER TABLE conversations_new RENAME TO conversations;\n",
           "mysql": "RENAME TABLE conversations TO conversations_old, conversations_new TO conversations;\n"}[backend],
        f"INSERT INTO runs VALUES (2);\n{begin};\nINSERT INTO runs VALUES (3);\nUPDATE messages SET note = body WHERE note IS NULL AND id <= 10000;\nCOMMIT;\n"
        f"{begin};\nINSERT INTO runs VALUES (4);\nUPDATE messages SET note = body WHERE note IS NULL;\nCOMMIT;\n",
        f"ALTER TABLE messages ADD COLUMN kind {text};\nUPDATE messages SET kind = 'text';\nINSERT INTO runs VALUES (5);\n",
        last,
    ]


OBJECTS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('table', 'index') ORDER BY name",
    "postgres": "SELECT c.relname || ' ' || coalesce(i.indisvalid::text, '') FROM pg_class AS c LEFT JOIN pg_index AS i ON i.indexrelid = c.oid"
                " WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1",
    "mysql": "SELECT CONCAT(table_name, ' ', index_name) FROM information_schema.statistics WHERE table_schema = DATABASE() ORDER BY 1",
}


def ask(backend, store, sql):
    if backend == "sqlite":
        command = ["sqlite3", str(store.path), sql]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return store.ask(store.name, sql)


def state(backend, store):
    """Everything that is stored, but for times."""
    history = ask(backend, store, "SELECT version, success FROM _sqlx_migrations ORDER BY version")
    # What a run took back leaves holes, so a server may give the rows in another order.
    tables = {name: sorted(map(repr, rows)) for name, rows in store.tables().items()}
    return tables, ask(backend, store, OBJECTS[backend]), history


class Trials:
    def __init__(self, args, backend, url, place):
        self.chatctl, self.backend, self.url, self.place, self.number = args.chatctl, backend, url, place, 0
        self.folder = place / f"{backend}-migrations"
        self.folder.mkdir()
        (self.folder / "1_seed.sql").write_text(seed(backend))

    def store(self):
        """A store with the first file applied; the others are pending."""
        self.number += 1
        place = self.place / f"{self.backend}_kill_{self.number}"
        place.mkdir()
        store = STORES[self.backend](place, self.url)
        if self.backend == "sqlite":
            store.path.touch()
        for file in self.folder.glob("*.sql"):
            if not file.name.startswith("1_"):
                file.unlink()
        self.up(store, check=True)
        for number, text in enumerate(files(self.backend), 2):
            (self.folder / f"{number}_file.sql").write_text(text)
        return store

    def command(self, store, sub):
        url = store.url
        return [self.chatctl, "migrate", sub, "--database-url", url, "--dir", str(self.folder)]

    def up(self, store, check=False):
        done = subprocess.run([*self.command(store, "up"), "--backup-dir", str(self.place / "backups")], capture_output=True, text=True)
        if check and done.returncode:
            sys.exit(f"{self.backend}: a run that was not killed ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def status(self, store):
        done = subprocess.run([*self.command(store, "status"), "--format", "json"], capture_output=True, text=True)
        return "dirty" if "half applied" in done.stdout else "clean"

    def kill(self, store, after):
        """Whether a run that is killed was still going."""
        running = subprocess.Popen([*self.command(store, "up"), "--backup-dir", str(self.place / "backups")],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after)
        hit = running.poll() is None
        running.kill()
        running.wait()
        return hit


def trial(args, backend, url, place):
    trials = Trials(args, backend, url, place)
    store = trials.store()
    began = time.perf_counter()
    trials.up(store, check=True)
    whole = time.perf_counter() - began
    wanted = state(backend, store)
    store.drop()
    found, wrong = collections.Counter(), []
    while found.total() < args.n:
        store = trials.store()
        after = random.uniform(0, whole)
        hit = trials.kill(store, after)
        if not hit:
            store.drop()
            continue
        found[trials.status(store)] += 1
        done = trials.up(store)
        if done.returncode:
            wrong.append(f"killed after {after:.3f} s: the next run ended with {done.returncode}: {done.stdout[-600:]}{done.stderr[-600:]}")
        elif state(backend, store) != wanted:
            wrong.append(f"killed after {after:.3f} s: the store differs from one that was never killed")
        store.drop()
    states = ", ".join(f"{count} {what}" for what, count in sorted(found.items()))
    print(f"{backend}: {found.total()} kills in a run of {whole:.2f} s, found {states}; {len(wrong)} wrong", flush=True)
    for line in wrong:
        print(f"  {line}")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=shutil.which("chatctl") or str(ROOT / "target/release/chatctl"))
    parser.add_argument("--backends", nargs="*", choices=STORES, default=["sqlite", "postgres"])
    parser.add_argument("-n", type=int, default=30, help="kills for each backend")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    random.seed(args.seed)
    print(f"seed {args.seed}")
    fine = True
    for backend in args.backends:
        process = folder = url = None
        if backend != "sqlite":
            process, folder, url = server(backend)
        try:
            with tempfile.TemporaryDirectory() as place:
                fine &= trial(args, backend, url, pathlib.Path(place))
        finally:
            if process:
                process.terminate()
                process.wait()
                shutil.rmtree(folder, ignore_errors=True)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
