#!/usr/bin/env python3
"""What `chatctl audit snapshot` costs beside the barest program that could do it, and beside others.

    cargo build --release && cargo bench --bench audit --no-run
    benches/audit.py --chatctl target/release/chatctl --bare target/release/deps/audit-… -n 3
    benches/audit.py --bare … --url postgres://postgres@127.0.0.1/empty --server PID

Of whole processes, medians of n in turn: seconds until the end, seconds of CPU, the most memory.
A SQLite store is made, or taken from --sqlite. A PostgreSQL database must be empty and is filled, or
with --filled be the one of an earlier run; --server is the process id of its postmaster, whose
sessions' CPU is counted too.

    bare       reads every message by rusqlite, or by COPY, digests it once with keyed BLAKE3 and adds up by conversation
    .sha3sum   of sqlite3: one hash of each table
    pg_dump    of the table, through sha256sum
    reladiff   the table with itself, by its hashes: it is read twice

What is not on the PATH is left out.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import chats

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIZE = 593
TICKS = os.sysconf("SC_CLK_TCK")


def ended_sessions(server):
    """Seconds of CPU of all processes that a postmaster saw the end of."""
    if not server:
        return 0
    stat = pathlib.Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[13]) + int(stat[14])) / TICKS


def run(command, server):
    """Seconds until the end, of CPU, of the server's CPU, and MB."""
    before, began = ended_sessions(server), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, shell=isinstance(command, str))
    told = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}: {told}")
    # A session ends a moment after its client.
    time.sleep(0.3 if server else 0)
    return took, used.ru_utime + used.ru_stime, ended_sessions(server) - before, used.ru_maxrss / 1024


def others(url, path):
    """Programs that read the whole table too."""
    if path:
        ways = {".sha3sum": ["sqlite3", "-readonly", str(path), ".sha3sum"]}
    else:
        # The only spelling that reladiff knows; it ends with 0 when it knows none.
        url = url.replace("postgres:", "postgresql:", 1)
        columns = " ".join(f"-c {name}" for name in ("conversation_id", "role", "content", "created_at"))
        ways = {
            "pg_dump \\| sha256sum": f"pg_dump -t message '{url}' | sha256sum",
            "reladiff": f"reladiff --algorithm hashdiff '{url}' message '{url}' message -k id {columns}",
        }
    words = lambda command: command.split() if isinstance(command, str) else command
    return {name: command for name, command in ways.items() if shutil.which(words(command)[0])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--bare", required=True, help="the program of benches/audit.rs")
    parser.add_argument("-n", type=int, default=3)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--sqlite", type=pathlib.Path, help="a file of an earlier run, or a new one that is kept")
    parser.add_argument("--url", help="an empty PostgreSQL database")
    parser.add_argument("--filled", action="store_true", help="the database is of an earlier run")
    parser.add_argument("--server", type=int, help="the process id of its postmaster")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = None if args.url else args.sqlite or pathlib.Path(folder) / "chat.db"
        url = args.url or f"sqlite:{path}"
        if not (path.exists() if path else args.filled):
            chats.fill(url, args.messages, SIZE)
        (key := pathlib.Path(folder) / "key").write_text("07" * 32)
        key.chmod(0o600)
        snapshot = [args.chatctl, "--quiet", "--database-url", url, "audit", "snapshot", "--key", f"file:{key}", "--output"]
        new = lambda name: str(pathlib.Path(tempfile.mkdtemp(dir=folder)) / name)
        ways = {
            "bare": lambda: [args.bare, "bare", str(path or url)],
            "audit snapshot": lambda: [*snapshot, new("snapshot.cas")],
            "audit snapshot --detail conversations": lambda: [*snapshot, new("sums.cas"), "--detail", "conversations"],
        }
        ways |= {name: lambda command=command: command for name, command in others(url, path).items()}
        found = {name: [] for name in ways}
        for _ in range(args.n):
            for name, command in ways.items():
                found[name].append(run(command(), args.server))
        print(f"{args.messages} messages, {url.split(':')[0]}{f', {path.stat().st_size / 1e6:.0f} MB' if path else ''}\n")
        print("| | time | x bare | CPU | of the server | CPU x bare | memory |\n|---|---|---|---|---|---|---|")
        medians = {name: [statistics.median(values) for values in zip(*each)] for name, each in found.items()}
        bare = medians["bare"]
        for name, (took, cpu, served, memory) in medians.items():
            ratio = (cpu + served) / (bare[1] + bare[2])
            print(f"| {name} | {took:.2f} s | {took / bare[0]:.2f} | {cpu:.2f} s | {served:.2f} s | {ratio:.2f} | {memory:.0f} MB |")


if __name__ == "__main__":
    main()
