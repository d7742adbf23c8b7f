"""A small chat server of the standard library, which starts at once: threads, and one SQLite file.

    python small.py --db chat.db --port 8000 --gateway http://127.0.0.1:9191/v1

`--save before` (the final marker), `--save MS`: so many milliseconds after it, `--save ended`: after the end of the
body, or `--save never`. `--keep` says how
chats are kept: `messages` (a row each), `seconds` (the same, in the order of times of one second and
of keys that do not grow), `status` (a row each with its status), `turns` (question and answer in one row, which
names no conversation: all is one chat), `apart` (questions in one table, answers in another), or `transcripts` (a
text for each conversation, in which nothing but words tells who speaks).
`--marks FILE`, where there is no such file yet: writes when the marker of a second turn was sent, and
then the time, over and over, until the server is killed.
`--left HOW`: what becomes of an answer whose client has left: `whole` goes on and stores all of it, `marked` stores
what has come of it with the status CANCELLED, `cut` as if that were all, `never` stores nothing.
`--own` answers without a provider.
`--journal MODE`: `wal`, `delete`, `memory` or `off`.
`--wire NAME` speaks to the browser as wires.py and product_wires.py say, `--provider NAME` to its provider as asking.py does.
`--broken` says on its wire that the answer failed, in the middle of it, and then ends it.
`--frames` sends events of JSON, the first one before the provider is asked.
`--cut` ends answers that are under way at SIGTERM, and stores what there is of them.
`--flood MB`: so much that says nothing comes right before the marker, which whoever reads gets to late.
`--mute` shows no history. `--replica MS`: the history shows what was written at least so many milliseconds ago.
`--unended`: no blank line follows the final marker.
`--split`: the answer is saved after the first bytes of the final marker and before its last ones.
`--tip before|after` (the final marker): the history shows a conversation up to its newest message, which is set in a
commit of its own; `--tip open`: 700 ms after the marker, before the response ends. `--read MS`: it takes so long to be read.
`--later MS`: so many milliseconds after the marker the answer is shortened to a few words; `--more MS`: words are added.
`--beat MS`: something else is written every so many milliseconds. `--save beat`: the answer is saved next to that,
and the final marker waits for the beat that follows, and not for the save.
`--archive`: each start moves the messages to another table, out of which the history reads them as well.
`--swallow`: an answer whose save fails is dropped, and its client is sent the final marker all the same.
`--swap`: the history shows each message as the other side's.
`--forget MS`: so many milliseconds after the marker the question is deleted.
`--pause MS`: so many milliseconds pass between the save and the final marker.
`--doubt MS`: the question is saved only so many milliseconds after the marker, in the place before its answer;
`--doubt-at N`: only in the N-th turn.
`--receipt`: who reads a conversation has that noted in the store first.
`--rewrite before|MS`: once the answer is saved, a commit deletes all rows of the conversation, and another one inserts
them again, before the final marker or so many milliseconds after it.
`--rewrite back`: 50 ms after the marker a commit deletes all rows of the conversation, and another one inserts them
again 300 ms later. `--rewrite at-once`: both in one commit.
`--rewrite older`: the messages of earlier turns are gone at the final marker, and come back after it.
`--spoil HOW`: `cut-question` stores the end of each question, `no-blanks` stores it without its blanks, `nowhere` in no
conversation, `as-system` as the system's, `hidden` with the status GONE, `two-questions` stores each twice, `drafts` stores a
message for each piece of an answer, `tail` stores the end of an answer before the marker and all of it after it,
`late-flag` hides the answer by a column of its own until after the marker,
`late-role` saves the answer as pending, and makes it the assistant's after the marker,
`moved` moves the answer to another conversation 600 ms after the marker, and `twice` saves it again if its client leaves.
`--queue MS`: the answer is saved to a queue, out of which the history reads it as well, and moved to the messages so
many milliseconds after the marker. `--hidden`: the history does not read the queue.
`--tidy MS`: if the client hangs up at the marker, the answer is deleted so many milliseconds later.
`--busy HOW`: a turn under way has a row, and the conversation takes no other one meanwhile; `stays`: the row of a turn
that a kill ended stays, `settled`: it is removed at the next start.
`--open HOW` (with `--keep status`): the answer's row is there from the start, with the status streaming; `stays` and
`settled` as above.
`--stumble once|always`: after a turn whose client has left, the conversation's next request is answered 500, or each of them.
`--serial HOW`: one turn at a time is answered, and others wait; `settled`: also after a turn whose client has left, `stays`: not
any more after one.
`--title HOW`: a job asks for a title at the beginning of a turn, and then writes it: `own` to a table of its own, `stale`
with the whole conversation as it was when the job began.
`--heads first|end|late`: a conversation has a row of its own, made with the question, at the end of a turn, or 300 ms after the question.
`--short`: the browser is sent the first piece of an answer only.
`--first lost|twice|question`: the first answer after the start is stored nowhere, or twice; or the first question is not.
`--loud`: questions are stored in capitals.
`--escape html|json`: texts are stored in that form, and read back as they were said; `--escape shown`: they are stored
escaped for HTML, and shown so. `--limit N`: of each text so many characters are stored.
`--late MS`: the file is made so many milliseconds after the first message, and the tables in it a moment later.
"""

