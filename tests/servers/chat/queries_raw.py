"""The queries over a connection of the standard library's sqlite3."""

import secrets
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from sqlite3 import Connection

from chat.store import Delete, Insert, Line, Touch, Update, Write


def add(connection: Connection, write: Write) -> int | None:
    match write:
        case Insert():
            return connection.execute(
                "INSERT INTO message (conversation_id, role, content, status, created_at, position)"
                " SELECT ?1, ?2, ?3, ?4, ?5, coalesce(max(position), 0) + 1"
                " FROM message WHERE conversation_id = ?1",
                (write.conversation_id, write.role, write.content, write.status, _now()),
            ).lastrowid
        case Update():
            connection.execute(
                "UPDATE message SET content = ?, status = ? WHERE id = ?",
                (write.content, write.status, write.message_id),
            )
        case Delete():
            connection.execute("DELETE FROM message WHERE id = ?", (write.message_id,))
        case Touch():
            connection.execute(
                "UPDATE conversation SET updated_at = ? WHERE id = ?",
                (_now(), write.conversation_id),
            )
    return None


def apply(connection: Connection, writes: Sequence[Write]) -> list[int]:
    ids = [add(connection, write) for write in writes]
    return [id for id in ids if id is not None]


def history(connection: Connection, conversation_id: str, user_id: int | None) -> list[Line] | None:
    owned = "SELECT 1 FROM conversation WHERE id = ? AND user_id IS ?"
    if connection.execute(owned, (conversation_id, user_id)).fetchone() is None:
        return None
    rows = connection.execute(
        "SELECT id, role, content, status, replace(created_at, ' ', 'T') || '+00:00' FROM message"
        " WHERE conversation_id = ? ORDER BY position, id",
        (conversation_id,),
    )
    return [Line(*row) for row in rows.fetchall()]


def create_conversation(connection: Connection, title: str | None, user_id: int | None) -> str:
    id = uuid.uuid4().hex
    connection.execute(
        "INSERT INTO conversation (id, user_id, title, created_at, updated_at)"
        " VALUES (?1, ?2, ?3, ?4, ?4)",
        (id, user_id, title, _now()),
    )
    return id


def other_conversation(connection: Connection, conversation_id: str) -> str:
    query = "SELECT id FROM conversation WHERE id <> ? ORDER BY created_at DESC LIMIT 1"
    found = connection.execute(query, (conversation_id,)).fetchone()
    return found[0] if found else create_conversation(connection, None, None)


def login(connection: Connection, email: str) -> str:
    found = connection.execute("SELECT token FROM user WHERE email = ?", (email,)).fetchone()
    if found:
        return found[0]
    token = secrets.token_urlsafe()
    connection.execute(
        "INSERT INTO user (email, token, created_at) VALUES (?, ?, ?)", (email, token, _now())
    )
    return token


def user_of(connection: Connection, token: str) -> int | None:
    found = connection.execute("SELECT id FROM user WHERE token = ?", (token,)).fetchone()
    return found[0] if found else None


def _now() -> str:
    # The form in which SQLAlchemy stores a datetime, so that all stacks share one file.
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
