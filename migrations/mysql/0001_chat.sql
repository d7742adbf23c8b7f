-- Users, their tasks, their conversations and the messages in them.
CREATE TABLE user (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email      VARCHAR(320) NOT NULL UNIQUE,
    created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE task (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id    BIGINT NOT NULL,
    title      TEXT NOT NULL,
    done       BOOLEAN NOT NULL DEFAULT FALSE CHECK (done IN (0, 1)),
    created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    INDEX task_of_user (user_id),
    CONSTRAINT task_has_user FOREIGN KEY (user_id) REFERENCES user (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- An id is compared byte by byte: two that differ in case only are two conversations.
CREATE TABLE conversation (
    id         VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    user_id    BIGINT,
    title      VARCHAR(500) NOT NULL DEFAULT '',
    created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    INDEX conversation_of_user (user_id, created_at),
    CONSTRAINT conversation_has_user FOREIGN KEY (user_id) REFERENCES user (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- A position orders the messages: two of them may have the same time. No key here deletes
-- by cascade: whoever removes a conversation says that its messages go.
-- LONGTEXT, as TEXT holds 64 KiB, which an answer may exceed.
CREATE TABLE message (
    id              BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    conversation_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    position        BIGINT NOT NULL CHECK (position >= 0),
    role            VARCHAR(20) NOT NULL CHECK (role IN ('user', 'assistant', 'system', 'tool')),
    content         LONGTEXT NOT NULL,
    status          VARCHAR(20) NOT NULL DEFAULT 'complete' CHECK (status IN ('streaming', 'complete', 'failed')),
    created_at      DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    UNIQUE INDEX message_position (conversation_id, position),
    INDEX message_unfinished (status, created_at),
    CONSTRAINT message_in_conversation FOREIGN KEY (conversation_id) REFERENCES conversation (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
