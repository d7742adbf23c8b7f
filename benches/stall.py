#!/usr/bin/env python3
"""How long a writer stands still while a migration waits for a reader.

A reader holds `messages` open for five seconds; `ALTER TABLE messages ADD COLUMN` wants it, and a
writer inserts all the time. Prints the writer's worst wait: behind chatctl with three lock timeouts,
and behind `psql -c`, which waits as long as it takes.

    benches/stall.py CHATCTL postgres://USER@HOST/DATABASE

The database must be empty; what is made in it is dropped again. Needs psql and Python's standard
library.
"""

import pathlib
import subprocess
import sys
import tempfile
import threading
import time

READER_SECONDS = 5
WRITES = 20_000
START = """
DROP TABLE IF EXISTS messages, _sqlx_migrations, _chatctl_journal;
CREATE TABLE messages (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
INSERT INTO messages (body) SELECT 'text ' || i FROM generate_series(1, 1000) AS i;
"""
END = "DROP TABLE IF EXISTS messages, _sqlx_migrations, _chatctl_journal;"
ALTER = "ALTER TABLE messages ADD COLUMN lang text"


def psql(url: str, sql: str) -> subprocess.CompletedProcess[str]:
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url, "-c", sql]
    return subprocess.run(command, check=True, capture_output=True, text=True)


class Writer:
    """One psql that inserts and answers after each; the waits in seconds."""

    def __init__(self, url: str) -> None:
        self.waits: list[float] = []
        self.stop = threading.Event()
        self.process = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.thread = threading.Thread(target=self.write)
        self.thread.start()

    def write(self) -> None:
        for _ in range(WRITES):
            if self.stop.is_set():
                break
            began = time.monotonic()
            self.process.stdin.write("INSERT INTO messages (body) VALUES ('x') RETURNING id;\n")
            self.process.stdin.flush()
            if not self.process.stdout.readline():
                raise SystemExit("the writer's psql has ended")
            self.waits.append(time.monotonic() - began)
            time.sleep(0.005)

    def end(self) -> float:
        self.stop.set()
        self.thread.join()
        self.process.stdin.close()
        self.process.wait()
        return max(self.waits)


def measure(url: str, migrate: list[str]) -> tuple[float, float]:
    """The writer's worst wait and how long the migration took, in seconds."""
    psql(url, START)
    reader = subprocess.Popen(
        ["psql", "-X", "-q", "-A", "-t", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    reader.stdin.write("BEGIN; SELECT count(*) FROM messages;\n")
    reader.stdin.flush()
    reader.stdout.readline()
    writer = Writer(url)
    began = time.monotonic()
    migration = subprocess.Popen(migrate, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(READER_SECONDS)
    reader.communicate("COMMIT;\n")
    said, _ = migration.communicate(timeout=120)
    took = time.monotonic() - began
    worst = writer.end()
    if migration.returncode != 0:
        raise SystemExit(f"{' '.join(migrate)} ended with {migration.returncode}:\n{said}")
    return worst, took


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    chatctl, url = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "1_lang.sql").write_text(f"{ALTER};\n")
        up = [chatctl, "migrate", "up", "--database-url", url, "--dir", folder, "--retries", "1000"]
        ways = [
            (f"chatctl --lock-timeout {timeout}", [*up, "--lock-timeout", timeout])
            for timeout in ("200ms", "1s", "3s")
        ]
        ways.append(("psql -c ALTER", ["psql", "-X", "-q", url, "-c", ALTER]))
        print(f"{'way':<30}{'worst stall':>14}{'migration took':>17}")
        for name, migrate in ways:
            worst, took = measure(url, migrate)
            print(f"{name:<30}{worst * 1000:>11.0f} ms{took:>15.1f} s", flush=True)
    psql(url, END)


if __name__ == "__main__":
    main()
