"""The tables as SQLAlchemy makes them."""

from collections.abc import Sequence

from sqlalchemy import create_engine

from chat import database
from chat.models import Base


class OrmTables:
    def __init__(self, url: str, busy_timeout: float) -> None:
        arguments = database.arguments(url, busy_timeout)
        self.engine = create_engine(database.sync(url), connect_args=arguments)

    def drop(self) -> None:
        Base.metadata.drop_all(self.engine)

    def create(self, names: Sequence[str]) -> None:
        tables = Base.metadata.tables
        Base.metadata.create_all(self.engine, tables=[tables[name] for name in names])

    def close(self) -> None:
        self.engine.dispose()
