//! The stores of `audit_check`: a bad one and a good one for each check.

/// What every store begins with.
pub(crate) const TABLES: &str = "CREATE TABLE conversation (id INTEGER PRIMARY KEY, created_at TEXT);
CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id INTEGER, role TEXT, content TEXT, created_at TEXT, done INTEGER DEFAULT 1);
CREATE INDEX message_conversation ON message (conversation_id);
INSERT INTO conversation VALUES (1, '2026-01-01 09:00:00');";

/// The mapping, unless a row says otherwise.
pub(crate) const MAPPING: &str = "[[store]]
[store.conversation]
table = 'conversation'
created = 'created_at'
[store.message]
table = 'message'
conversation = ['conversation_id']
role = 'role'
content = 'content'
time = 'created_at'
";

/// A check, the rows on which it fires, those on which it is silent, and what it must tell.
pub(crate) struct Row {
    pub(crate) code: &'static str,
    /// What of the mapping this check needs besides the usual.
    pub(crate) mapping: &'static str,
    pub(crate) bad: &'static str,
    pub(crate) good: &'static str,
    /// Cause and count.
    pub(crate) counts: &'static [(&'static str, u64)],
    /// A piece of the evidence.
    pub(crate) names: &'static str,
}

/// A question that was answered.
pub(crate) const ANSWERED: &str = "INSERT INTO message VALUES
    (1, 1, 'user', 'Hello?', '2026-01-01 10:00:00', 1),
    (2, 1, 'assistant', 'Hello.', '2026-01-01 10:00:05', 1);";

