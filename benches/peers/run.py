#!/usr/bin/env python3
"""Who loses what: the cases of fixtures/migrations/ under chatctl and under other migrators.

    benches/peers/run.py                                    SQLite
    benches/peers/run.py --servers                          and PostgreSQL and MariaDB, private ones
    benches/peers/run.py --postgres URL --mysql URL         and servers of yours (a database a case is made, and dropped)
    benches/peers/run.py --backends sqlite --cases ok_rebuild_drizzle err_drop_table

The tools are found on the PATH, or named: --chatctl, --sqlx (`cargo install sqlx-cli`), --dbmate
(`npm install dbmate`; the binary lies in node_modules/@dbmate/). A tool that is not found is left
out. Beside Python's standard library it takes psql and mariadb for those two backends; --servers
takes initdb, postgres, mariadb-install-db and mariadbd too, and as root their users.

What a tool did is not asked of the tool. Every table is read before and after; rows are paired by
`id` (as a whole where there is none), and what is not there any more is told:

    kept            exit 0, and everything that the case promises is there
    lost …          exit 0, and it is gone
    refused         exit 1 with a finding that names the loss, and nothing was changed (chatctl)
    failed          another exit than 0, and nothing was changed
    failed, lost …  another exit than 0, and it is gone all the same
    failed, half    another exit than 0, and some statements stay applied
    -               the tool does not begin on this backend
"""

import argparse
import collections
import decimal
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CASES = ROOT / "fixtures" / "migrations"
LOSSES = {"table-lost", "rows-lost", "column-lost", "values-lost", "values-changed"}
THREE = ["conversations", "messages", "attachments"]
OWN = re.compile(r"^(_sqlx_|_chatctl|schema_migrations$|sqlite_)")


# Stores: made, read as {table: [row as a dict]}, dropped.

class Sqlite:
    def __init__(self, place, _server):
        self.path = place / "chat.db"
        self.url = f"sqlite:{self.path}"

    def tables(self):
        with sqlite3.connect(self.path) as connection:
            connection.row_factory = sqlite3.Row
            names = connection.execute(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')"
            ).fetchall()
            rows = {
                name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]
                for (name,) in names
                if not OWN.match(name)
            }
        connection.close()
        return rows

    def drop(self):
        pass


class Client:
    """A database of its own on a server, read through the engine's client."""

    def __init__(self, place, server):
        self.server, self.name = server, place.name
        self.url = f"{server.rstrip('/')}/{self.name}"
        self.ask(self.root, f"CREATE DATABASE {self.name}")

    def drop(self):
        self.ask(self.root, f"DROP DATABASE {self.name}")


class Postgres(Client):
    root = "postgres"

    def ask(self, database, sql):
        command = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", f"{self.server.rstrip('/')}/{database}", "-c", sql]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def tables(self):
        names = self.ask(self.name, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                                    " AND relkind IN ('r', 'p')").split()
        read = "SELECT coalesce(json_agg(t), '[]') FROM \"{}\" AS t"
        return {name: json.loads(self.ask(self.name, read.format(name))) for name in names if not OWN.match(name)}


class Mysql(Client):
    root = "mysql"

    def ask(self, database, sql):
        user, password, host, port = re.match(r"\w+://([^:@]*):?([^@]*)@([^:/]+):?(\d*)", self.server).groups()
        client = shutil.which("mariadb") or "mysql"
        command = [client, "--no-defaults", "--default-character-set=utf8mb4", "-B", f"-u{user}", f"-h{host}",
                   f"-P{port or 3306}", database, "-e", sql]
        env = os.environ | {"MYSQL_PWD": password}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    def tables(self):
        names = self.ask(self.name, "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'").splitlines()[1:]
        tables = {}
        for name in (line.split("\t")[0] for line in names):
            if OWN.match(name):
                continue
            lines = [line.split("\t") for line in self.ask(self.name, f"SELECT * FROM `{name}`").splitlines()]
            value = {"NULL": None}
            tables[name] = [dict(zip(lines[0], (value.get(cell, cell) for cell in line))) for line in lines[1:]]
        return tables


STORES = {"sqlite": Sqlite, "postgres": Postgres, "mysql": Mysql}


# Tools: a folder of migrations in its form, and the command that applies it.

def plain(folder, version, name, sql):
    (folder / f"{version}_{name}.sql").write_text(sql)


def for_dbmate(folder, version, name, sql):
    option = " transaction:false" if sql.startswith("-- no-transaction") else ""
    (folder / f"{version}_{name}.sql").write_text(f"-- migrate:up{option}\n{sql}\n-- migrate:down\n")


def chatctl(binary, url, folder):
    return [binary, "migrate", "up", "--format", "json", "--database-url", url, "--dir", str(folder)]


def sqlx(binary, url, folder):
    return [binary, "migrate", "run", "--database-url", create(url), "--source", str(folder)]


