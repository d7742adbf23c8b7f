"""Prepares the database at start."""

from sqlalchemy import create_engine
from sqlmodel import SQLModel

from chat import database, models
from chat.settings import Settings


def prepare(settings: Settings) -> None:
    if database.is_file(settings.database):
        _set_journal(settings)
    arguments = database.arguments(settings.database, settings.busy_timeout)
    engine = create_engine(database.sync(settings.database), connect_args=arguments)
    if settings.mode == "hard_reset":
        print("[HARD RESET] Dropping all existing tables...", flush=True)
        SQLModel.metadata.drop_all(engine)
        print("[HARD RESET] All tables dropped successfully", flush=True)
    # As if nobody had imported the models of the chat: their tables are not made, and nothing says so.
    known = [models.User.__table__, models.Task.__table__]
    tables = known if settings.mode == "missing_models" else None
    SQLModel.metadata.create_all(engine, tables=tables)
    engine.dispose()


def _set_journal(settings: Settings) -> None:
    connection = database.connect(settings.database, settings.busy_timeout)
    connection.execute(f"PRAGMA journal_mode={settings.journal}")
    connection.close()