/// Every check.
pub(crate) const ROWS: &[Row] = &[
    Row {
        code: "unanswered-turn",
        mapping: "open = '{done} = 0'\nerror = '{done} = 9'\ndeleted = '{done} = 8'\n",
        bad: "INSERT INTO message VALUES
            (1, 1, 'user', 'again', '2026-01-01 10:00:00', 1),
            (2, 1, 'user', 'again', '2026-01-01 10:01:00', 1),
            (3, 1, 'assistant', '', '2026-01-01 10:01:05', 1),
            (4, 1, 'user', 'b', '2026-01-01 11:00:00', 1),
            (5, 1, 'assistant', 'half', '2026-01-01 11:00:00', 0),
            (6, 1, 'user', 'c', '2026-01-01 12:00:00', 1),
            (7, 1, 'assistant', 'no', '2026-01-01 12:00:00', 9),
            (8, 1, 'user', 'd', '2026-01-01 13:00:00', 1),
            (9, 1, 'user', 'e', '2026-01-01 14:00:00', 1), (10, 1, 'user', 'and f', '2026-01-01 14:00:05', 1),
            (11, 1, 'assistant', 'g', '2026-01-01 14:00:09', 1);",
        // A greeting first, a tool's round, several answers, and one that the user deleted.
        good: "INSERT INTO message VALUES
            (1, 1, 'assistant', 'Welcome.', '2026-01-01 10:00:00', 1), (2, 1, 'user', 'a', '2026-01-01 10:01:00', 1),
            (3, 1, 'assistant', '', '2026-01-01 10:01:01', 1), (4, 1, 'tool', '{}', '2026-01-01 10:01:02', 1),
            (5, 1, 'system', 'Be brief.', '2026-01-01 10:01:03', 1), (6, 1, 'assistant', 'b', '2026-01-01 10:01:04', 1),
            (7, 1, 'assistant', 'B', '2026-01-01 10:02:04', 1), (8, 1, 'user', 'c', '2026-01-01 10:03:00', 1),
            (9, 1, 'assistant', 'd', '2026-01-01 10:03:04', 8);",
        counts: &[("asked-again", 1), ("empty", 1), ("open", 1), ("failed", 1), ("no-row", 1), ("went-on", 1)],
        names: "conversation `1`, message `8`",
    },
    Row {
        code: "empty-answer",
        mapping: "",
        bad: "INSERT INTO message VALUES (7, 1, 'assistant', ' ', '2026-01-01 10:00:00', 1);",
        // What calls a tool needs no words; the call itself may be elsewhere.
        good: "INSERT INTO message VALUES (7, 1, 'assistant', '', '2026-01-01 10:00:00', 1),
            (8, 1, 'tool', '{}', '2026-01-01 10:00:01', 1), (9, 1, 'assistant', 'a', '2026-01-01 10:00:02', 1);",
        counts: &[("empty", 1)],
        names: "message `7`",
    },
    Row {
        code: "stuck-streaming",
        mapping: "open = '{done} = 0'\n",
        bad: "INSERT INTO message VALUES (7, 1, 'assistant', 'half', '2026-01-01 10:00:00', 0);",
        // One that was begun just now is under way.
        good: "INSERT INTO message VALUES (7, 1, 'assistant', 'half', datetime('now'), 0);",
        counts: &[("open", 1)],
        names: "message `7`: 4 characters are stored",
    },
    Row {
        code: "stuck-streaming",
        mapping: "open = '{done} = 0'\ntime = 'at'\n",
        bad: "ALTER TABLE message ADD at TEXT; INSERT INTO message VALUES (7, 1, 'assistant', 'half', NULL, 0, NULL);",
        // It is no older than the question.
        good: "ALTER TABLE message ADD at TEXT; INSERT INTO message VALUES
            (6, 1, 'user', 'q', NULL, 1, datetime('now')), (7, 1, 'assistant', 'half', NULL, 0, NULL);",
        counts: &[("undated", 1)],
        names: "message `7`: 4 characters are stored",
    },
    Row {
        code: "stuck-streaming",
        mapping: "status = 'phase'\n",
        bad: "ALTER TABLE message ADD phase TEXT;
            INSERT INTO message VALUES (7, 1, 'assistant', 'half', '2026-01-01 10:00:00', 1, 'streaming');",
        // One just begun, a question that waits, a part that is marked as one, and whole answers.
        good: "ALTER TABLE message ADD phase TEXT; INSERT INTO message VALUES
            (3, 1, 'user', 'q', '2026-01-01 10:00:00', 1, 'pending'), (4, 1, 'assistant', 'a', '2026-01-01 10:00:01', 1, 'incomplete'),
            (5, 1, 'user', 'q', '2026-01-01 10:00:02', 1, NULL), (6, 1, 'assistant', 'a', '2026-01-01 10:00:03', 1, 'done'),
            (7, 1, 'assistant', 'half', datetime('now'), 1, 'streaming');",
        counts: &[("status", 1)],
        names: "message `7`: 4 characters are stored",
    },
    Row {
        code: "orphan-message",
        mapping: "deleted = '{done} = 8'\n",
        bad: "INSERT INTO message VALUES (7, 99, 'user', 'a', '2026-01-01 10:00:00', 1), (8, 99, 'user', 'b', NULL, 1);",
        // Nobody misses what was deleted before.
        good: "INSERT INTO message VALUES (7, 99, 'user', 'a', '2026-01-01 10:00:00', 8);",
        counts: &[("no-conversation", 2)],
        names: "message `7` names conversation `99`",
    },
    Row {
        code: "empty-conversation",
        mapping: "",
        bad: "INSERT INTO conversation VALUES (2, '2026-01-01 09:00:00');",
        good: ANSWERED,
        counts: &[("no-message", 2)],
        names: "conversation `2`",
    },
    Row {
        code: "duplicate-message",
        mapping: "",
        bad: "INSERT INTO message VALUES
            (1, 1, 'user', 'a', '2026-01-01 10:00:00', 1), (2, 1, 'user', 'a', '2026-01-01 10:00:01', 1),
            (3, 1, 'assistant', 'An answer in words.', '2026-01-01 10:00:10', 1),
            (4, 1, 'assistant', 'An answer in words.', '2026-01-01 10:00:40', 1);",
        // People say yes twice, with an answer in between; agents say so to each other; a tool is asked again.
        good: "INSERT INTO message VALUES
            (1, 1, 'user', 'yes', '2026-01-01 10:00:00', 1), (2, 1, 'assistant', 'ok', '2026-01-01 10:00:01', 1),
            (3, 1, 'user', 'yes', '2026-01-01 10:00:01', 1), (4, 1, 'assistant', 'ok', '2026-01-01 10:00:02', 1),
            (5, 1, 'assistant', 'ok', '2026-01-01 10:00:03', 1),
            (6, 1, 'assistant', 'Let me look at it.', '2026-01-01 10:00:03', 1), (7, 1, 'tool', '{}', '2026-01-01 10:00:03', 1),
            (8, 1, 'assistant', 'Let me look at it.', '2026-01-01 10:00:03', 1);",
        counts: &[("user", 1), ("assistant", 1)],
        names: "message `4`: the same as message `3`",
    },
    Row {
        code: "duplicate-conversation",
        mapping: "",
        bad: "INSERT INTO conversation VALUES (2, '2026-01-01 09:00:00'), (3, '2026-01-01 09:00:00');
            INSERT INTO message VALUES
            (1, 1, 'user', 'a', '2026-01-01 10:00:00', 1), (2, 1, 'assistant', 'b', '2026-01-01 10:00:01', 1),
            (3, 1, 'user', 'c', '2026-01-01 10:01:00', 1), (4, 1, 'assistant', 'd', '2026-01-01 10:01:01', 1),
            (5, 1, 'user', 'e', '2026-01-01 10:02:00', 1), (6, 1, 'assistant', 'f', '2026-01-01 10:02:01', 1);
            INSERT INTO message SELECT id + 10, 2, role, content, created_at, 1 FROM message WHERE conversation_id = 1 ORDER BY id DESC;
            INSERT INTO message SELECT id + 20, 3, role, content, '2026-01-02 10:00:00', 1 FROM message WHERE conversation_id = 1;",
        // A greeting, a short talk of the next day, and one that ends otherwise.
        good: "INSERT INTO conversation VALUES (2, '2026-01-01 09:00:00'), (3, '2026-01-01 09:00:00'), (4, '2026-01-01 09:00:00'), (5, '2026-01-01 09:00:00');
            INSERT INTO message VALUES
            (1, 1, 'user', 'hi', '2026-01-01 10:00:00', 1), (2, 1, 'assistant', 'Hello!', '2026-01-01 10:00:01', 1), (3, 1, 'user', 'bye', '2026-01-01 10:00:02', 1),
            (4, 4, 'user', 'a', '2026-01-01 10:01:00', 1), (5, 4, 'assistant', 'b', '2026-01-01 10:01:01', 1),
            (6, 4, 'user', 'c', '2026-01-01 10:02:00', 1), (7, 4, 'assistant', 'd', '2026-01-01 10:02:01', 1);
            INSERT INTO message SELECT id + 10, 2, role, content, created_at, 1 FROM message WHERE conversation_id = 1;
            INSERT INTO message SELECT id + 20, 3, role, content, '2026-01-02 10:00:00', 1 FROM message WHERE conversation_id = 4;
            INSERT INTO message SELECT id + 30, 5, role, content, created_at, 1 FROM message WHERE conversation_id = 4 AND id < 7;
            INSERT INTO message VALUES (50, 5, 'assistant', 'D', '2026-01-01 10:02:01', 1);",
        counts: &[("copied", 1), ("alike", 1)],
        names: "conversation `2`: the same 6 messages as conversation `1`",
    },
    Row {
        code: "order-tied",
        mapping: "order = ['created_at']\n",
        bad: "INSERT INTO message VALUES
            (1, 1, 'user', 'a', '2026-01-01 10:00:00', 1), (2, 1, 'assistant', 'b', '2026-01-01 10:00:00', 1);",
        // The user's first words come with the system's.
        good: "INSERT INTO message VALUES
            (1, 1, 'system', 'a', '2026-01-01 10:00:00', 1), (2, 1, 'user', 'b', '2026-01-01 10:00:00', 1);",
        counts: &[("same-time", 1)],
        names: "the same time as message",
    },
    Row {
        code: "time-runs-backwards",
        mapping: "",
        bad: "INSERT INTO message VALUES
            (1, 1, 'user', 'a', '2026-01-01 10:00:00', 1), (2, 1, 'assistant', 'b', '2026-01-01 09:59:00', 1);",
        // Within a second two clocks may differ.
        good: "INSERT INTO message VALUES
            (1, 1, 'user', 'a', '2026-01-01 10:00:00.9', 1), (2, 1, 'assistant', 'b', '2026-01-01 10:00:00.1', 1);",
        counts: &[("earlier", 1)],
        names: "message `2`: 60 s before message `1`",
    },
    Row {
        code: "role-unknown",
        mapping: "",
        bad: "INSERT INTO message VALUES (7, 1, 'narrator', 'a', NULL, 1), (8, 1, NULL, 'a', NULL, 1);",
        good: "INSERT INTO message VALUES (7, 1, 'system', 'a', NULL, 1), (8, 1, 'Human', 'a', NULL, 1);",
        counts: &[("unknown", 1), ("missing", 1)],
        names: "role `narrator`",
    },
    Row {
        code: "replacement-character",
        mapping: "",
        bad: "INSERT INTO message VALUES (7, 1, 'user', 'caf\u{fffd}', NULL, 1), (8, 1, 'user', 'so ????', NULL, 1);",
        good: "INSERT INTO message VALUES (7, 1, 'user', 'café, really????', NULL, 1);",
        counts: &[("replaced", 1), ("question-marks", 1)],
        names: "message `7`: at byte 3 of 6",
    },
    Row {
        code: "truncated-answer",
        mapping: "content = 'body'\n",
        bad: "ALTER TABLE message ADD body VARCHAR(20);
            INSERT INTO message VALUES (7, 1, 'assistant', '', NULL, 1, 'exactly twenty chars'),
            (8, 1, 'assistant', '', NULL, 1, '```sh' || char(10) || 'ls'), (9, 1, 'user', '', NULL, 1, 'caf\u{fffd}');",
        good: "ALTER TABLE message ADD body VARCHAR(20);
            INSERT INTO message VALUES (6, 1, 'assistant', '', NULL, 1, 'And this is the end.'), (7, 1, 'assistant', '', NULL, 1, 'nineteen characters'),
            (8, 1, 'assistant', '', NULL, 1, '```' || char(10) || 'ls' || char(10) || '```');",
        counts: &[("length-limit", 1), ("open-code-fence", 1), ("half-a-character", 1)],
        names: "message `7`: 20 characters",
    },
    Row {
        code: "undecodable-content",
        mapping: "content = 'content::$.text'\n",
        bad: "INSERT INTO message VALUES (7, 1, 'user', '{text: broken}', NULL, 1);",
        good: "INSERT INTO message VALUES (7, 1, 'user', '{\"text\": \"a\"}', NULL, 1);",
        counts: &[("undecodable", 1)],
        names: "it begins with `{text: broken}`",
    },
    Row {
        code: "truncated-answer",
        mapping: "content = 'content::$.text'\n",
        bad: "INSERT INTO message VALUES (7, 1, 'user', '{\"text\": \"cut of', NULL, 1),
            (8, 1, 'user', '{\"text\": \"so \\ud83d\"}', NULL, 1), (9, 1, 'assistant', '{\"text\": \"{\\\"a\\\": [\"}', NULL, 1);",
        good: "INSERT INTO message VALUES (7, 1, 'user', '{\"text\": \"a\"}', NULL, 1),
            (8, 1, 'user', '{\"text\": \"so \\ud83d\\ude00\"}', NULL, 1), (9, 1, 'assistant', '{\"text\": \"{\\\"a\\\": []}\"}', NULL, 1);",
        counts: &[("json-ends", 1), ("half-a-character", 1), ("open-json", 1)],
        names: "message `7`",
    },
    Row {
        code: "error-text-as-answer",
        mapping: "error = '{done} = 9'\n",
        bad: "INSERT INTO message VALUES
            (1, 1, 'assistant', 'Internal Server Error', NULL, 1),
            (2, 1, 'assistant', '{\"error\": {\"message\": \"overloaded\"}}', NULL, 1),
            (3, 1, 'assistant', 'openai.RateLimitError: slow down', NULL, 1);",
        // Words about errors, and a user who shows one.
        good: "INSERT INTO message VALUES
            (1, 1, 'user', 'Internal Server Error', NULL, 1),
            (2, 1, 'assistant', 'An Internal Server Error means that …', NULL, 1),
            (3, 1, 'assistant', 'openai.chat is a module', NULL, 1),
            (4, 1, 'assistant', '{\"error\": false}', NULL, 1),
            (5, 1, 'assistant', 'Internal Server Error (500) means that …', NULL, 1),
            (6, 1, 'assistant', 'Internal Server Error', NULL, 9);",
        counts: &[("error-text", 3)],
        names: "it begins with `Internal Server Error`",
    },
    Row {
        code: "branch-broken",
        mapping: "parent = 'parent'\n",
        bad: "ALTER TABLE message ADD parent INTEGER;
            INSERT INTO message VALUES (1, 1, 'user', 'a', NULL, 1, 99),
            (2, 1, 'user', 'b', NULL, 1, 3), (3, 1, 'assistant', 'c', NULL, 1, 2);",
        good: "ALTER TABLE message ADD parent INTEGER;
            INSERT INTO message VALUES (1, 1, 'user', 'a', NULL, 1, NULL), (2, 1, 'assistant', 'b', NULL, 1, 1),
            (3, 1, 'assistant', 'c', NULL, 1, 1), (4, 1, 'user', 'd', NULL, 1, 0),
            (5, 2, 'user', 'A thread that begins at a message of another conversation.', NULL, 1, 2);",
        counts: &[("parent-missing", 1), ("circle", 1)],
        names: "message `1`: its parent is message `99`",
    },
    Row {
        code: "foreign-keys-off",
        mapping: "table = 'kept'\n",
        bad: "PRAGMA foreign_keys = OFF; CREATE TABLE kept (id INTEGER PRIMARY KEY, conversation_id INTEGER REFERENCES conversation (id), role, content, created_at);
            INSERT INTO kept VALUES (7, 99, 'user', 'a', NULL);",
        good: "CREATE TABLE kept (id INTEGER PRIMARY KEY, conversation_id INTEGER REFERENCES conversation (id), role, content, created_at);
            INSERT INTO kept VALUES (7, 1, 'user', 'a', NULL);",
        counts: &[("violated", 1)],
        names: "`kept`: row 7 refers to conversation",
    },
    Row {
        code: "no-index",
        mapping: "",
        bad: "DROP INDEX message_conversation; CREATE INDEX other ON message (role, conversation_id);",
        good: "DROP INDEX message_conversation; CREATE INDEX other ON message (conversation_id, id);",
        counts: &[("full-scan", 1)],
        names: "`message`.`conversation_id`",
    },
];
