#!/usr/bin/env python3
"""Inputs that are wrong in every way: chatctl must neither panic, nor hang, nor leave anything behind.

Takes good inputs of ten kinds, changes each at random (bytes flipped, cut, doubled, put together from two,
numbers made huge, nasty words put in), and runs the command that reads it. What ends with another code than
those of the table, takes longer than a minute, or leaves a file in TMPDIR is printed with its seed, and the
exit code is 1.

    benches/fuzz.py CHATCTL [COUNT] [SEED]

COUNT is for all kinds together (20000 when absent). Needs Python's standard library.
"""

import collections
import concurrent.futures
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent
CODES = {0, 1, 2, 3, 4, 10, 130}
LIMIT_S = 60
NASTY = [
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"%s%n", b"-1", b"99999999999999999999999", b"1e999", b"{{{{", b"}}",
    b"'''", b'"', b"\\", b"\r\n", b"\x1b[2J", "\u202e\u200f\U000e0041".encode(), b"::error::x", b"--", b"/*",
    b"$$", b"[[", b"]]", b"\n\n", b"data:", b"env:NOBODY", b"file:/dev/zero", b"../../..", b"A" * 70000, b"\t",
    b"nan", b"0x", b"1970-01-01T00:00:00Z", b"999999999d", b"NULL", b";", b"BEGIN;", b"COMMIT;",
]

SQL = """CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT, created_at TEXT);
INSERT INTO message VALUES (1, 'a', 'user', 'milk?', '2026-01-02 03:04:05'), (2, 'a', 'assistant', 'milk.', '2026-01-02 03:04:06');
"""
CONFIG = b"""settle = "3s"
trials = 5
sessions = ["a", "b"]
database-url = "sqlite:chat.db"
[logs]
forbid = ["error", "(?i)traceback"]
"""
MAPPING = b"""[[store]]
shape = "row"
[store.message]
table = "message"
conversation = ["conversation_id"]
role = "role"
content = "content"
time = "created_at"
where = "{content} IS NOT NULL"
"""
REQUEST = """[request]
request = "POST /chat"
json = { message = "{user}" }
"""
ARGUMENTS = [
    ["inspect", "sql", "SELECT 1", "--limit", "3", "--timeout", "3s", "--max-cell", "4K"],
    ["inspect", "conversations", "--since", "24h", "--limit", "3"],
    ["inspect", "show", "a"],
    ["inspect", "search", "milk", "--context", "3"],
    ["audit", "check", "--since", "2026-01-01", "--grace", "3s", "--max", "unanswered-turn=3", "--fail-on", "warning"],
    ["audit", "rate", "--window", "1h", "--last", "24h", "--min", "0.5"],
    ["config"],
    ["explain", "saved-after-done"],
    ["migrate", "status", "--dir", "migrations"],
]


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice([1, 2, 8, 64]))
        match chance.randrange(8):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:to]
            case 2:
                data[at:at] = data[at:to] * chance.choice([1, 3, 400])
            case 3:
                data[at:at] = chance.choice(NASTY)
            case 4:
                data[at:to] = chance.choice(NASTY)
            case 5:
                other = chance.choice(others)
                cut = chance.randrange(len(other) + 1)
                data[at:] = other[cut:]
            case 6:
                data[at:at] = chance.randbytes(chance.choice([1, 4, 32]))
            case _:
                del data[at:]
    return bytes(data[: 1 << 20])