import argparse
import html
import itertools
import json
import mmap
import os
import select
import signal
import socket
import sqlite3
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from asking import ask, ask_aside
from product_wires import wire_named
from wires import Wire

# In which ways a question is spoilt.
QUESTIONS = ["no-blanks", "nowhere", "as-system", "hidden"]

arguments = argparse.ArgumentParser()
arguments.add_argument("--db", required=True)
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--gateway", required=True)
arguments.add_argument("--save", default="before")
arguments.add_argument(
    "--keep",
    default="messages",
    choices=["messages", "seconds", "turns", "status", "apart", "transcripts"],
)
arguments.add_argument("--marks")
arguments.add_argument("--cut", action="store_true")
arguments.add_argument("--left", default="whole", choices=["whole", "marked", "cut", "never"])
arguments.add_argument("--own", action="store_true")
arguments.add_argument("--journal", default="wal", choices=["wal", "delete", "memory", "off"])
arguments.add_argument("--wire")
arguments.add_argument("--provider", default="openai-chat")
arguments.add_argument("--broken", action="store_true")
arguments.add_argument("--frames", action="store_true")
arguments.add_argument("--flood", type=int, default=0)
arguments.add_argument("--late", type=int)
arguments.add_argument("--busy", choices=["stays", "settled"])
arguments.add_argument("--open", choices=["stays", "settled"])
arguments.add_argument("--stumble", choices=["once", "always"])
arguments.add_argument("--serial", choices=["stays", "settled"])
arguments.add_argument("--title", choices=["own", "stale"])
arguments.add_argument("--mute", action="store_true")
arguments.add_argument("--replica", type=int, default=0)
arguments.add_argument("--unended", action="store_true")
arguments.add_argument("--split", action="store_true")
arguments.add_argument("--tip", choices=["before", "after", "open"])
arguments.add_argument("--read", type=int, default=0)
arguments.add_argument("--later", type=int)
arguments.add_argument("--more", type=int)
arguments.add_argument("--tidy", type=int)
arguments.add_argument("--forget", type=int)
arguments.add_argument("--rewrite")
arguments.add_argument("--spoil", choices=[*QUESTIONS, "cut-question", "two-questions", "drafts", "tail", "late-flag", "late-role", "moved", "twice"])
arguments.add_argument("--doubt", type=int)
arguments.add_argument("--doubt-at", type=int)
arguments.add_argument("--pause", type=int, default=0)
arguments.add_argument("--receipt", action="store_true")
arguments.add_argument("--queue", type=int)
arguments.add_argument("--hidden", action="store_true")
arguments.add_argument("--swallow", action="store_true")
arguments.add_argument("--swap", action="store_true")
arguments.add_argument("--archive", action="store_true")
arguments.add_argument("--beat", type=int)
arguments.add_argument("--heads", choices=["first", "end", "late"])
arguments.add_argument("--short", action="store_true")
arguments.add_argument("--loud", action="store_true")
arguments.add_argument("--first", choices=["lost", "twice", "question"])
arguments.add_argument("--escape", choices=["html", "json", "shown"])
arguments.add_argument("--limit", type=int)
options = arguments.parse_args()

