"""A chat store to measure with: the tables of the preset sqlmodel-chat, filled by one stream of rows.

About 20 messages a conversation, 200 conversations alive at a time, so that the messages of one lie
apart. Every thousandth message holds the word `needle`.
"""

import datetime
import pathlib
import random
import sqlite3
import subprocess
import sys
import uuid
from urllib.parse import urlsplit

ALIVE = 200
EACH = 20
CONVERSATION = ("id", "user_id", "title", "created_at", "updated_at")
MESSAGE = ("id", "conversation_id", "role", "content", "status", "created_at", "position")
WORDS = "the model says that rain falls on all roads in spring and nobody knows why it stops then".split()


def schema(backend):
    time = {"sqlite": "DATETIME", "postgres": "TIMESTAMP", "mysql": "DATETIME(6)"}[backend]
    number = {"sqlite": "INTEGER", "postgres": "BIGINT", "mysql": "BIGINT"}[backend]
    return f"""
CREATE TABLE conversation (id VARCHAR(32) PRIMARY KEY, user_id {number}, title VARCHAR(200), created_at {time} NOT NULL,
    updated_at {time} NOT NULL);
CREATE TABLE message (id {number} NOT NULL PRIMARY KEY, conversation_id VARCHAR(32) NOT NULL REFERENCES conversation (id),
    role VARCHAR(20) NOT NULL, content TEXT NOT NULL, status TEXT NOT NULL, created_at {time} NOT NULL, position INTEGER NOT NULL);
CREATE INDEX ix_message_conversation_id ON message (conversation_id);
"""


def key(number):
    """The id of a conversation, without pattern and always the same."""
    return uuid.UUID(int=random.Random(number).getrandbits(128), version=4).hex


def moment(number):
    return (datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=number)).isoformat(" ")


def conversations(messages):
    for number in range(max(messages // EACH, 1)):
        at = moment(number // ALIVE * ALIVE * EACH)
        yield (key(number), number % 500 + 1, f"chat {number}", at, at)


def messages(count, size):
    """Texts of `size` bytes on average, a third of it at least."""
    some = random.Random(7)
    long = " ".join(some.choice(WORDS) for _ in range(size))
    keys = []
    for number in range(count):
        batch, within = divmod(number, ALIVE * EACH)
        if within == 0:
            keys = [key(batch * ALIVE + at) for at in range(ALIVE)]
        turn, at = divmod(within, ALIVE)
        begin = some.randrange(size)
        text = f"{number} {'needle ' if number % 1000 == 500 else ''}{long[begin:begin + some.randint(size // 3, size * 5 // 3)]}"
        yield (number + 1, keys[at], "assistant" if turn % 2 else "user", text, "complete", moment(number), turn)


def fill_sqlite(path, count, size):
    connection = sqlite3.connect(path)
    # It is only slower to fill with a log, and the same afterwards.
    connection.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {schema('sqlite')}")
    with connection:
        for table, columns, rows in tables(count, size):
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def tables(count, size):
    # Whole batches of conversations, so that every message has one.
    whole = -(-count // (ALIVE * EACH)) * ALIVE * EACH
    return (("conversation", CONVERSATION, conversations(whole)), ("message", MESSAGE, messages(count, size)))


def fill_server(url, count, size):
    """Through the server's own client, which must be on the PATH: psql, or mysql with LOAD DATA LOCAL."""
    backend = urlsplit(url).scheme.replace("postgresql", "postgres")
    client, load = clients(url)[backend]
    feed(client, schema(backend))
    for table, columns, rows in tables(count, size):
        loader = subprocess.Popen([*client, *load(table)], stdin=subprocess.PIPE, text=True)
        loader.stdin.writelines("\t".join(map(str, row)) + "\n" for row in rows)
        loader.stdin.close()
        if loader.wait():
            sys.exit(f"filling {table} failed")
    feed(client, "ANALYZE conversation; ANALYZE message;" if backend == "postgres" else "ANALYZE TABLE conversation, message;")


def clients(url):
    at = urlsplit(url)
    password = [f"-p{at.password}"] if at.password else []
    mysql = ["mysql", "--local-infile=1", "-h", at.hostname or "", "-P", str(at.port or 3306), "-u", at.username or "", *password, at.path[1:]]
    return {
        "postgres": (["psql", "-qX", "-v", "ON_ERROR_STOP=1", url], lambda table: ["-c", f"COPY {table} FROM STDIN"]),
        "mysql": (mysql, lambda table: ["-e", f"LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE {table}"]),
    }


def feed(client, sql):
    done = subprocess.run(client, input=sql, text=True, capture_output=True)
    if done.returncode:
        sys.exit(done.stderr)


def fill(url, count, size):
    if url.startswith("sqlite:"):
        path = pathlib.Path(url.removeprefix("sqlite:"))
        if path.exists():
            sys.exit(f"{path} is there already")
        fill_sqlite(path, count, size)
    else:
        fill_server(url, count, size)
