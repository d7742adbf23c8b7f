"""The standard library's sqlite3, called straight from the event loop: every query blocks it."""

import sqlite3
from collections.abc import Callable
from typing import Any

from chat import database, queries_raw
from chat.store import Handle, Store


class RawHandle(Handle):
    queries = queries_raw

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def run(self, query: Callable[..., Any], *args: Any) -> Any:
        return query(self.connection, *args)

    async def commit(self) -> None:
        self.connection.commit()

    async def close(self) -> None:
        self.connection.close()


class RawStore(Store):
    queries = queries_raw

    def __init__(self, url: str, busy_timeout: float) -> None:
        self.url, self.busy_timeout = url, busy_timeout
        self.connection = self._connect()

    async def run(self, query: Callable[..., Any], *args: Any) -> Any:
        with self.connection:
            return query(self.connection, *args)

    def open(self) -> Handle:
        # A connection of its own: another request's commit must not end this transaction.
        return RawHandle(self._connect())

    async def dispose(self) -> None:
        self.connection.close()

    def _connect(self) -> sqlite3.Connection:
        return database.connect(self.url, self.busy_timeout)