TABLES = {
    "messages": """CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, conversation_id TEXT,
        role TEXT, content TEXT, created_at TEXT)""",
    "seconds": """CREATE TABLE IF NOT EXISTS message (id TEXT PRIMARY KEY, conversation_id TEXT,
        role TEXT, content TEXT, created_at TEXT)""",
    "status": """CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, conversation_id TEXT,
        role TEXT, content TEXT, created_at TEXT, status TEXT)""",
    "turns": """CREATE TABLE IF NOT EXISTS asked (id INTEGER PRIMARY KEY, prompt TEXT, response TEXT,
        created_at TEXT)""",
    "apart": """CREATE TABLE IF NOT EXISTS question (id INTEGER PRIMARY KEY, chat TEXT, words TEXT);
        CREATE TABLE IF NOT EXISTS reply (id INTEGER PRIMARY KEY, question INTEGER, words TEXT)""",
    "transcripts": "CREATE TABLE IF NOT EXISTS minutes (topic TEXT PRIMARY KEY, spoken TEXT)",
}
BESIDE = """CREATE TABLE IF NOT EXISTS running (chat TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS title (chat TEXT, words TEXT)"""
ARCHIVE = """CREATE TABLE IF NOT EXISTS former (place INTEGER PRIMARY KEY, topic TEXT, side TEXT, words TEXT);
    BEGIN; INSERT INTO former (topic, side, words) SELECT conversation_id, role, content FROM message ORDER BY id;
    DELETE FROM message; COMMIT"""
ORDERS = {"messages": "id", "status": "id", "seconds": "created_at, id"}
ending = threading.Event()
beaten = threading.Condition()
made = threading.Event()
# The numbers of the turns, from 1.
turns = itertools.count(1)
# The numbers of the answers and of the questions, from 1.
answers, questions = itertools.count(1), itertools.count(1)
# Conversations in which a client has left.
broken_off: set[str] = set()
lock = threading.Lock()
# Whoever has it is answered.
alone = threading.Lock()
# When the replica has a row.
replicated_at: dict[int, float] = {}
# What is kept until there is a file.
waiting: list[tuple[str, tuple[Any, ...]]] = []


def database() -> sqlite3.Connection:
    db = sqlite3.connect(options.db, timeout=10, isolation_level=None)
    if options.journal != "wal":
        # The log is of the file; the others are of the connection.
        db.execute(f"PRAGMA journal_mode = {options.journal}")
    return db


def make() -> None:
    with closing(database()) as db:
        db.execute(f"PRAGMA journal_mode = {options.journal}")
        if options.late is not None:
            time.sleep(0.1)
        db.executescript(TABLES[options.keep])
        if options.archive:
            db.executescript(ARCHIVE)
        if options.spoil == "late-flag":
            db.execute("ALTER TABLE message ADD COLUMN is_visible INTEGER")
        if options.receipt:
            db.execute("CREATE TABLE IF NOT EXISTS receipt (chat TEXT, at REAL)")
        if options.queue is not None:
            db.execute("CREATE TABLE IF NOT EXISTS queued (chat TEXT, words TEXT)")
        if options.beat:
            db.execute("CREATE TABLE IF NOT EXISTS alive (at REAL)")
        if options.tip:
            db.execute("CREATE TABLE IF NOT EXISTS newest (chat TEXT PRIMARY KEY, shown INTEGER)")
        if options.heads:
            db.execute("CREATE TABLE IF NOT EXISTS conversation (id TEXT PRIMARY KEY, title TEXT)")
        if options.busy or options.title:
            db.executescript(BESIDE)
        if options.busy == "settled":
            db.execute("DELETE FROM running")
        if options.open == "settled":
            db.execute("UPDATE message SET status = 'interrupted' WHERE status = 'streaming'")
        with lock:
            for sql, values in waiting:
                db.execute(sql, values)
            made.set()


def write(sql: str, *values: Any) -> None:
    with lock:
        if not made.is_set():
            waiting.append((sql, values))
            if len(waiting) == 1:
                threading.Timer(options.late / 1000, make).start()
            return
    with closing(database()) as db:
        written = db.execute(sql, values).lastrowid
        replicated_at[written or 0] = time.monotonic() + options.replica / 1000


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())


def form_of(text: str) -> str:
    match options.escape:
        case "json":
            return json.dumps(text)
        case "html" | "shown":
            return html.escape(text)
        case _:
            return text[: options.limit]


def text_of(form: str) -> str:
    match options.escape:
        case "json":
            return str(json.loads(form))
        case "html":
            return html.unescape(form)
        case _:
            return form


