-- Users, their tasks, their conversations and the messages in them.
CREATE TABLE "user" (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email      text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE task (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES "user" (id),
    title      text NOT NULL,
    done       boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE conversation (
    id         text PRIMARY KEY,
    user_id    bigint REFERENCES "user" (id),
    title      text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A position orders the messages: two of them may have the same time. No key here deletes
-- by cascade: whoever removes a conversation says that its messages go.
CREATE TABLE message (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversation (id),
    position        bigint NOT NULL CHECK (position >= 0),
    role            text NOT NULL CHECK (role IN ('user', 'assistant', 'system', 'tool')),
    content         text NOT NULL,
    status          text NOT NULL DEFAULT 'complete' CHECK (status IN ('streaming', 'complete', 'failed')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (conversation_id, position)
);

CREATE INDEX task_of_user ON task (user_id);
CREATE INDEX conversation_of_user ON conversation (user_id, created_at);
-- What was still streaming when a server stopped is found without reading every message.
CREATE INDEX message_unfinished ON message (created_at) WHERE status = 'streaming';
