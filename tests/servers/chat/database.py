"""Which database the server stores in, as an SQLAlchemy URL: the environment's, unless the mode forgets it."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from uuid import uuid4

# One for the whole process; it is gone with the last connection, so the first one is kept.
MEMORY = "file:chat?mode=memory&cache=shared"
_kept: list[sqlite3.Connection] = []
_ENGINES = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql"}
# Unless DRIVER names another one of the engine's.
_DRIVERS = {
    ("sync", "postgresql"): "pg8000",
    ("async", "postgresql"): "asyncpg",
    ("sync", "mysql"): "pymysql",
    ("async", "mysql"): "aiomysql",
}


def url_of(mode: str, stack: str) -> str:
    if mode == "in_memory":
        _kept.append(sqlite3.connect(MEMORY, uri=True))
        return f"sqlite:///{MEMORY}&uri=true"
    given = os.environ.get("DATABASE_URL", "")
    scheme, _, rest = given.partition(":")
    if scheme in _ENGINES:
        engine = _ENGINES[scheme]
        driver = os.environ.get("DRIVER") or _DRIVERS[stack, engine]
        url = f"{engine}+{driver}:{rest}"
        return _new_database(url) if mode == "ephemeral_path" else url
    path = os.environ.get("DATABASE_PATH") or given.removeprefix("sqlite:///")
    if mode == "ephemeral_path":
        # As a container without a volume starts: with a file system that has no database.
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(path + ending).unlink(missing_ok=True)
    return f"sqlite:///{path}"


def _new_database(url: str) -> str:
    """As a preview deployment does: every start makes a database of its own."""
    # Imported here: the stack `raw` does without it, and it takes a quarter of a start.
    from sqlalchemy import create_engine, make_url, text

    name = f"chat_{uuid4().hex[:8]}"
    engine = create_engine(sync(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def sync(url: str) -> str:
    """The same database for an engine that is not asynchronous, with the driver that is imported in the least time."""
    return url.replace("+asyncpg:", "+psycopg2:").replace("+aiomysql:", "+pymysql:").replace("+asyncmy:", "+pymysql:")


def is_file(url: str) -> bool:
    return url.startswith("sqlite:")


def arguments(url: str, busy_timeout: float) -> dict[str, Any]:
    """What the driver is told beside the URL."""
    return {"timeout": busy_timeout} if is_file(url) else {}


def connect(url: str, busy_timeout: float, **how: Any) -> sqlite3.Connection:
    """A plain connection to a database of SQLite."""
    path = url.removeprefix("sqlite:///")
    return sqlite3.connect(path, uri=path.startswith("file:"), timeout=busy_timeout, **how)