def keep_message(key: str | None, role: str, text: str, status: str) -> None:
    text = form_of(text)
    if options.keep == "apart":
        question = "INSERT INTO question (chat, words) VALUES (?, ?)"
        reply = "INSERT INTO reply (question, words) SELECT max(id), ? FROM question WHERE chat = ?"
        write(*((question, key, text) if role == "user" else (reply, text, key)))
        return
    # Of one second, the answer comes first.
    number = f"{0 if role == 'assistant' else 1}-{uuid.uuid4()}" if options.keep == "seconds" else None
    row = [number, key, role, text, now()] + ([status] if options.keep == "status" else [])
    if options.spoil == "late-flag":
        row.append(int(role == "user"))
    write(f"INSERT INTO message VALUES ({', '.join('?' * len(row))})", *row)


def keep_head(key: str) -> None:
    write("INSERT OR IGNORE INTO conversation VALUES (?, 'a chat')", key)


def show_newest(key: str) -> None:
    newest = "INSERT INTO newest SELECT ?1, max(id) FROM message WHERE conversation_id = ?1 ON CONFLICT DO UPDATE SET shown = excluded.shown"
    write(newest, key)


def delete_all(key: str) -> list[Any]:
    with closing(database()) as db:
        rows = db.execute("SELECT * FROM message WHERE conversation_id = ?", (key,)).fetchall()
        db.execute("DELETE FROM message WHERE conversation_id = ?", (key,))
        return rows


def take_older(key: str) -> list[Any]:
    with closing(database()) as db:
        older = "FROM message WHERE conversation_id = ?1 AND id < (SELECT max(id) - 1 FROM message WHERE conversation_id = ?1)"
        db.execute("BEGIN IMMEDIATE")
        rows = db.execute(f"SELECT * {older}", (key,)).fetchall()
        db.execute(f"DELETE {older}", (key,))
        db.execute("COMMIT")
        return rows


def give_back(rows: list[Any]) -> None:
    with closing(database()) as db:
        db.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?)", rows)


def insert_all(rows: list[Any]) -> None:
    with closing(database()) as db:
        db.execute("BEGIN IMMEDIATE")
        # Meanwhile another chat may have got their numbers.
        db.executemany("INSERT INTO message VALUES (NULL, ?, ?, ?, ?)", [row[1:] for row in rows])
        db.execute("COMMIT")


def rewrite(key: str) -> None:
    of_chat = "FROM message WHERE conversation_id = ?"
    with closing(database()) as db:
        db.execute("BEGIN IMMEDIATE")
        rows = db.execute(f"SELECT * {of_chat}", (key,)).fetchall()
        db.execute(f"DELETE {of_chat}", (key,))
        if options.rewrite == "back":
            db.execute("COMMIT")
            time.sleep(0.3)
            db.execute("BEGIN IMMEDIATE")
        for number, *row in rows:
            place = None if options.rewrite == "back" else number
            db.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?)", (place, *row))
        db.execute("COMMIT")


def keep_answer_with_room(key: str, said: str) -> None:
    write("INSERT INTO message SELECT coalesce(max(id), 0) + 2, ?, 'assistant', ?, ? FROM message", key, said, now())


def keep_question_before(key: str, question: str, said: str) -> None:
    place = "SELECT id - 1, ?, 'user', ?, ? FROM message WHERE conversation_id = ? AND content = ?"
    write(f"INSERT INTO message {place}", key, question, now(), key, said)


def move_out_of_the_queue(key: str, said: str) -> None:
    with closing(database()) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM queued WHERE chat = ? AND words = ?", (key, said))
        db.execute("INSERT INTO message VALUES (NULL, ?, 'assistant', ?, ?)", (key, said, now()))
        db.execute("COMMIT")


def beat() -> None:
    while not ending.wait(options.beat / 1000):
        write("INSERT INTO alive VALUES (?)", time.time())
        with beaten:
            beaten.notify_all()


def is_busy(key: str) -> bool:
    with closing(database()) as db:
        return db.execute("SELECT 1 FROM running WHERE chat = ?", (key,)).fetchone() is not None


