"""A reverse proxy in front of small.py, which it starts.

    python proxy.py --port 8000 [--hold-back] -- ARGUMENTS OF small.py WITHOUT --port

`--hold-back`: it collects each response and passes it on when it is whole, as nginx does with `proxy_buffering`
and a large buffer.
"""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

mark = sys.argv.index("--")
own, inner = sys.argv[1:mark], sys.argv[mark + 1 :]
port = int(own[own.index("--port") + 1])
holds_back = "--hold-back" in own
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    behind = free.getsockname()[1]
small = subprocess.Popen([sys.executable, str(Path(__file__).with_name("small.py")), *inner, "--port", str(behind)])


def up(client: socket.socket, server: socket.socket) -> None:
    while data := client.recv(65536):
        server.sendall(data)


def down(client: socket.socket, server: socket.socket) -> None:
    held = b""
    while data := server.recv(65536):
        held += data
        # A stream has chunks and ends with an empty one; a whole answer passes at once.
        is_stream = b"\r\nTransfer-Encoding: chunked" in held
        if holds_back and is_stream and not held.endswith(b"0\r\n\r\n"):
            continue
        client.sendall(held)
        held = b""
    client.shutdown(socket.SHUT_WR)


def serve(client: socket.socket) -> None:
    try:
        server = socket.create_connection(("127.0.0.1", behind))
    except OSError:
        client.close()
        return
    for way in (up, down):
        threading.Thread(target=quietly, args=(way, client, server), daemon=True).start()


def quietly(way, client: socket.socket, server: socket.socket) -> None:  # noqa: ANN001
    try:
        way(client, server)
    except OSError:
        pass


listener = socket.create_server(("127.0.0.1", port))
while small.poll() is None:
    connection, _ = listener.accept()
    serve(connection)
    time.sleep(0)
