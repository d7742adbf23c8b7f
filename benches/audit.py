#!/usr/bin/env python3
"""What `chatctl audit snapshot` costs beside the barest program that could do it. SQLite.

    cargo build --release && cargo bench --bench audit --no-run
    benches/audit.py --chatctl target/release/chatctl --bare target/release/deps/audit-… -n 3

Seconds of CPU and the most memory, of whole processes, medians of n in turn:

    bare       reads every message with rusqlite, digests it once with keyed BLAKE3, adds up by conversation
    .sha3sum   of sqlite3, one hash of each table; left out without sqlite3 on the PATH
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import chats

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIZE = 593


def run(command):
    """Seconds of CPU, and MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    told = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}: {told}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--bare", required=True, help="the program of benches/audit.rs, or one that takes `bare PATH` too")
    parser.add_argument("-n", type=int, default=3)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--sqlite", type=pathlib.Path, help="a file of an earlier run, or a new one that is kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.sqlite or pathlib.Path(folder) / "chat.db"
        if not path.exists():
            chats.fill(f"sqlite:{path}", args.messages, SIZE)
        (key := pathlib.Path(folder) / "key").write_text("07" * 32)
        key.chmod(0o600)
        snapshot = [args.chatctl, "--quiet", "--database-url", f"sqlite:{path}", "audit", "snapshot", "--key", f"file:{key}", "--output"]
        new = lambda name: str(pathlib.Path(tempfile.mkdtemp(dir=folder)) / name)
        ways = {
            "bare": lambda: [args.bare, "bare", str(path)],
            "audit snapshot": lambda: [*snapshot, new("snapshot.cas")],
            "audit snapshot --detail conversations": lambda: [*snapshot, new("sums.cas"), "--detail", "conversations"],
        }
        if shutil.which("sqlite3"):
            ways[".sha3sum"] = lambda: ["sqlite3", "-readonly", str(path), ".sha3sum"]
        found = {name: [] for name in ways}
        for _ in range(args.n):
            for name, command in ways.items():
                found[name].append(run(command()))
        print(f"{args.messages} messages, {path.stat().st_size / 1e6:.0f} MB\n")
        print("| | CPU | x bare | memory |\n|---|---|---|---|")
        bare = statistics.median(cpu for cpu, _ in found["bare"])
        for name, each in found.items():
            cpu, memory = (statistics.median(values) for values in zip(*each))
            print(f"| {name} | {cpu:.2f} s | {cpu / bare:.2f} | {memory:.0f} MB |")


if __name__ == "__main__":
    main()