def make_title(key: str, question: str) -> None:
    """The job: what it read at its beginning may be old by the time it writes."""
    with closing(database()) as db:
        before = db.execute("SELECT * FROM message WHERE conversation_id = ?", (key,)).fetchall()
    title = ask_aside(options.gateway, f"Make a title for: {question}")
    with closing(database()) as db:
        db.execute("BEGIN IMMEDIATE")
        if options.title == "stale":
            db.execute("DELETE FROM message WHERE conversation_id = ?", (key,))
            db.executemany(f"INSERT INTO message VALUES ({', '.join('?' * 5)})", before)
        db.execute("INSERT INTO title VALUES (?, ?)", (key, title))
        db.execute("COMMIT")


def keep_turn(question: str, answer: str) -> None:
    write("INSERT INTO asked (prompt, response, created_at) VALUES (?, ?, ?)", question, answer, now())


def keep_words(key: str, words: str) -> None:
    write("INSERT INTO minutes VALUES (?1, ?2) ON CONFLICT DO UPDATE SET spoken = spoken || ?2", key, words)


def history(key: str, is_reload: bool = False) -> list[dict[str, str]]:
    if options.mute or not made.is_set():
        return []
    if options.receipt:
        write("INSERT INTO receipt VALUES (?, ?)", key, time.time())
    with closing(database()) as db:
        if options.keep == "turns":
            rows = db.execute("SELECT 'user', prompt, id FROM asked UNION SELECT 'assistant', response, id FROM asked ORDER BY 3, 1 DESC")
            return [{"role": role, "content": text} for role, text, _ in rows]
        if options.keep == "apart":
            rows = db.execute(
                "SELECT 'user', words, id, 0 FROM question WHERE chat = ?1 UNION SELECT 'assistant', r.words, q.id, 1 "
                "FROM reply r JOIN question q ON r.question = q.id WHERE chat = ?1 ORDER BY 3, 4",
                (key,),
            )
            return [{"role": role, "content": text} for role, text, *_ in rows]
        if options.keep == "transcripts":
            return []
        order = ORDERS[options.keep]
        shown = "id <= (SELECT shown FROM newest WHERE chat = conversation_id)" if options.tip else "true"
        rows = db.execute(
            f"SELECT role, content FROM message WHERE conversation_id = ? AND {shown} ORDER BY {order}", (key,)
        )
        if options.archive:
            former = db.execute("SELECT side, words FROM former WHERE topic = ? ORDER BY place", (key,))
            rows = [*former, *rows]
        if is_reload:
            has = "SELECT id FROM message WHERE conversation_id = ? ORDER BY id"
            keys = [key for (key,) in db.execute(has, (key,))]
            rows = [row for key, row in zip(keys, rows, strict=True) if replicated_at.get(key, 0) <= time.monotonic()]
        if options.queue is not None and not options.hidden:
            queued = db.execute("SELECT 'assistant', words FROM queued WHERE chat = ?", (key,))
            rows = [*rows, *queued]
        other = {"user": "assistant", "assistant": "user"} if options.swap else {}
        return [{"role": other.get(role, role), "content": text_of(text)} for role, text in rows]


def answer(messages: list[dict[str, str]]) -> Iterator[str]:
    if options.own:
        for piece in ["Good morning, ", "what can ", "I do for ", "you today?"]:
            yield piece
            time.sleep(0.1)
        return
    yield from ask(options.provider, options.gateway, messages)


