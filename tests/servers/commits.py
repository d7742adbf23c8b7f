"""A small chat server that commits in the ways that applications know, right or wrong.

    python commits.py --port 8000 --gateway http://127.0.0.1:9191/v1

DATABASE_URL is the database: PostgreSQL or MariaDB. `POST /chat` names the way in its field `way`; with `late` the
answer is saved after the final marker, or the marker comes upon something that does not depend on the save.

| way | how the answer is saved |
|---|---|
| `function` | by a function in a SELECT of its own |
| `staged` | elsewhere, and then moved to its place by a function that is not given the text |
| `procedure` | by CALL |
| `two_steps` | the same in two transactions |
| `copy` | by COPY FROM STDIN of its own (PostgreSQL) |
| `copy_in_transaction` | the same, in a transaction (PostgreSQL) |
| `notified` | by another thread; the marker waits for its notification (PostgreSQL) |
| `polled` | by another thread; the marker waits until the row can be read |
| `prepared` | by a transaction in two phases: PREPARE TRANSACTION, or XA |
| `apart` | by dblink, over another connection of the database (PostgreSQL) |
| `assigned` | by SET with a function (MariaDB) |
| `locked` | between LOCK TABLES and UNLOCK TABLES (MariaDB) |
| `locked_commit` | the same with autocommit off (MariaDB) |
| `several` | BEGIN, the write and COMMIT in one text (MariaDB) |
| `implied` | with autocommit off, and committed by a CREATE TABLE (MariaDB) |
"""

import argparse
import contextlib
import json
import os
import select
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from asking import ask

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--gateway", required=True)
options = arguments.parse_args()
url = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
POSTGRES = url.scheme.startswith("postgres")

INSERT = "INSERT INTO message (conversation_id, role, content) VALUES (%s, %s, %s)"
TABLES = """
    CREATE TABLE message (id {serial} PRIMARY KEY, conversation_id varchar(40) NOT NULL, role varchar(20) NOT NULL,
        content text NOT NULL);
    CREATE TABLE staged (conversation_id varchar(40) NOT NULL, number int NOT NULL, piece text NOT NULL)"""
ON_POSTGRES = """
    CREATE EXTENSION dblink;
    CREATE FUNCTION save_message(text, text, text) RETURNS bigint LANGUAGE sql AS
        'INSERT INTO message (conversation_id, role, content) VALUES ($1, $2, $3) RETURNING id';
    CREATE PROCEDURE store_message(text, text, text) LANGUAGE sql AS
        'INSERT INTO message (conversation_id, role, content) VALUES ($1, $2, $3)';
    CREATE FUNCTION finish_message(text) RETURNS void LANGUAGE sql AS
        'INSERT INTO message (conversation_id, role, content)
            SELECT $1, ''assistant'', string_agg(piece, '''' ORDER BY number) FROM staged WHERE conversation_id = $1'"""
ON_MARIADB = """
    CREATE FUNCTION save_message(a text, b text, c text) RETURNS int MODIFIES SQL DATA BEGIN
        INSERT INTO message (conversation_id, role, content) VALUES (a, b, c); RETURN 1; END;;
    CREATE PROCEDURE store_message(a text, b text, c text)
        INSERT INTO message (conversation_id, role, content) VALUES (a, b, c);;
    CREATE FUNCTION finish_message(a text) RETURNS int MODIFIES SQL DATA BEGIN
        INSERT INTO message (conversation_id, role, content)
            SELECT a, 'assistant', group_concat(piece ORDER BY number SEPARATOR '') FROM staged WHERE conversation_id = a;
        RETURN 1; END"""


def connect() -> Any:
    """A connection that commits each statement."""
    if POSTGRES:
        import psycopg

        return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    import pymysql

    return pymysql.connect(
        host=url.hostname, port=url.port or 3306, user=url.username, password=urllib.parse.unquote(url.password or ""),
        database=url.path.strip("/"), autocommit=True, charset="utf8mb4",
        client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
    )  # fmt: skip


