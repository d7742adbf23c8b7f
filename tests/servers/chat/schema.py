"""Prepares the database at start."""

from collections.abc import Sequence
from typing import Protocol

from chat import database
from chat.settings import Settings


class Tables(Protocol):
    def drop(self) -> None: ...
    def create(self, names: Sequence[str]) -> None: ...
    def close(self) -> None: ...


def prepare(settings: Settings) -> None:
    if database.is_file(settings.database):
        _set_journal(settings)
    tables = open_tables(settings)
    if settings.mode == "hard_reset":
        print("[HARD RESET] Dropping all existing tables...", flush=True)
        tables.drop()
        print("[HARD RESET] All tables dropped successfully", flush=True)
    # As if nobody had imported the models of the chat: their tables are not made, and nothing says so.
    known = ["user", "task"]
    tables.create(known if settings.mode == "missing_models" else [*known, "conversation", "message"])
    tables.close()


def open_tables(settings: Settings) -> Tables:
    # Imported here, so that a start pays only for the stack it uses.
    if settings.stack in ("raw", "threads"):
        from chat.schema_raw import RawTables as chosen
    else:
        from chat.schema_orm import OrmTables as chosen
    return chosen(settings.database, settings.busy_timeout)


def _set_journal(settings: Settings) -> None:
    connection = database.connect(settings.database, settings.busy_timeout)
    connection.execute(f"PRAGMA journal_mode={settings.journal}")
    connection.close()