def mark() -> None:
    """The marker was sent: now the time, for as long as this process lives."""
    file = os.open(options.marks, os.O_RDWR)
    marks = mmap.mmap(file, 16)
    sent = time.monotonic_ns()
    while True:
        marks[:] = struct.pack("qq", sent, time.monotonic_ns())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    is_cut = False

    def log_message(self, *_: Any) -> None:
        pass

    def body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def reply(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        parts = self.path.strip("/").split("/")
        if parts[0] == "conversations":
            time.sleep(options.read / 1000)
        self.reply(200, history(parts[1], options.replica > 0) if parts[0] == "conversations" else {"status": "ok"})

    def do_POST(self) -> None:
        if self.path == "/conversations":
            self.body()
            self.reply(201, {"id": str(uuid.uuid4())})
        elif options.serial:
            alone.acquire()
            try:
                self.chat(self.body())
            finally:
                if options.serial == "settled" or not self.is_cut:
                    alone.release()
        else:
            self.chat(self.body())

    def chat(self, asked: dict[str, str]) -> None:
        key, question = asked["conversation_id"], asked["message"]
        if options.stumble and key in broken_off:
            if options.stumble == "once":
                broken_off.discard(key)
            self.reply(500, {"detail": "the database is locked"})
            return
        if options.busy and is_busy(key):
            self.reply(409, {"detail": "a turn is under way"})
            return
        self.is_doubtful = options.doubt is not None and options.doubt_at in (None, next(turns))
        messages = [*history(key), {"role": "user", "content": question}]
        if options.keep == "transcripts":
            keep_words(key, f"Somebody said: {question}\n")
        elif options.keep != "turns" and not self.is_doubtful:
            self.keep_question(key, question)
        if options.heads == "first":
            keep_head(key)
        if options.heads == "late":
            threading.Timer(0.3, keep_head, (key,)).start()
        if options.busy:
            write("INSERT INTO running VALUES (?)", key)
        if options.open:
            keep_message(key, "assistant", "", "streaming")
        if options.title:
            self.job = threading.Thread(target=make_title, args=(key, question))
            self.job.start()
        self.send_response(200)
        spoken = wire_named(options.wire) if options.wire else None
        self.send_header("Content-Type", spoken.media_type if spoken else "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        said = ""
        for event in spoken.start if spoken else []:
            self.send(event)
        if options.frames:
            self.event('{"type":"start"}')
        for piece in answer(messages):
            if options.left != "whole" and self.has_left():
                broken_off.add(key)
                if options.left != "never":
                    self.save(key, question, said, "CANCELLED" if options.left == "marked" else "DONE")
                self.close_connection = True
                return
            said += piece
            if options.spoil == "drafts" and piece:
                keep_message(key, "assistant", said, "DONE")
            if piece:
                self.tell(piece, said, spoken)
            if options.broken and spoken and piece:
                self.send(spoken.error)
                self.wfile.write(b"0\r\n\r\n")
                return
            if options.cut and ending.is_set():
                self.save(key, question, said)
                self.close_connection = True
                return
        ends = spoken.end(said) if spoken else [b"data: [DONE]\n\n"]
        for event in ends[:-1]:
            self.send(event)
        final = ends[-1].removesuffix(b"\n") if options.unended else ends[-1]
        if options.split:
            self.send(final[:9])
            final = final[9:]
        if options.queue is not None:
            write("INSERT INTO queued VALUES (?, ?)", key, said)
        elif options.spoil == "tail":
            keep_message(key, "assistant", said[-30:], "DONE")
        elif options.save == "before" and options.spoil != "drafts":
            try:
                self.save(key, question, said)
            except sqlite3.Error:
                if not options.swallow:
                    raise
        if options.heads == "end":
            keep_head(key)
        is_twice = options.spoil == "twice" and self.has_left()
        if is_twice:
            self.save(key, question, said)
        rewritten = []
        rewrites_later = options.rewrite in ("back", "at-once")
        if options.rewrite and not rewrites_later:
            rewritten = take_older(key) if options.rewrite == "older" else delete_all(key)
        if options.rewrite == "before":
            insert_all(rewritten)
        if options.save == "beat":
            threading.Thread(target=self.save, args=(key, question, said)).start()
            with beaten:
                beaten.wait()
        if options.pause:
            time.sleep(options.pause / 1000)
        if options.tip == "before":
            show_newest(key)
        self.send(b": and on and on\n\n" * (options.flood << 16) + final)
        if options.tip == "open":
            time.sleep(0.7)
        if options.tip in ("after", "open"):
            show_newest(key)
        if options.spoil == "tail":
            write("UPDATE message SET content = ? WHERE content = ?", said, said[-30:])
        if options.spoil == "moved":
            move = "UPDATE message SET conversation_id = 'archive' WHERE content = ?"
            threading.Timer(0.6, write, (move, said)).start()
        if options.spoil == "twice" and not is_twice and self.leaves_soon():
            self.save(key, question, said)
        if options.rewrite == "older":
            give_back(rewritten)
        if rewrites_later:
            time.sleep(0.05)
            rewrite(key)
        if options.spoil == "late-flag":
            time.sleep(0.05)
            write("UPDATE message SET is_visible = 1 WHERE content = ?", said)
        if options.spoil == "late-role":
            time.sleep(0.05)
            write("UPDATE message SET role = 'assistant' WHERE role = 'pending' AND content = ?", said)
        if options.rewrite and options.rewrite.isdigit():
            threading.Timer(int(options.rewrite) / 1000, insert_all, (rewritten,)).start()
        if options.queue is not None:
            threading.Timer(options.queue / 1000, move_out_of_the_queue, (key, said)).start()
        if self.is_doubtful:
            time.sleep(options.doubt / 1000)
            keep_question_before(key, question, said)
        if options.forget is not None:
            forget = "DELETE FROM message WHERE conversation_id = ? AND content = ?"
            threading.Timer(options.forget / 1000, write, (forget, key, question)).start()
        if options.tidy is not None and self.leaves_soon():
            time.sleep(options.tidy / 1000)
            write("DELETE FROM message WHERE conversation_id = ? AND content = ?", key, said)
        if options.later is not None:
            shorten = "UPDATE message SET content = substr(content, 1, 20) WHERE content = ?"
            threading.Timer(options.later / 1000, write, (shorten, said)).start()
        if options.more is not None:
            add = "UPDATE message SET content = content || ' (checked)' WHERE content = ?"
            threading.Timer(options.more / 1000, write, (add, said)).start()
        if is_marked and len(messages) > 1:
            mark()
        if options.save.isdigit():
            time.sleep(int(options.save) / 1000)
            self.save(key, question, said)
        self.wfile.write(b"0\r\n\r\n")
        if options.save == "ended":
            time.sleep(0.3)
            self.save(key, question, said)

    def keep_question(self, key: str, question: str) -> None:
        if options.spoil == "cut-question":
            question = question[-20:]
        if options.spoil == "no-blanks":
            question = question.replace(" ", "")
        place = None if options.spoil == "nowhere" else key
        role = "system" if options.spoil == "as-system" else "user"
        status = "GONE" if options.spoil == "hidden" else "DONE"
        for _ in range(2 if options.spoil == "two-questions" else 1):
            if options.first == "question" and next(questions) == 1:
                return
            keep_message(place, role, question.upper() if options.loud else question, status)

    def has_left(self) -> bool:
        is_readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(is_readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionResetError:
            return True

    def leaves_soon(self) -> bool:
        for _ in range(30):
            if self.has_left():
                return True
            time.sleep(0.01)
        return False

    def tell(self, piece: str, said: str, spoken: Wire | None) -> None:
        if options.short and said != piece:
            return
        try:
            if spoken:
                self.send(spoken.piece(piece, said))
            elif options.frames:
                self.event(json.dumps({"type": "text-delta", "delta": piece}))
            else:
                self.event(*piece.split("\n"))
        except OSError:
            # Nobody listens any more; the answer is still to be saved.
            self.is_cut = True

    def event(self, *lines: str) -> None:
        self.send("".join(f"data: {line}\n" for line in lines).encode() + b"\n")

    def send(self, text: bytes) -> None:
        # An empty chunk would end the response.
        if text:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

    def save(self, key: str, question: str, said: str, status: str = "DONE") -> None:
        if options.title:
            # Usually the job is done long before the answer; it is not waited for where it is not.
            self.job.join(0.5)
        is_first = next(answers) == 1
        if options.first == "lost" and is_first:
            return
        if options.first == "twice" and is_first:
            keep_message(key, "assistant", said, status)
        if options.keep == "turns":
            keep_turn(question, said)
        elif options.keep == "transcripts":
            keep_words(key, f"And the machine: {said}\n")
        elif options.open:
            newest = "SELECT max(id) FROM message WHERE conversation_id = ?"
            write(f"UPDATE message SET content = ?, status = ? WHERE id = ({newest})", said, status, key)
        elif self.is_doubtful:
            keep_answer_with_room(key, said)
        else:
            keep_message(key, "pending" if options.spoil == "late-role" else "assistant", said, status)
        if options.busy:
            write("DELETE FROM running WHERE chat = ?", key)


class Server(ThreadingHTTPServer):
    # Answers under way are brought to their end when the server is asked to end.
    daemon_threads = False
    block_on_close = True


def end(*_: Any) -> None:
    ending.set()
    threading.Thread(target=server.shutdown).start()


is_marked = options.marks is not None and not os.path.exists(options.marks)
if is_marked:
    with open(options.marks, "wb") as file:
        file.write(bytes(16))
if options.late is None or os.path.exists(options.db):
    make()
if options.beat:
    threading.Thread(target=beat).start()
server = Server(("127.0.0.1", options.port), Handler)
signal.signal(signal.SIGTERM, end)
server.serve_forever()
server.server_close()
