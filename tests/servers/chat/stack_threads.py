"""The standard library's sqlite3 in the threadpool, as SQLAlchemy's sessions are in `stack_sync`, and half of its start."""

import sqlite3
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool

from chat import database
from chat.stack_raw import RawHandle, RawStore


class ThreadsHandle(RawHandle):
    async def run(self, query: Callable[..., Any], *args: Any) -> Any:
        return await run_in_threadpool(query, self.connection, *args)

    async def commit(self) -> None:
        await run_in_threadpool(self.connection.commit)


class ThreadsStore(RawStore):
    async def run(self, query: Callable[..., Any], *args: Any) -> Any:
        return await run_in_threadpool(self._run, query, args)

    def open(self) -> ThreadsHandle:
        return ThreadsHandle(self._connect())

    def _run(self, query: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        connection = self._connect()
        try:
            with connection:
                return query(connection, *args)
        finally:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        return database.connect(self.url, self.busy_timeout, check_same_thread=False)
