"""One question and its answer: what a save strategy works with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from chat.events import Chunk, Done
from chat.provider import Provider, ProviderError
from chat.store import Delete, Handle, Insert, Store, Touch, Update

# The loop itself keeps only weak references to its tasks.
_tasks: set[asyncio.Task[None]] = set()


@dataclass
class Turn:
    store: Store
    provider: Provider
    conversation_id: str
    user_id: int | None
    messages: list[dict[str, str]]
    request_session: Handle | None = None
    parts: list[str] = field(default_factory=list)
    provider_said_done: bool = False
    # What the client calls its request, and whether that came before.
    key: str | None = None
    is_again: bool = False
    after_response: Callable[[], Awaitable[Any]] | None = None

    @property
    def answer(self) -> str:
        return "".join(self.parts)

    async def relay(self) -> AsyncIterator[Chunk]:
        """The provider's chunks; collects the answer on the way."""
        async with aclosing(self.provider.stream(self.messages)) as events:
            async for event in events:
                if isinstance(event, Done):
                    self.provider_said_done = True
                    return
                if event.text:
                    self.parts.append(event.text)
                yield event

    def row(self, content: str | None = None, status: str = "complete") -> Insert:
        text = self.answer if content is None else content
        return Insert(self.conversation_id, "assistant", text, status)

    async def save(self, content: str | None = None) -> int:
        [message_id] = await self.store.write(self.row(content))
        return message_id

    async def update(self, message_id: int) -> None:
        await self.store.write(Update(message_id, self.answer))

    async def touch(self) -> None:
        await self.store.write(Touch(self.conversation_id))

    @asynccontextmanager
    async def placeholder(self, status: str) -> AsyncIterator[int]:
        """A row that exists from the start and goes away when the provider fails."""
        [message_id] = await self.store.write(self.row("", status))
        try:
            yield message_id
        except ProviderError:
            await self.store.write(Delete(message_id))
            raise

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    async def run_after_response(self) -> None:
        if self.after_response is not None:
            await self.after_response()
