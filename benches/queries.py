#!/usr/bin/env python3
"""How long whoever looks into a store waits: `chatctl inspect` of a million messages.

    benches/queries.py --chatctl target/release/chatctl -n 11 --messages 1000000
    benches/queries.py --url postgres://postgres@127.0.0.1/empty --url mysql://root@127.0.0.1/empty

Without --url a SQLite store is made, or taken from --sqlite. A server's database must be empty and is
filled, or with --filled be the one of an earlier run. Times are of whole processes, medians of n:

    first   until the first line of a message that was found comes out
    CPU     of chatctl alone: on a busy machine it repeats better; a server's is not in it
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
SIZE = 400
# Far from the newest conversations, which are found first.
OLD = chats.key(11)


def ways(messages):
    return {
        "conversations": ["conversations"],
        "show ID": ["show", OLD],
        "show, by the beginning of its ID": ["show", OLD[:9]],
        "search, many hits": ["search", "needle", "--limit", "0"],
        "search, one hit in the middle": ["search", f"{messages // 2} ", "--limit", "0"],
        "search, no hit": ["search", "zeppelin"],
    }


def run(chatctl, url, arguments):
    """Seconds until the first hit, until the end, and of CPU."""
    command = [chatctl, "--quiet", "--format", "json", "--database-url", url, "inspect", *arguments]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = None
    for line in process.stdout:
        if first is None and line.startswith('    {"conversation"'):
            first = time.perf_counter() - began
    told = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}: {told}")
    return first, took, used.ru_utime + used.ru_stime


def measure(args, url):
    print(f"\n{args.messages} messages, {url.split(':')[0]}\n")
    print("| inspect | first | whole | CPU |\n|---|---|---|---|")
    for name, arguments in ways(args.messages).items():
        times = [run(args.chatctl, url, arguments) for _ in range(args.n)]
        cells = [statistics.median(each) if each[0] is not None else None for each in zip(*times)]
        told = " | ".join("–" if cell is None else f"{cell * 1000:.0f} ms" for cell in cells)
        print(f"| {name} | {told} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("-n", type=int, default=11)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--sqlite", type=pathlib.Path, help="a file of an earlier run, or a new one that is kept")
    parser.add_argument("--url", action="append", default=[])
    parser.add_argument("--filled", action="store_true", help="the servers' databases are of an earlier run")
    args = parser.parse_args()
    if not shutil.which(args.chatctl):
        sys.exit(f"no program {args.chatctl}: cargo build --release, or --chatctl")
    with tempfile.TemporaryDirectory() as folder:
        path = args.sqlite or pathlib.Path(folder) / "chat.db"
        urls = args.url or [f"sqlite:{path}"]
        for url in urls:
            if not (args.filled if args.url else path.exists()):
                chats.fill(url, args.messages, SIZE)
            measure(args, url)


if __name__ == "__main__":
    main()
