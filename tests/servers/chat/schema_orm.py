"""The tables as SQLModel makes them."""

from collections.abc import Sequence

from sqlalchemy import create_engine
from sqlmodel import SQLModel

from chat import database, models  # noqa: F401: whoever imports the models has their tables


class OrmTables:
    def __init__(self, url: str, busy_timeout: float) -> None:
        arguments = database.arguments(url, busy_timeout)
        self.engine = create_engine(database.sync(url), connect_args=arguments)

    def drop(self) -> None:
        SQLModel.metadata.drop_all(self.engine)

    def create(self, names: Sequence[str]) -> None:
        tables = SQLModel.metadata.tables
        SQLModel.metadata.create_all(self.engine, tables=[tables[name] for name in names])

    def close(self) -> None:
        self.engine.dispose()
