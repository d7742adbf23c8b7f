"""Which database the server stores in, as an SQLAlchemy URL: the environment's, unless the mode forgets it."""

import os
import sqlite3
from pathlib import Path
from typing import Any

# One for the whole process; it is gone with the last connection, so the first one is kept.
MEMORY = "file:chat?mode=memory&cache=shared"
_kept: list[sqlite3.Connection] = []
_DRIVERS = {"postgres": "postgresql+pg8000", "mysql": "mysql+pymysql"}


def url_of(mode: str) -> str:
    if mode == "in_memory":
        _kept.append(sqlite3.connect(MEMORY, uri=True))
        return f"sqlite:///{MEMORY}&uri=true"
    given = os.environ.get("DATABASE_URL", "")
    scheme, _, rest = given.partition(":")
    if scheme in _DRIVERS:
        return f"{_DRIVERS[scheme]}:{rest}"
    path = os.environ["DATABASE_PATH"]
    if mode == "ephemeral_path":
        # As a container without a volume starts: with a file system that has no database.
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(path + ending).unlink(missing_ok=True)
    return f"sqlite:///{path}"


def is_file(url: str) -> bool:
    return url.startswith("sqlite:")


def arguments(url: str, busy_timeout: float) -> dict[str, Any]:
    """What the driver is told beside the URL."""
    return {"timeout": busy_timeout} if is_file(url) else {}


def connect(url: str, busy_timeout: float) -> sqlite3.Connection:
    """A plain connection to a database of SQLite."""
    path = url.removeprefix("sqlite:///")
    return sqlite3.connect(path, uri=path.startswith("file:"), timeout=busy_timeout)
