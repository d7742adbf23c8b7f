"""SQLAlchemy's sessions in the threadpool."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from chat import database, queries_orm
from chat.store import Handle, Store


class SyncHandle(Handle):
    queries = queries_orm

    def __init__(self, session: Session) -> None:
        self.session = session

    async def run(self, query: Callable[..., Any], *args: Any) -> Any:
        return await run_in_threadpool(query, self.session, *args)

    async def commit(self) -> None:
        await run_in_threadpool(self.session.commit)

    async def close(self) -> None:
        # Not in the threadpool: a cancelled request is not allowed to wait for it.
        self.session.close()


class SyncStore(Store):
    queries = queries_orm

    def __init__(self, url: str, busy_timeout: float) -> None:
        arguments = database.arguments(url, busy_timeout)
        if database.is_file(url):
            arguments["check_same_thread"] = False
        self.engine = create_engine(url, connect_args=arguments)

    async def run(self, query: Callable[..., Any], *args: Any) -> Any:
        return await run_in_threadpool(self._run, query, args)

    def open(self) -> Handle:
        return SyncHandle(Session(self.engine))

    async def dispose(self) -> None:
        self.engine.dispose()

    def _run(self, query: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        with Session(self.engine) as session:
            result = query(session, *args)
            session.commit()
            return result
