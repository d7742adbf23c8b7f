"""The four tables. Importing this module registers all of them with SQLModel.metadata."""

import uuid
from datetime import UTC, datetime

from sqlalchemy import DateTime, Text
from sqlmodel import Field, SQLModel


def now() -> datetime:
    return datetime.now(UTC)


class User(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    # MySQL makes no VARCHAR without a length.
    email: str = Field(unique=True, max_length=200)
    token: str = Field(max_length=200)
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))


class Task(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    user_id: int | None = Field(default=None, foreign_key="user.id")
    title: str = Field(max_length=200)
    done: bool = False
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))


class Conversation(SQLModel, table=True):
    # Not a counter: after a dropped database an old id must not name a new conversation.
    id: str = Field(default_factory=lambda: uuid.uuid4().hex, primary_key=True, max_length=32)
    user_id: int | None = Field(default=None, foreign_key="user.id")
    title: str | None = Field(default=None, max_length=200)
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))


class Message(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    conversation_id: str = Field(foreign_key="conversation.id", index=True, max_length=32)
    role: str = Field(max_length=20)
    content: str = Field(sa_type=Text)
    status: str = Field(default="complete", sa_type=Text)
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))
    position: int
