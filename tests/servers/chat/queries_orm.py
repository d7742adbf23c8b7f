"""The queries over an SQLAlchemy session. The async stack runs the same ones through run_sync."""

import secrets
import uuid
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chat.models import Conversation, Message, User, now
from chat.store import Delete, Insert, Line, Touch, Update, Write


def add(session: Session, write: Write) -> Message | None:
    match write:
        case Insert():
            row = Message(
                conversation_id=write.conversation_id,
                role=write.role,
                content=write.content,
                status=write.status,
                position=_next_position(write.conversation_id),
            )
            session.add(row)
            return row
        case Update():
            row = session.get_one(Message, write.message_id)
            row.content, row.status = write.content, write.status
        case Delete():
            session.delete(session.get_one(Message, write.message_id))
        case Touch():
            session.get_one(Conversation, write.conversation_id).updated_at = now()
    return None


def apply(session: Session, writes: Sequence[Write]) -> list[int]:
    rows = [add(session, write) for write in writes]
    session.flush()
    return [row.id for row in rows if row is not None]


def history(session: Session, conversation_id: str, user_id: int | None) -> list[Line] | None:
    conversation = session.get(Conversation, conversation_id)
    if conversation is None or conversation.user_id != user_id:
        return None
    query = select(Message).where(Message.conversation_id == conversation_id)
    return [_line(row) for row in session.scalars(query.order_by(Message.position, Message.id))]


def create_conversation(session: Session, title: str | None, user_id: int | None) -> str:
    row = Conversation(id=uuid.uuid4().hex, title=title, user_id=user_id)
    session.add(row)
    return row.id


def other_conversation(session: Session, conversation_id: str) -> str:
    query = select(Conversation.id).where(Conversation.id != conversation_id)
    found = session.scalars(query.order_by(Conversation.created_at.desc()).limit(1)).first()
    return found or create_conversation(session, None, None)


def login(session: Session, email: str) -> str:
    user = session.scalars(select(User).where(User.email == email)).first()
    if user is None:
        user = User(email=email, token=secrets.token_urlsafe())
        session.add(user)
    return user.token


def user_of(session: Session, token: str) -> int | None:
    return session.scalars(select(User.id).where(User.token == token)).first()


def _next_position(conversation_id: str):
    # Part of the INSERT, so that two writers never take the same place. In a subquery of its own:
    # MySQL does not read from the very table that it inserts into.
    taken = select(Message.position).where(Message.conversation_id == conversation_id).subquery()
    return select(func.coalesce(func.max(taken.c.position), 0) + 1).scalar_subquery()


def _line(row: Message) -> Line:
    return Line(row.id, row.role, row.content, row.status, row.created_at.isoformat())
