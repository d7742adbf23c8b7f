"""What the server asks of a database, whatever the stack.

A query is a plain function over a session of the stack (`queries_orm`, `queries_raw`). A Store runs
each query in a transaction of its own; a Handle is one session that the caller keeps and commits.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Insert:
    conversation_id: str
    role: str
    content: str
    status: str = "complete"


@dataclass(frozen=True)
class Update:
    message_id: int
    content: str
    status: str = "complete"


@dataclass(frozen=True)
class Delete:
    message_id: int


@dataclass(frozen=True)
class Touch:
    conversation_id: str


Write = Insert | Update | Delete | Touch


@dataclass(frozen=True)
class Line:
    """One stored message as the history shows it."""

    id: int
    role: str
    content: str
    status: str
    created_at: str


class Queries(Protocol):
    def add(self, session: Any, write: Write) -> Any: ...
    def apply(self, session: Any, writes: Sequence[Write]) -> list[int]: ...
    def history(
        self, session: Any, conversation_id: str, user_id: int | None
    ) -> list[Line] | None: ...
    def create_conversation(self, session: Any, title: str | None, user_id: int | None) -> str: ...
    def other_conversation(self, session: Any, conversation_id: str) -> str: ...
    def login(self, session: Any, email: str) -> str: ...
    def user_of(self, session: Any, token: str) -> int | None: ...


class Runner(ABC):
    queries: Queries

    @abstractmethod
    async def run(self, query: Callable[..., Any], *args: Any) -> Any: ...

    async def write(self, *writes: Write) -> list[int]:
        """Executes the writes; returns the ids of the inserted messages."""
        return await self.run(self.queries.apply, writes)

    async def history(self, conversation_id: str, user_id: int | None) -> list[Line] | None:
        """None when the user has no such conversation."""
        return await self.run(self.queries.history, conversation_id, user_id)


class Handle(Runner):
    """`run` leaves the transaction open."""

    async def add(self, write: Write) -> None:
        """Like SQLAlchemy's Session.add: an ORM writes at the commit, a plain driver now."""
        await self.run(self.queries.add, write)

    @abstractmethod
    async def commit(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    async def __aenter__(self) -> "Handle":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Store(Runner):
    """`run` commits."""

    @abstractmethod
    def open(self) -> Handle: ...

    @abstractmethod
    async def dispose(self) -> None: ...


def open_store(stack: str, url: str, busy_timeout: float) -> Store:
    # Imported here, so that a start pays only for the stack it uses.
    match stack:
        case "sync":
            from chat.stack_sync import SyncStore as chosen
        case "async":
            from chat.stack_async import AsyncStore as chosen
        case "threads":
            from chat.stack_threads import ThreadsStore as chosen
        case _:
            from chat.stack_raw import RawStore as chosen
    return chosen(url, busy_timeout)
