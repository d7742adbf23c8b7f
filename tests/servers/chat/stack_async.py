"""SQLAlchemy's AsyncSession on aiosqlite, or on a driver of a database server."""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from chat import database, queries_orm
from chat.store import Handle, Store


class AsyncHandle(Handle):
    queries = queries_orm

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def run(self, query: Callable[..., Any], *args: Any) -> Any:
        return await self.session.run_sync(query, *args)

    async def commit(self) -> None:
        await self.session.commit()

    async def close(self) -> None:
        # As in `async with AsyncSession()`: a cancelled request still gives its connection back.
        await asyncio.shield(asyncio.create_task(self.session.close()))


class AsyncStore(Store):
    queries = queries_orm

    def __init__(self, url: str, busy_timeout: float) -> None:
        arguments = database.arguments(url, busy_timeout)
        url = url.replace("sqlite:", "sqlite+aiosqlite:", 1)
        self.engine = create_async_engine(url, connect_args=arguments)

    async def run(self, query: Callable[..., Any], *args: Any) -> Any:
        async with AsyncSession(self.engine) as session:
            result = await session.run_sync(query, *args)
            await session.commit()
            return result

    def open(self) -> Handle:
        return AsyncHandle(AsyncSession(self.engine))

    async def dispose(self) -> None:
        await self.engine.dispose()
