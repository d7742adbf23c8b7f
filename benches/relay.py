#!/usr/bin/env python3
"""What the way through the proxy gate costs while nothing is withheld, next to the direct way and PgBouncer.

    benches/relay.py --chatctl target/release/chatctl --python target/venv/bin/python

It starts a PostgreSQL server, a PgBouncer and chatctl, all on this machine, and measures in turns, so that load
of the machine meets all of them alike:

    round trip   SELECT 1 on one connection, median of all rounds: through chatctl at most 0.15 ms more
    rate         pgbench --select-only with 8 clients, median of all rounds: at most 10 % below PgBouncer
    memory       resident memory of chatctl with 200 connections: at most 60 MB

Exits 1 when one of the three is missed. Takes psycopg from --python, so run it with that.
"""

import argparse
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import threading
import time

import engines

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROUND_TRIP_MS = 0.15
RATE = 0.9
MEMORY_MB = 60


class Chatctl:
    """A run of verify-stream whose server never answers: its proxy is open, and no gate is closed."""

    def __init__(self, program, url):
        self.port = engines.free_port()
        self.silent = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()
        self.child = subprocess.Popen(
            [program, "verify-stream", "--database-url", url, "--database-listen", f"127.0.0.1:{self.port}",
             "--server", f"http://127.0.0.1:{self.silent.getsockname()[1]}", "--gateway", "127.0.0.1:0",
             "--response-timeout", "1h", "--quiet"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("error: chatctl does not listen")
            time.sleep(0.05)

    def accept(self):
        # Kept open, so that the run waits.
        self.clients = []
        while True:
            self.clients.append(self.silent.accept())

    def memory_mb(self):
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


def round_trips(connection, count):
    times = []
    for _ in range(count):
        began = time.perf_counter()
        connection.execute("SELECT 1").fetchone()
        times.append((time.perf_counter() - began) * 1000)
    return times


def rate(port, seconds):
    done = subprocess.run(
        [engines.program("pgbench"), "-n", "-S", "-c8", "-j2", f"-T{seconds}", "-h127.0.0.1", f"-p{port}", "-Upostgres", "postgres"],
        capture_output=True, text=True, check=True,
    )
    return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])


def main():
    import psycopg

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chatctl", default=str(ROOT / "target/release/chatctl"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each run of pgbench")
    args = parser.parse_args()

    with (
        engines.Postgres(connections=300) as server,
        engines.PgBouncer(server) as pooler,
        Chatctl(args.chatctl, server.url()) as chatctl,
    ):
        ways = {"direct": server.port, "PgBouncer": pooler.port, "chatctl": chatctl.port}
        server.run(engines.program("pgbench"), "-i", "-q", "-h127.0.0.1", f"-p{server.port}", "-Upostgres", "postgres")
        trips, rates = {way: [] for way in ways}, {way: [] for way in ways}
        connections = {
            way: psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable", autocommit=True)
            for way, port in ways.items()
        }
        for _ in range(args.rounds * 10):
            for way, connection in connections.items():
                trips[way] += round_trips(connection, 100)
        for connection in connections.values():
            connection.close()
        for _ in range(args.rounds):
            for way, port in ways.items():
                rates[way].append(rate(port, args.seconds))
        before = chatctl.memory_mb()
        many = [
            psycopg.connect(f"host=127.0.0.1 port={chatctl.port} user=postgres dbname=postgres sslmode=disable")
            for _ in range(200)
        ]
        for connection in many:
            connection.execute("SELECT 1")
        memory = chatctl.memory_mb()
        for connection in many:
            connection.close()

    middle = {way: statistics.median(times) for way, times in trips.items()}
    tps = {way: statistics.median(values) for way, values in rates.items()}
    print("| way | round trip, ms | pgbench, 8 clients, 1/s |\n|---|---|---|")
    for way in ways:
        print(f"| {way} | {middle[way]:.3f} | {tps[way]:.0f} |")
    more, share = middle["chatctl"] - middle["direct"], tps["chatctl"] / tps["PgBouncer"]
    print(f"\nround trip: {more:.3f} ms more than direct; rate: {share:.2f} of PgBouncer's")
    print(f"memory: {before:.0f} MB, with 200 connections {memory:.0f} MB; load {os.getloadavg()[0]:.0f}")
    return 0 if more <= ROUND_TRIP_MS and share >= RATE and memory <= MEMORY_MB else 1


if __name__ == "__main__":
    sys.exit(main())