def run(connection: Any, text: str, values: tuple[Any, ...] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        rows = list(cursor.fetchall()) if cursor.description else []
        # Of a text with several statements, the results of the others.
        while cursor.nextset():
            pass
        return rows


idle: list[Any] = []


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    connection = idle.pop() if idle else connect()
    yield connection
    # One that failed is not used again.
    idle.append(connection)


with connected() as first:
    for statement in TABLES.format(serial="bigserial" if POSTGRES else "bigint AUTO_INCREMENT").split(";"):
        run(first, statement)
    for statement in ON_POSTGRES.split(";\n") if POSTGRES else ON_MARIADB.split(";;"):
        run(first, statement)


@contextlib.contextmanager
def transaction(connection: Any) -> Iterator[None]:
    run(connection, "BEGIN")
    yield
    run(connection, "COMMIT")


def stage(connection: Any, key: str, text: str) -> None:
    run(connection, "INSERT INTO staged VALUES (%s, 1, %s)", (key, text))


def plainly(connection: Any, *row: str) -> None:
    with transaction(connection):
        run(connection, INSERT, row)


def by_function(connection: Any, *row: str) -> None:
    run(connection, "SELECT save_message(%s, %s, %s)", row)


def staged(connection: Any, key: str, _: str, text: str) -> None:
    stage(connection, key, text)
    run(connection, "SELECT finish_message(%s)", (key,))


def by_procedure(connection: Any, *row: str) -> None:
    run(connection, "CALL store_message(%s, %s, %s)", row)


def two_steps(connection: Any, key: str, _: str, text: str) -> None:
    with transaction(connection):
        stage(connection, key, text)
    with transaction(connection):
        run(connection, "SELECT finish_message(%s)", (key,))


def by_copy(connection: Any, *row: str) -> None:
    with connection.cursor() as cursor, cursor.copy("COPY message (conversation_id, role, content) FROM STDIN") as copy:
        copy.write_row(row)


def by_copy_in_transaction(connection: Any, *row: str) -> None:
    with transaction(connection):
        by_copy(connection, *row)


def prepared(connection: Any, *row: str) -> None:
    name = uuid.uuid4().hex
    if POSTGRES:
        before, behind = ["BEGIN"], ["PREPARE TRANSACTION '{}'", "COMMIT PREPARED '{}'"]
    else:
        before, behind = ["XA START '{}'"], ["XA END '{}'", "XA PREPARE '{}'", "XA COMMIT '{}'"]
    for text in before:
        run(connection, text.format(name))
    run(connection, INSERT, row)
    for text in behind:
        run(connection, text.format(name))


def apart(connection: Any, *row: str) -> None:
    [[port]] = run(connection, "SELECT current_setting('port')")
    to = f"host=127.0.0.1 port={port} user={url.username} dbname={url.path.strip('/')}"
    run(connection, "BEGIN")
    insert = f"format('{INSERT.replace('%s', '%%L')}', %s::text, %s::text, %s::text)"
    run(connection, f"SELECT dblink_exec('{to}', {insert})", row)
    run(connection, "COMMIT")


def assigned(connection: Any, *row: str) -> None:
    run(connection, "SET @saved = save_message(%s, %s, %s)", row)


def locked(connection: Any, *row: str) -> None:
    run(connection, "LOCK TABLES message WRITE")
    run(connection, INSERT, row)
    run(connection, "UNLOCK TABLES")


def locked_commit(connection: Any, *row: str) -> None:
    for text, values in [
        ("SET autocommit = 0", None), ("LOCK TABLES message WRITE", None), (INSERT, row), ("COMMIT", None),
        ("UNLOCK TABLES", None), ("SET autocommit = 1", None),
    ]:  # fmt: skip
        run(connection, text, values)


def several(connection: Any, *row: str) -> None:
    run(connection, f"BEGIN; {INSERT}; COMMIT", row)


def implied(connection: Any, *row: str) -> None:
    run(connection, "SET autocommit = 0")
    run(connection, INSERT, row)
    run(connection, "CREATE TABLE IF NOT EXISTS made (id int)")
    run(connection, "SET autocommit = 1")


Save = Callable[..., None]
WAYS: dict[str, Save] = {
    "plain": plainly, "function": by_function, "staged": staged, "procedure": by_procedure, "two_steps": two_steps,
    "copy": by_copy, "copy_in_transaction": by_copy_in_transaction, "prepared": prepared, "apart": apart,
    "assigned": assigned, "locked": locked, "locked_commit": locked_commit, "several": several, "implied": implied,
}  # fmt: skip


def notified(key: str, text: str, late: bool) -> None:
    """Returns upon the notification. It comes with the save; too early when late."""
    channel = f"c{uuid.uuid4().hex}"
    listener = connect()
    run(listener, f"LISTEN {channel}")

    def save() -> None:
        with connected() as connection:
            if late:
                run(connection, f"NOTIFY {channel}")
                time.sleep(0.02)
            with transaction(connection):
                run(connection, INSERT, (key, "assistant", text))
                if not late:
                    run(connection, f"NOTIFY {channel}")

    threading.Thread(target=save).start()
    for _ in listener.notifies():
        break
    listener.close()


def polled(key: str, text: str, late: bool) -> None:
    """Returns when the row is there; when late, when the question's row is."""

    def save() -> None:
        with connected() as connection:
            plainly(connection, key, "assistant", text)

    threading.Thread(target=save).start()
    role = "user" if late else "assistant"
    with connected() as connection:
        while not run(connection, "SELECT 1 FROM message WHERE conversation_id = %s AND role = %s", (key, role)):
            select.select([], [], [], 0.01)


def history(key: str) -> list[dict[str, str]]:
    with connected() as connection:
        rows = run(connection, "SELECT role, content FROM message WHERE conversation_id = %s ORDER BY id", (key,))
        return [{"role": role, "content": content} for role, content in rows]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def reply(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        parts = self.path.strip("/").split("/")
        self.reply(200, history(parts[1]) if parts[0] == "conversations" else {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path == "/conversations":
            self.reply(201, {"id": str(uuid.uuid4())})
            return
        asked = json.loads(body)
        key, way, late = asked["conversation_id"], asked.get("way", "plain"), asked.get("late", False)
        with connected() as connection:
            plainly(connection, key, "user", asked["message"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        said = ""
        for piece in ask("openai-chat", options.gateway, history(key)):
            said += piece
            lines = "".join(f"data: {line}\n" for line in piece.split("\n"))
            self.wfile.write(f"{lines}\n".encode())
        try:
            if way in ("notified", "polled"):
                (notified if way == "notified" else polled)(key, said, late)
                late = False
            elif not late:
                self.save(way, key, said)
        except Exception as error:
            self.wfile.write(f"event: error\ndata: {type(error).__name__}\n\n".encode())
            raise
        self.wfile.write(b"data: [DONE]\n\n")
        if late:
            self.save(way, key, said)
        self.close_connection = True

    def save(self, way: str, key: str, text: str) -> None:
        with connected() as connection:
            WAYS[way](connection, key, "assistant", text)


ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()
