"""Prepares the database file at start."""

import sqlite3

from sqlalchemy import create_engine
from sqlmodel import SQLModel

from chat import models  # noqa: F401  (registers the tables)
from chat.settings import Settings


def prepare(settings: Settings) -> None:
    _set_journal(settings)
    engine = create_engine(
        f"sqlite:///{settings.database_path}", connect_args={"timeout": settings.busy_timeout}
    )
    if settings.mode == "hard_reset":
        print("[HARD RESET] Dropping all existing tables...", flush=True)
        SQLModel.metadata.drop_all(engine)
        print("[HARD RESET] All tables dropped successfully", flush=True)
    SQLModel.metadata.create_all(engine)
    engine.dispose()


def _set_journal(settings: Settings) -> None:
    connection = sqlite3.connect(settings.database_path, timeout=settings.busy_timeout)
    connection.execute(f"PRAGMA journal_mode={settings.journal}")
    connection.close()
