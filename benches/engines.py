"""Database servers of a bench's own: each in a new folder, on a free port, and ended with the bench.

Both engines refuse to run as root, so root starts them as the user of their packages.
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START = 60
FOLDERS = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/usr/local/sbin"]


def program(*names):
    newest = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    for name in names:
        for folder in [*newest, *map(pathlib.Path, FOLDERS)]:
            if (folder / name).is_file():
                return str(folder / name)
    raise SystemExit(f"error: no {names[0]}: run tests/run, which installs it")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def user_of(names):
    """Who runs a server, where the bench runs as root."""
    if os.getuid():
        return {}
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise SystemExit(f"error: none of these users exists: {', '.join(names)}")


class Process:
    """A program in a folder of its own, whose user is not root."""

    def __init__(self, users):
        memory = pathlib.Path("/dev/shm")
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.user = user_of(users)
        if self.user:
            os.chown(self.folder, self.user["user"], self.user["group"])
        self.port = free_port()
        self.child = None

    def run(self, *command):
        with open(self.folder / "log", "ab") as log:
            subprocess.run(command, cwd=self.folder, stdout=log, stderr=log, check=True, **self.user)

    def serve(self, *command):
        with open(self.folder / "log", "ab") as log:
            self.child = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self.user)
        deadline = time.monotonic() + START
        while not self.listens():
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((self.folder / "log").read_text())
            time.sleep(0.05)

    def listens(self):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(self.END)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Process):
    """Trusts everybody on 127.0.0.1."""

    END = signal.SIGQUIT

    def __init__(self, connections=100):
        super().__init__(["postgres", "nobody"])
        data = str(self.folder / "data")
        self.run(
            program("initdb"), "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8",
            "--no-sync", "-D", data,
        )
        settings = [
            "listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.folder}", "fsync=off",
            "full_page_writes=off", f"max_connections={connections}", "shared_buffers=32MB",
            "dynamic_shared_memory_type=mmap",
        ]
        self.serve(program("postgres"), "-D", data, *(part for setting in settings for part in ("-c", setting)))

    def url(self, name="postgres"):
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}"

    def make(self, name):
        self.run(program("psql"), "-q", self.url(), "-c", f'CREATE DATABASE "{name}"')

    def drop(self, name):
        self.run(program("psql"), "-q", self.url(), "-c", f'DROP DATABASE "{name}" WITH (FORCE)')


class MariaDb(Process):
    """Its `root` has no password."""

    END = signal.SIGKILL

    def __init__(self):
        super().__init__(["mysql", "nobody"])
        data = f"--datadir={self.folder / 'data'}"
        self.run(
            program("mariadb-install-db"), "--no-defaults", "--auth-root-authentication-method=normal",
            "--skip-test-db", "--innodb-log-file-size=8M", data,
        )
        self.serve(
            program("mariadbd"), "--no-defaults", data, f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}", f"--tmpdir={self.folder}", "--bind-address=127.0.0.1",
            f"--port={self.port}", "--innodb-flush-log-at-trx-commit=2", "--innodb-log-file-size=8M",
            "--innodb-buffer-pool-size=32M", "--skip-log-bin", "--skip-name-resolve",
            "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci",
        )

    def url(self, name="mysql"):
        return f"mysql://root@127.0.0.1:{self.port}/{name}"

    def make(self, name):
        self.statement(f"CREATE DATABASE `{name}`")

    def drop(self, name):
        self.statement(f"DROP DATABASE `{name}`")

    def statement(self, sql):
        self.run(program("mariadb"), "--no-defaults", "-uroot", "-h127.0.0.1", f"-P{self.port}", "-e", sql)


class PgBouncer(Process):
    """In front of a PostgreSQL server, whatever the database's name."""

    END = signal.SIGQUIT

    def __init__(self, server, mode="session"):
        super().__init__(["postgres", "nobody"])
        users = self.folder / "users"
        users.write_text('"postgres" ""\n')
        settings = self.folder / "settings"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {users}\n"
            f"pool_mode = {mode}\nmax_client_conn = 500\ndefault_pool_size = 50\n"
            "ignore_startup_parameters = extra_float_digits\n"
        )
        self.serve(program("pgbouncer"), str(settings))

    def url(self, name="postgres"):
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}"
