"""The four tables. Importing this module registers all of them with SQLModel.metadata."""

import uuid
from datetime import UTC, datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel


def now() -> datetime:
    return datetime.now(UTC)


class User(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    email: str = Field(unique=True)
    token: str
    created_at: datetime = Field(default_factory=now)


class Task(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    user_id: int | None = Field(default=None, foreign_key="user.id")
    title: str
    done: bool = False
    created_at: datetime = Field(default_factory=now)


class Conversation(SQLModel, table=True):
    # Not a counter: after a dropped database an old id must not name a new conversation.
    id: str = Field(default_factory=lambda: uuid.uuid4().hex, primary_key=True)
    user_id: int | None = Field(default=None, foreign_key="user.id")
    title: str | None = None
    created_at: datetime = Field(default_factory=now)
    updated_at: datetime = Field(default_factory=now)


class Message(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    conversation_id: str = Field(foreign_key="conversation.id", index=True)
    role: str
    content: str = Field(sa_type=Text)
    status: str = Field(default="complete", sa_type=Text)
    created_at: datetime = Field(default_factory=now)
    position: int
