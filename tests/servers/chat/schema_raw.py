"""The same tables as `schema_orm` makes, in a file of SQLite."""

from collections.abc import Sequence

from chat import database

TABLES = {
    "user": """CREATE TABLE IF NOT EXISTS user (id INTEGER NOT NULL, email VARCHAR(200) NOT NULL, token VARCHAR(200) NOT NULL,
        created_at DATETIME NOT NULL, PRIMARY KEY (id), UNIQUE (email))""",
    "task": """CREATE TABLE IF NOT EXISTS task (id INTEGER NOT NULL, user_id INTEGER, title VARCHAR(200) NOT NULL,
        done BOOLEAN NOT NULL, created_at DATETIME NOT NULL, PRIMARY KEY (id), FOREIGN KEY(user_id) REFERENCES user (id))""",
    "conversation": """CREATE TABLE IF NOT EXISTS conversation (id VARCHAR(32) NOT NULL, user_id INTEGER, title VARCHAR(200),
        created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL, PRIMARY KEY (id), FOREIGN KEY(user_id) REFERENCES user (id))""",
    "message": """CREATE TABLE IF NOT EXISTS message (id INTEGER NOT NULL, conversation_id VARCHAR(32) NOT NULL,
        role VARCHAR(20) NOT NULL, content TEXT NOT NULL, status TEXT NOT NULL, created_at DATETIME NOT NULL,
        position INTEGER NOT NULL, PRIMARY KEY (id), FOREIGN KEY(conversation_id) REFERENCES conversation (id));
        CREATE INDEX IF NOT EXISTS ix_message_conversation_id ON message (conversation_id)""",
}


class RawTables:
    def __init__(self, url: str, busy_timeout: float) -> None:
        self.connection = database.connect(url, busy_timeout)

    def drop(self) -> None:
        for name in reversed(TABLES):
            self.connection.execute(f"DROP TABLE IF EXISTS {name}")

    def create(self, names: Sequence[str]) -> None:
        for name in names:
            self.connection.executescript(TABLES[name])

    def close(self) -> None:
        self.connection.close()
