-- Users, their tasks, their conversations and the messages in them.
CREATE TABLE user (
    id         INTEGER PRIMARY KEY,
    email      TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

CREATE TABLE task (
    id         INTEGER PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES user (id),
    title      TEXT NOT NULL,
    done       INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

-- NOT NULL, as SQLite lets a text key be NULL otherwise, and more than once.
CREATE TABLE conversation (
    id         TEXT NOT NULL PRIMARY KEY,
    user_id    INTEGER REFERENCES user (id),
    title      TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

-- A position orders the messages: two of them may have the same time. No key here deletes
-- by cascade: whoever removes a conversation says that its messages go.
CREATE TABLE message (
    id              INTEGER PRIMARY KEY,
    conversation_id TEXT NOT NULL REFERENCES conversation (id),
    position        INTEGER NOT NULL CHECK (position >= 0),
    role            TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'system', 'tool')),
    content         TEXT NOT NULL,
    status          TEXT NOT NULL DEFAULT 'complete' CHECK (status IN ('streaming', 'complete', 'failed')),
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    UNIQUE (conversation_id, position)
);

CREATE INDEX task_of_user ON task (user_id);
CREATE INDEX conversation_of_user ON conversation (user_id, created_at);
-- What was still streaming when a server stopped is found without reading every message.
CREATE INDEX message_unfinished ON message (created_at) WHERE status = 'streaming';