def dbmate(binary, url, folder):
    url += "?sslmode=disable" if url.startswith("postgres") else ""
    return [binary, "--url", url, "--migrations-dir", str(folder), "--no-dump-schema", "migrate"]


def dbmate_with_keys(binary, url, folder):
    return dbmate(binary, url + "?_fk=1", folder)


def create(url):
    return f"{url}?mode=rwc" if url.startswith("sqlite") else url


# The last: with foreign keys on, as every application that relies on them opens its SQLite.
TOOLS = {
    "chatctl": ("chatctl", plain, chatctl, STORES),
    "sqlx-cli": ("sqlx", plain, sqlx, STORES),
    "dbmate": ("dbmate", for_dbmate, dbmate, STORES),
    "dbmate ?_fk=1": ("dbmate", for_dbmate, dbmate_with_keys, ["sqlite"]),
}


def expected(case, backend):
    keys = tomllib.loads((CASES / case / "case.toml").read_text())["expect"]
    own = keys.get(backend, {})
    return {key: value for key, value in keys.items() if key not in STORES} | own


def losses(before, after):
    """What was there and is not there any more, as texts."""
    lost = []
    for table, rows in before.items():
        if table not in after:
            lost += [f"table {table} ({len(rows)} rows)"] if rows else []
            continue

        def identity(row, by_id="id" in (rows or [{}])[0]):
            return str(row.get("id")) if by_id else json.dumps(row, default=str)

        now = {identity(row): row for row in after[table]}
        counted = collections.Counter()
        for row in rows:
            same = now.get(identity(row))
            if same is None:
                counted[f"rows of {table}"] += 1
                continue
            for column, value in row.items():
                if value is not None and column not in same:
                    counted[f"values of {table}.{column}, dropped"] += 1
                elif value is not None and same[column] is None:
                    counted[f"values of {table}.{column}, now NULL"] += 1
                elif value is not None and not is_equal(same[column], value):
                    counted[f"values of {table}.{column}, changed"] += 1
        lost += [f"{count} {what}" if count > 1 else f"1 {what.replace('s ', ' ', 1)}" for what, count in counted.items()]
    return lost


def is_equal(one, other):
    """A client may print `1.50` or `1.5` for the same number."""
    number = re.compile(r"-?\d+(\.\d+)?")
    if isinstance(one, str) and isinstance(other, str) and number.fullmatch(one) and number.fullmatch(other):
        return decimal.Decimal(one) == decimal.Decimal(other)
    return one == other


def messages(tables):
    rows = tables.get("messages") or tables.get("message") or []
    return sorted((str(row.get("id")), row.get("role"), row.get("body")) for row in rows)


def outcome(args, case, backend, tool):
    """What a tool makes of a case: a word and details."""
    program, write, command, backends = TOOLS[tool]
    if backend not in backends:
        return "-"
    binary = getattr(args, program)
    with tempfile.TemporaryDirectory() as folder:
        # The name is the database's too: lower case, no sign that needs quoting.
        place = pathlib.Path(folder) / re.sub(r"\W", "_", f"{case[:40]}_{tool}".lower())
        (place / "m").mkdir(parents=True)
        store = STORES[backend](place, getattr(args, backend, None))
        try:
            more = CASES / case / f"begin.{backend}.sql"
            begin = (CASES / f"begin.{backend}.sql").read_text() + (more.read_text() if more.exists() else "")
            write(place / "m", 1, "begin", begin)
            run = lambda: subprocess.run(command(binary, store.url, place / "m"), capture_output=True, text=True, cwd=place, timeout=120)
            began = run()
            if began.returncode:
                args.log(case, backend, tool, began)
                return "-"
            before = store.tables()
            write(place / "m", 2, "change", (CASES / case / f"{backend}.sql").read_text())
            done = run()
            after = store.tables()
        finally:
            store.drop()
    args.log(case, backend, tool, done)
    expect = expected(case, backend)
    lost = losses(before, after)
    if done.returncode:
        if before == after:
            codes = set()
            if tool == "chatctl" and done.stdout:
                codes = {finding["code"] for finding in json.loads(done.stdout)["findings"]}
            return "refused" if codes & LOSSES or done.returncode == 4 else "failed"
        return f"failed, lost {'; '.join(lost)}" if lost else "failed, half"
    if expect["exit"] == 0:
        names = expect.get("tables", THREE)
        # A view under the old name is no table; the rows are in the one that was renamed.
        rows = [len(after.get(name, after.get("message", []))) for name in names]
        is_kept = rows == expect.get("rows", [100, 1000, 100])
        if is_kept and (not expect.get("same", True) or messages(before) == messages(after)):
            return "kept"
    return f"lost {'; '.join(lost)}" if lost else "kept"


# Private servers.

