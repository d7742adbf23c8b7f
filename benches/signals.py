#!/usr/bin/env python3
"""Signals at any moment: chatctl must end, and leave no process, no lock, no trigger and no file.

Starts commands that take a while on a store in SQLite and sends each a signal after a random time. SIGKILL
can leave a file, which the next run must remove. Prints what each command and signal left, and the exit code
is 1 when it is anything.

    benches/signals.py CHATCTL [COUNT] [SEED]

COUNT is 100 when absent. Needs Python's standard library.
"""

import collections
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid

SERVER = pathlib.Path(__file__).parent.parent / "tests/servers/small.py"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL]
END_S = 20
ROWS = 40_000
COUNTING = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 3000000) SELECT count(*) FROM n"


class Site:
    """A folder with a store, a folder of migrations, and a place for what is temporary."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.tmp = folder, folder / "tmp"
        self.tmp.mkdir()
        self.token = uuid.uuid4().hex
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(self.tmp),
            "CHATCTL_TEST_KEY": "01" * 32,
            "CHATCTL_SIGNALS": self.token,
        }
        store = sqlite3.connect(folder / "chat.db")
        store.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT, created_at TEXT)")
        rows = ((number // 2, "user" if number % 2 == 0 else "assistant", "milk " * 100) for number in range(ROWS))
        store.executemany("INSERT INTO message (conversation_id, role, content, created_at) VALUES (?, ?, ?, '2026-01-02 03:04:05')", rows)
        store.commit()
        store.close()
        (folder / "migrations").mkdir()
        (folder / "migrations/1_notes.sql").write_text(f"CREATE TABLE notes AS {COUNTING};\n")

    def commands(self) -> dict[str, list[str]]:
        store = ["--database-url", "sqlite:chat.db"]
        served = ["--database-url", "sqlite:served.db", "--ready", "/health", "--start"]
        served.append(f"{sys.executable} {SERVER} --db {{database_path}} --port {{port}} --gateway {{gateway_url}}")
        return {
            "inspect sql": ["inspect", "sql", COUNTING, *store],
            "inspect search": ["inspect", "search", "nothing", *store],
            "audit check": ["audit", "check", *store],
            "audit snapshot": ["audit", "snapshot", "--overwrite", "-o", "a.cas", "--key", "env:CHATCTL_TEST_KEY", *store],
            "audit rate": ["audit", "rate", "--window", "3650d", "--last", "3650d", *store],
            "audit restart": ["audit", "restart", *served],
            "migrate verify": ["migrate", "verify", "--dir", "migrations", *store],
            "migrate up": ["migrate", "up", "--dir", "migrations", *store],
            "verify-stream": ["verify-stream", *served],
            "demo": ["demo"],
        }

    def processes(self) -> list[str]:
        """The processes that were started from here and still run."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                if self.token.encode() in environment:
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:80])
            except OSError:
                continue
        return found

    def left(self) -> list[str]:
        """What is wrong with what is left."""
        late = time.monotonic() + END_S
        while (found := self.processes()) and time.monotonic() < late:
            time.sleep(0.05)
        wrong = [f"process: {name}" for name in found]
        for name in ["chat.db", "served.db"]:
            if not (self.folder / name).exists():
                continue
            store = sqlite3.connect(self.folder / name, timeout=2, isolation_level=None)
            try:
                store.execute("BEGIN IMMEDIATE")
                store.execute("ROLLBACK")
                wrong += [f"trigger: {row[0]}" for row in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
            except sqlite3.Error as error:
                wrong.append(f"{name}: {error}")
            store.close()
        files = [*self.tmp.iterdir(), *self.folder.glob(".*chatctl*"), *self.folder.glob(".tmp*")]
        return wrong + [f"file: {path.name}" for path in files]


def hit(chatctl: str, name: str, number: signal.Signals, chance: random.Random) -> tuple[bool, list[str]]:
    """Whether the signal came in time, and what was left."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(pathlib.Path(folder))
        command = [chatctl, *site.commands()[name]]
        child = subprocess.Popen(
            command, cwd=folder, env=site.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.0, 2.5))
        in_time = child.poll() is None
        child.send_signal(number)
        try:
            code = child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return in_time, [f"it did not end within {END_S} s"]
        if number == signal.SIGKILL and in_time:
            # What it left is removed by the next run, whatever that does.
            after = [chatctl, *site.commands()["audit snapshot"]]
            subprocess.run(after, cwd=folder, env=site.environment, capture_output=True, check=False, timeout=120)
        wrong = site.left()
        if in_time and code not in {0, 1, 3, 130, -signal.SIGKILL} and not (code < 0 and -code == number):
            wrong.append(f"exit {code}")
        return in_time, wrong


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chatctl = str(pathlib.Path(sys.argv[1]).resolve())
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    chance = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    # A test that is started in the background is deaf to some.
    for number in [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]:
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
    hits: collections.Counter[str] = collections.Counter()
    bad = runs = 0
    with tempfile.TemporaryDirectory() as folder:
        names = list(Site(pathlib.Path(folder)).commands())
    while sum(hits.values()) < count:
        name, number = names[runs % len(names)], SIGNALS[runs // len(names) % len(SIGNALS)]
        runs += 1
        in_time, wrong = hit(chatctl, name, number, chance)
        hits[f"{name}, {number.name}"] += in_time
        if wrong:
            bad += 1
            print(f"{name}, {number.name}: {wrong}", flush=True)
    for what, times in sorted(hits.items()):
        print(f"{what:32} {times}")
    print(f"{sum(hits.values())} signals in {runs} runs, {bad} left something")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
