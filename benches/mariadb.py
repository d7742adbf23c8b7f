#!/usr/bin/env python3
"""`chatctl migrate up` on MariaDB: beside writers, killed at random, and what files cost that touch nothing.

    benches/mariadb.py writers --chatctl target/debug/chatctl -n 10
    benches/mariadb.py kills   --chatctl target/debug/chatctl -n 30
    benches/mariadb.py trivial --chatctl target/release/chatctl -n 5

It starts a server of its own in a new folder (mariadbd and mariadb-install-db from the PATH), and ends
it. Takes PyMySQL, and the client `mariadb` from the PATH for the plain runs.

    writers  another connection inserts a row each 4 ms and notes the ids that were committed; each
             file runs n times by the plain client and n times by chatctl. Counted: noted ids that are
             in none of the tables afterwards, where the file was applied.
    kills    SIGKILL at a random moment of a run of five files on 20 000 rows, then runs until one
             ends by itself: it must reach the head, with every row.
    trivial  eight files that make a table each, on 50 000 rows that no file touches: medians of n, by
             the plain client (one process a file) and by chatctl; and by sqlx where it is on the PATH.
"""

import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import pymysql

SCHEMA = """
CREATE TABLE conversations (id BIGINT PRIMARY KEY AUTO_INCREMENT, title VARCHAR(200) NOT NULL);
CREATE TABLE messages (
    id              BIGINT PRIMARY KEY AUTO_INCREMENT,
    conversation_id BIGINT NOT NULL,
    role            VARCHAR(20) NOT NULL,
    content         TEXT NOT NULL,
    INDEX (conversation_id)
);
INSERT INTO conversations (title) SELECT concat('chat ', seq) FROM seq_1_to_100;
INSERT INTO messages (conversation_id, role, content)
    SELECT seq % 100 + 1, 'user', concat('text ', seq, repeat(' word', 20)) FROM seq_1_to_{rows};
"""

REBUILD = """CREATE TABLE messages_new LIKE messages;
ALTER TABLE messages_new ADD COLUMN state VARCHAR(20) NOT NULL DEFAULT 'complete';
{before}INSERT INTO messages_new (id, conversation_id, role, content) SELECT id, conversation_id, role, content FROM messages;
{rename}
{after}DROP TABLE messages_old;
"""

# The files, and the tables that hold the rows of `messages` afterwards.
BESIDE_WRITERS = {
    "rebuild under LOCK TABLES": (
        REBUILD.format(
            before="LOCK TABLES messages WRITE, messages_new WRITE;\n",
            rename="ALTER TABLE messages RENAME messages_old;\nALTER TABLE messages_new RENAME messages;",
            after="UNLOCK TABLES;\n",
        ),
        ["messages"],
    ),
    "archive in START TRANSACTION": (
        "-- chatctl: allow-loss messages reason=\"they are archived\"\n"
        "CREATE TABLE archive LIKE messages;\n"
        "START TRANSACTION;\n"
        "INSERT INTO archive SELECT * FROM messages WHERE role = 'user' AND id > 100 FOR UPDATE;\n"
        "DELETE FROM messages WHERE role = 'user' AND id > 100;\n"
        "COMMIT;\n",
        ["messages", "archive"],
    ),
    "rebuild without a lock": (
        REBUILD.format(
            before="", rename="RENAME TABLE messages TO messages_old, messages_new TO messages;", after=""
        ),
        ["messages", "messages_old"],
    ),
}

FIVE = [
    "CREATE TABLE tags (id BIGINT PRIMARY KEY, name VARCHAR(50));\nINSERT INTO tags VALUES (1, 'new'), (2, 'old');\n",
    "ALTER TABLE messages ADD COLUMN state VARCHAR(20) NOT NULL DEFAULT 'unknown';\n"
    "UPDATE messages SET state = if(role = 'user', 'sent', 'complete');\n"
    "ALTER TABLE messages ADD INDEX (state);\n",
    "ALTER TABLE messages MODIFY content MEDIUMTEXT NOT NULL;\nUPDATE tags SET name = 'newer' WHERE id = 1;\n",
    REBUILD.format(
        before="",
        rename="RENAME TABLE messages TO messages_old, messages_new TO messages;",
        after="",
    ).replace("state VARCHAR", "stage VARCHAR"),
    "START TRANSACTION;\nUPDATE conversations SET title = title WHERE id < 50;\n"
    "INSERT INTO conversations (title) VALUES ('last');\nCOMMIT;\nALTER TABLE conversations ADD COLUMN pinned BOOLEAN;\n",
]


class Server:
    def __init__(self, folder: pathlib.Path, log: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # As root it refuses to run but for a user who is named.
        user = ["--user=mysql"] if os.geteuid() == 0 else []
        if user:
            shutil.chown(folder, "mysql")
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
             f"--datadir={folder}/data", *user],
            check=True, capture_output=True,
        )
        self.process = subprocess.Popen(
            ["mariadbd", "--no-defaults", f"--datadir={folder}/data", f"--socket={folder}/socket", "--bind-address=127.0.0.1",
             f"--port={self.port}", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=2",
             log, *user],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for _ in range(600):
            try:
                self.connect("mysql").close()
                return
            except pymysql.err.OperationalError:
                time.sleep(0.1)
        sys.exit("the server does not answer")

    def connect(self, database: str) -> pymysql.Connection:
        from pymysql.constants import CLIENT

        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database, autocommit=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
        )

    def run(self, database: str, sql: str) -> tuple:
        with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            rows = cursor.fetchall()
            while cursor.nextset():
                rows = cursor.fetchall()
            return rows

    def fresh(self, rows: int) -> str:
        self.run("mysql", "DROP DATABASE IF EXISTS chat; CREATE DATABASE chat")
        self.run("chat", SCHEMA.format(rows=rows))
        return f"mysql://root@127.0.0.1:{self.port}/chat"

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def folder_of(place: pathlib.Path, files: list[str]) -> pathlib.Path:
    folder = place / "migrations"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, text in enumerate(files, 1):
        (folder / f"{number}_file.sql").write_text(text)
    return folder