class Kinds:
    """Good inputs, and how each is read."""

    def __init__(self, chatctl: str, folder: pathlib.Path) -> None:
        self.chatctl = chatctl
        self.seed = folder / "seed"
        self.seed.mkdir()
        database = sqlite3.connect(self.seed / "chat.db")
        database.executescript(SQL)
        database.close()
        (self.seed / "migrations").mkdir()
        (self.seed / "migrations/1_a.sql").write_text("CREATE TABLE notes (id INTEGER PRIMARY KEY);\n")
        key = {"CHATCTL_TEST_KEY": "01" * 32}
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.seed), "LC_ALL": "C.UTF-8", **key}
        snapshot = ["audit", "snapshot", "-o", "a.cas", "--key", "env:CHATCTL_TEST_KEY", "--database-url", "sqlite:chat.db"]
        subprocess.run([chatctl, *snapshot], cwd=self.seed, env=self.environment, check=True, capture_output=True)
        sessions = sorted((ROOT / "fixtures/sessions").rglob("*.toml"))
        lines = sorted((ROOT / "fixtures/sessions").rglob("*.jsonl"))
        events = sorted((ROOT / "fixtures").rglob("*.sse"))
        scripts = sorted((ROOT / "fixtures/lint").rglob("*.sql"))
        guarded = [path for path in sorted((ROOT / "fixtures/guard").rglob("*")) if path.is_file()]
        read = lambda paths: [path.read_bytes() for path in paths[:200]]
        self.cassettes = [*read(lines), *(read(events) or [b"data: {}\n\ndata: [DONE]\n\n"])]
        self.corpora = {
            "argument": ["\0".join(words).encode() for words in ARGUMENTS],
            "session": read(sessions),
            "cassette": self.cassettes,
            "config": [CONFIG],
            "mapping": [MAPPING],
            "snapshot": [(self.seed / "a.cas").read_bytes()],
            "migration": [b"CREATE TABLE notes (id INTEGER PRIMARY KEY);\nINSERT INTO notes VALUES (1);\n", *read(scripts)],
            "lint": read(scripts) or [b"DROP TABLE a;\n"],
            "guard": read(guarded),
            "database": [(self.seed / "chat.db").read_bytes()],
        }

    def words(self, kind: str, data: bytes, site: pathlib.Path, chance: random.Random) -> list[str | bytes]:
        store = ["--database-url", "sqlite:chat.db"]
        match kind:
            case "argument":
                return [*store, *(word[:100_000] for word in data.split(b"\0")[:40])]
            case "session" | "cassette":
                session = site / "talk.toml"
                if kind == "session":
                    session.write_bytes(data)
                    for answer in (ROOT / "fixtures/sessions").rglob("*.sse"):
                        shutil.copy(answer, site)
                else:
                    name = chance.choice(["answer.jsonl", "answer.sse"])
                    (site / name).write_bytes(data)
                    session.write_text(f'{REQUEST}\n[[turn]]\nuser = "hi"\ncassette = "{name}"\n')
                return ["verify-stream", str(session), *store, "--server", "http://127.0.0.1:1", "--gateway", "127.0.0.1:0"]
            case "config" | "mapping":
                (site / "chatctl.toml").write_bytes(data)
                reads = [["config"], ["inspect", "mapping", *store], ["inspect", "conversations", *store], ["audit", "check", *store]]
                return chance.choice(reads)
            case "snapshot":
                (site / "b.cas").write_bytes(data)
                return ["audit", "compare", "b.cas", *store, "--key", "env:CHATCTL_TEST_KEY"]
            case "migration":
                name = chance.choice(["2_b.sql", "2_b.up.sql", "V2__b.sql", "20260101000000_b.sql"])
                (site / "migrations" / name).write_bytes(data)
                command = chance.choice([["up"], ["plan"], ["status"], ["verify"], ["lint", "migrations"]])
                where = [] if command[0] == "lint" else ["--dir", "migrations", *store]
                return ["migrate", *command, *where]
            case "lint":
                (site / "a.sql").write_bytes(data)
                return ["migrate", "lint", "a.sql", "--dialect", chance.choice(["sqlite", "postgres", "mysql"])]
            case "guard":
                name = chance.choice(["app.py", "compose.yml", "Dockerfile", "start.sh", "package.json", "main.go"])
                (site / name).write_bytes(data)
                return ["migrate", "guard", "."]
            case "database":
                (site / "chat.db").write_bytes(data)
                reads = [["inspect", "tables"], ["inspect", "conversations"], ["audit", "check"], ["inspect", "sql", "SELECT * FROM message"]]
                return [*chance.choice(reads), *store]
            case _:
                raise ValueError(kind)

    def run(self, kind: str, seed: int) -> tuple[str, int, str | None]:
        """The kind, the exit code, and what is wrong with it."""
        chance = random.Random(f"{kind} {seed}")
        corpus = self.corpora[kind]
        data = mutated(chance.choice(corpus), corpus, chance)
        with tempfile.TemporaryDirectory(dir=self.seed.parent) as folder:
            site = pathlib.Path(folder) / "site"
            site.mkdir()
            shutil.copy(self.seed / "chat.db", site)
            shutil.copytree(self.seed / "migrations", site / "migrations")
            left = pathlib.Path(folder) / "tmp"
            left.mkdir()
            words = self.words(kind, data, site, chance)
            try:
                ended = subprocess.run(
                    [self.chatctl, *words],
                    cwd=site,
                    env={**self.environment, "TMPDIR": str(left)},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=LIMIT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return kind, -1, "it hangs"
            except (OSError, ValueError):
                # No system takes such words.
                return kind, 2, None
            wrong = None
            if ended.returncode not in CODES or b"panicked" in ended.stderr:
                wrong = f"exit {ended.returncode}: {ended.stderr[-400:].decode(errors='replace')}"
            elif found := [path.name for path in left.iterdir()]:
                wrong = f"left in TMPDIR: {found}"
            return kind, ended.returncode, wrong


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chatctl = str(pathlib.Path(sys.argv[1]).resolve())
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    bad = 0
    codes: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as folder:
        kinds = Kinds(chatctl, pathlib.Path(folder))
        names = list(kinds.corpora)
        jobs = [(names[number % len(names)], first + number // len(names)) for number in range(count)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for (kind, seed), (_, code, wrong) in zip(jobs, pool.map(lambda job: kinds.run(*job), jobs)):
                codes[kind][code] += 1
                if wrong:
                    bad += 1
                    print(f"{kind} {seed}: {wrong}", flush=True)
    for kind in names:
        told = ", ".join(f"{number} x exit {code}" for code, number in sorted(codes[kind].items()))
        print(f"{kind:10} {told}")
    print(f"{count} inputs, {bad} wrong")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
