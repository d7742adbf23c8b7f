#!/usr/bin/env python3
"""How soon after the final marker `chatctl audit restart --stop kill-at-final` kills the server.

The server writes down when it sent the marker, and then the time, over and over, until it is dead:
what it wrote is the truth that chatctl's own figure is held against. Prints the median and the worst
of both, on a machine that is left alone and next to threads that do nothing as fast as they can,
and in how many rounds the server lived longer than chatctl says (by more than the 0.2 ms that a
signal takes to get to another processor).

    benches/kill.py CHATCTL [ROUNDS]

Needs Python's standard library. Build chatctl with `cargo build --release`.
"""

import contextlib
import json
import multiprocessing
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator

SERVER = pathlib.Path(__file__).parent.parent / "tests/servers/small.py"
SLACK_MS = 0.2


def spin() -> None:
    while True:
        pass


@contextlib.contextmanager
def load(count: int) -> Iterator[None]:
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(count)]
    for one in busy:
        one.start()
    try:
        yield
    finally:
        for one in busy:
            one.kill()
            one.join()


def audit(chatctl: str, folder: pathlib.Path) -> tuple[float, float] | None:
    """What chatctl says and what the server wrote, in milliseconds."""
    marks = folder / "marks"
    start = f"{sys.executable} {SERVER} --db {{database_path}} --port {{port}} --gateway {{gateway_url}} --marks {marks}"
    command = [chatctl, "audit", "restart", "--database-url", f"sqlite:{folder / 'chat.db'}", "--ready", "/health"]
    command += ["--start", start, "--stop", "kill-at-final", "--rounds", "1", "--format", "json"]
    report = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    case = report["cases"][0]
    if case["verdict"] == "violated":
        sys.exit(f"a right server is violated: {case['reason']}")
    sent, last = struct.unpack("qq", marks.read_bytes())
    kills = sum(moment["what"] == "SIGKILL" for moment in case["timeline"])
    # The server was killed before it wrote anything, or too late, and the round was repeated.
    return (case["metrics"]["gap_ms"], (last - sent) / 1e6) if sent and kills == 1 else None


def rounds(chatctl: str, count: int) -> None:
    said, true = [], []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            one = audit(chatctl, pathlib.Path(folder))
        if one:
            said.append(one[0])
            true.append(one[1])
    short = sum(t > s + SLACK_MS for s, t in zip(said, true))
    for what, figures in (("chatctl says", said), ("the server lived", true)):
        print(f"  {what:<17} median {statistics.median(figures):6.2f} ms, worst {max(figures):6.2f} ms")
    print(f"  the server lived longer than chatctl says in {short} of {len(said)} rounds that were not repeated")


def main() -> None:
    chatctl, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 50
    print(f"alone, {count} rounds (load before: {os.getloadavg()[0]:.1f})")
    rounds(chatctl, count)
    busy = 2 * (os.cpu_count() or 1)
    print(f"next to {busy} busy threads, {count} rounds")
    with load(busy):
        rounds(chatctl, count)


if __name__ == "__main__":
    main()