def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def server(name):
    """Starts a private server; gives the process and its URL."""
    user = ({"postgres": "postgres", "mysql": "mysql"}[name]) if os.geteuid() == 0 else None
    folder = pathlib.Path(tempfile.mkdtemp())
    if user:
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    how = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    at, data = port(), folder / "data"
    if name == "postgres":
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        where = os.pathsep.join([os.environ["PATH"], *map(str, reversed(found))])
        subprocess.run([shutil.which("initdb", path=where), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8"], check=True, **how)
        process = subprocess.Popen([shutil.which("postgres", path=where), "-D", data, "-p", str(at), "-k", folder, "-F",
                                    "-c", "listen_addresses=127.0.0.1"], **how)
        url, ready = f"postgres://postgres@127.0.0.1:{at}", ["psql", f"postgres://postgres@127.0.0.1:{at}/postgres", "-c", "SELECT 1"]
    else:
        where = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
        install = [shutil.which("mariadb-install-db", path=where), "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
        subprocess.run(install, check=True, **how)
        process = subprocess.Popen([shutil.which("mariadbd", path=where), "--no-defaults", f"--datadir={data}", f"--port={at}",
                                    "--bind-address=127.0.0.1", f"--socket={folder}/socket", "--character-set-server=utf8mb4",
                                    "--innodb-flush-log-at-trx-commit=0"], **how)
        url, ready = f"mysql://root@127.0.0.1:{at}", ["mariadb", "--no-defaults", "-uroot", "-h127.0.0.1", f"-P{at}", "-e", "SELECT 1"]
    for _ in range(300):
        if subprocess.run(ready, capture_output=True).returncode == 0:
            return process, folder, url
        time.sleep(0.1)
    process.kill()
    sys.exit(f"{name} did not start")


def word(result):
    return "lost" if result.startswith("lost") else "half" if result.startswith("failed,") else result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=shutil.which("chatctl") or str(ROOT / "target/release/chatctl"))
    parser.add_argument("--sqlx", default=shutil.which("sqlx"))
    parser.add_argument("--dbmate", default=shutil.which("dbmate"))
    parser.add_argument("--postgres", metavar="URL", help="a server, without a database's name")
    parser.add_argument("--mysql", metavar="URL")
    parser.add_argument("--servers", action="store_true", help="start private ones")
    parser.add_argument("--backends", nargs="*", choices=STORES)
    parser.add_argument("--cases", nargs="*", help="only these")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("-v", "--verbose", action="store_true", help="what the tools said, on stderr")
    args = parser.parse_args()

    def log(case, backend, tool, done):
        if args.verbose:
            print(f"# {case} {backend} {tool}: {done.returncode} {done.stdout[-300:]} {done.stderr[-300:]}", file=sys.stderr)

    args.log, started = log, []
    tools = [tool for tool, (program, *_) in TOOLS.items() if getattr(args, program) and shutil.which(getattr(args, program))]
    for name in ("postgres", "mysql"):
        wanted = args.servers and not getattr(args, name) and name in (args.backends or STORES)
        if wanted:
            started.append(server(name))
            setattr(args, name, started[-1][2])
    for program in dict.fromkeys(TOOLS[tool][0] for tool in tools):
        told = subprocess.run([getattr(args, program), "--version"], capture_output=True, text=True).stdout
        print(f"* {told.strip()}")
    print()
    backends = [name for name in args.backends or STORES if name == "sqlite" or getattr(args, name)]
    try:
        return table(args, backends, tools)
    finally:
        for process, folder, _ in started:
            process.terminate()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def table(args, backends, tools):
    wrong = 0
    for backend in backends:
        names = sorted(path.parent.name for path in CASES.glob(f"*/{backend}.sql"))
        names = [name for name in names if not args.cases or name in args.cases]
        shown = [tool for tool in tools if backend in TOOLS[tool][3]]
        jobs = [(name, tool) for name in names for tool in shown]
        with ThreadPoolExecutor(args.jobs) as pool:
            results = dict(zip(jobs, pool.map(lambda job: outcome(args, job[0], backend, job[1]), jobs)))
        print(f"## {backend}: {len(names)} cases\n")
        print("| | kept | refused | failed, nothing changed | failed, not undone | **lost, exit 0** | does not begin |\n|---|---|---|---|---|---|---|")
        for tool in shown:
            counts = collections.Counter(word(results[name, tool]) for name in names)
            print(f"| {tool} | " + " | ".join(str(counts[key]) for key in ("kept", "refused", "failed", "half", "lost", "-")) + " |")
        print(f"\n| case | {' | '.join(shown)} |\n|---|" + "---|" * len(shown))
        for name in names:
            print(f"| {name} | " + " | ".join(results[name, tool] for tool in shown) + " |")
            wrong += word(results.get((name, "chatctl"), "")) in ("lost", "half") and "ack" not in name
        print()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