def chatctl(arguments, url: str, place: pathlib.Path) -> list[str]:
    return [
        arguments.chatctl, "migrate", "up", "--database-url", url, "--dir", str(place / "migrations"),
        "--backup-dir", str(place / "backups"),
    ]


def plain(server: Server) -> list[str]:
    return ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{server.port}", "-uroot", "chat"]


def write(server: Server, until: threading.Event, noted: list[int]) -> None:
    """A row each 4 ms. A table that is not there for a moment is tried again."""
    connection = server.connect("chat")
    while not until.is_set():
        with contextlib.suppress(pymysql.err.MySQLError), connection.cursor() as cursor:
            cursor.execute("INSERT INTO messages (conversation_id, role, content) VALUES (1, 'user', 'late')")
            noted.append(cursor.lastrowid)
        time.sleep(0.004)
    connection.close()


def writers(server: Server, arguments, place: pathlib.Path) -> None:
    for name, (text, tables) in BESIDE_WRITERS.items():
        for tool in ("plain client", "chatctl"):
            lost, committed, refused = [], 0, 0
            for _ in range(arguments.n):
                url = server.fresh(20_000)
                folder = folder_of(place, [text])
                noted, until = [], threading.Event()
                writer = threading.Thread(target=write, args=(server, until, noted))
                writer.start()
                time.sleep(0.3)
                if tool == "chatctl":
                    ended = subprocess.run(chatctl(arguments, url, place), capture_output=True, text=True)
                else:
                    ended = subprocess.run(plain(server), input=(folder / "1_file.sql").read_text(),
                                           capture_output=True, text=True)
                time.sleep(0.2)
                until.set()
                writer.join()
                refused += ended.returncode != 0
                there = {row[0] for row in server.run("mysql", "SELECT table_name FROM information_schema.tables WHERE table_schema = 'chat'")}
                found = set()
                for table in set(tables) & there:
                    found |= {row[0] for row in server.run("chat", f"SELECT id FROM {table}")}
                lost.append(len(set(noted) - found))
                committed += len(noted)
            print(f"{name:<32} {tool:<13} lost {lost} of {committed} committed; {refused} of {arguments.n} refused", flush=True)


def kills(server: Server, arguments, place: pathlib.Path) -> None:
    folder_of(place, FIVE)
    url = server.fresh(20_000)
    began = time.perf_counter()
    subprocess.run(chatctl(arguments, url, place), check=True, capture_output=True)
    whole = time.perf_counter() - began
    hit, stuck = 0, 0
    for number in range(arguments.n):
        url = server.fresh(20_000)
        victim = subprocess.Popen(chatctl(arguments, url, place), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        moment = random.uniform(0.05, whole)
        time.sleep(moment)
        killed = victim.poll() is None
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        hit += killed
        again = subprocess.run(chatctl(arguments, url, place), capture_output=True, text=True)
        rows = server.run("chat", "SELECT count(*), count(DISTINCT content) FROM messages")[0]
        head = server.run("chat", "SELECT count(*) FROM _sqlx_migrations WHERE success")[0][0]
        right = (again.returncode, rows, head) == (0, (20_000, 20_000), len(FIVE))
        stuck += not right
        if not right:
            print(f"kill {number} after {moment:.2f} s: exit {again.returncode}, {rows} rows, {head} files\n{again.stdout}{again.stderr}")
    left = server.run("mysql", "SHOW DATABASES LIKE 'chatctl%'") + server.run("mysql", "SELECT user FROM mysql.user WHERE user LIKE 'chatctl%'")
    print(f"{hit} of {arguments.n} kills hit a run of {whole:.1f} s; {stuck} did not reach the head; left behind: {left}")


def trivial(server: Server, arguments, place: pathlib.Path) -> None:
    files = [f"CREATE TABLE new_{number} (id BIGINT PRIMARY KEY, name TEXT);\n" for number in range(8)]
    folder = folder_of(place, files)
    sqlx = shutil.which("sqlx")
    took = {"plain client": [], "chatctl": [], **({"sqlx": []} if sqlx else {})}
    for _ in range(arguments.n):
        for tool, times in took.items():
            url = server.fresh(50_000)
            began = time.perf_counter()
            if tool == "chatctl":
                subprocess.run(chatctl(arguments, url, place), check=True, capture_output=True)
            elif tool == "sqlx":
                subprocess.run([sqlx, "migrate", "run", "--database-url", url, "--source", str(folder)], check=True, capture_output=True)
            else:
                for path in sorted(folder.iterdir()):
                    subprocess.run(plain(server), input=path.read_text(), text=True, check=True, capture_output=True)
            times.append(time.perf_counter() - began)
    for tool, times in took.items():
        print(f"{tool:<13} median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["writers", "kills", "trivial"])
    parser.add_argument("--chatctl", required=True)
    parser.add_argument("-n", type=int, default=10)
    arguments = parser.parse_args()
    arguments.chatctl = str(pathlib.Path(arguments.chatctl).resolve())
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        place.chmod(0o755)
        data = place / "server"
        data.mkdir()
        # The log is off where nothing else is said, and costs the most where there are rows.
        server = Server(data, "--skip-log-bin" if arguments.what == "trivial" else f"--log-bin={data}/binlog")
        try:
            {"writers": writers, "kills": kills, "trivial": trivial}[arguments.what](server, arguments, place)
        finally:
            server.end()


if __name__ == "__main__":
    main()
