//! Real chats in which nothing is wrong, though much of it looks so at first.

/// The columns of the usual table, and what branches and deletes.
pub(crate) const MAPPING: &str =
    "parent = 'parent'\nopen = '{done} = 0'\nerror = '{done} = 9'\ndeleted = '{done} = 8'\n";

/// Conversations of every kind; each says what it is.
pub(crate) const CHATS: &str = "ALTER TABLE message ADD parent INTEGER;
INSERT INTO conversation (id) VALUES (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14);
-- An answer that was made again, and the talk that goes on from the second one.
INSERT INTO message VALUES (10, 1, 'user', 'Name a colour.', '2026-01-01 10:00:00', 1, NULL),
    (11, 1, 'assistant', 'Blue is a colour, and the sky is of it.', '2026-01-01 10:00:02', 1, 10),
    (12, 1, 'assistant', 'Blue is a colour, and the sky is of it.', '2026-01-01 10:00:20', 1, 10),
    (13, 1, 'user', 'Another?', '2026-01-01 10:01:00', 1, 12), (14, 1, 'assistant', 'Red.', '2026-01-01 10:01:02', 1, 13);
-- A question that was edited: two beginnings.
INSERT INTO message VALUES (20, 2, 'user', 'Waht is it?', '2026-01-01 10:00:00', 1, NULL), (21, 2, 'assistant', 'What?', '2026-01-01 10:00:02', 1, 20),
    (22, 2, 'user', 'What is it?', '2026-01-01 10:00:30', 1, NULL), (23, 2, 'assistant', 'A chat.', '2026-01-01 10:00:32', 1, 22);
-- A tool that is asked until it has an answer; its calls are kept elsewhere.
INSERT INTO message VALUES (30, 3, 'user', 'Is it done?', '2026-01-01 10:00:00', 1, NULL), (31, 3, 'assistant', 'Let me look at the job.', '2026-01-01 10:00:01', 1, 30),
    (32, 3, 'tool', '{\"state\": \"runs\"}', '2026-01-01 10:00:02', 1, 31), (33, 3, 'assistant', 'Let me look at the job.', '2026-01-01 10:00:03', 1, 32),
    (34, 3, 'tool', '{\"state\": \"runs\"}', '2026-01-01 10:00:04', 1, 33), (35, 3, 'assistant', '', '2026-01-01 10:00:05', 1, 34),
    (36, 3, 'tool', '{\"state\": \"done\"}', '2026-01-01 10:00:06', 1, 35), (37, 3, 'assistant', 'It is.', '2026-01-01 10:00:07', 1, 36);
-- The assistant speaks first, and the system in between; both sides begin in one second with it.
INSERT INTO message VALUES (40, 4, 'system', 'You help.', '2026-01-01 10:00:00', 1, NULL), (41, 4, 'assistant', 'Hello! How can I help?', '2026-01-01 10:00:00', 1, 40),
    (42, 4, 'user', 'Translate: bonjour', '2026-01-01 10:00:09', 1, 41), (43, 4, 'system', 'Be brief.', '2026-01-01 10:00:09', 1, 42),
    (44, 4, 'assistant', 'Hello.', '2026-01-01 10:00:11', 1, 43);
-- Agents talk to each other, and agree.
INSERT INTO message VALUES (50, 5, 'user', 'Write a poem.', '2026-01-01 10:00:00', 1, NULL), (51, 5, 'assistant', 'Roses are red.', '2026-01-01 10:00:01', 1, 50),
    (52, 5, 'assistant', 'APPROVE', '2026-01-01 10:00:02', 1, 51), (53, 5, 'assistant', 'APPROVE', '2026-01-01 10:00:03', 1, 52), (54, 5, 'assistant', 'TERMINATE', '2026-01-01 10:00:04', 1, 53);
-- What was deleted for the user: an answer, a question with it, and what came after it.
INSERT INTO message VALUES (60, 6, 'user', 'One?', '2026-01-01 10:00:00', 1, NULL), (61, 6, 'assistant', 'Deleted alone.', '2026-01-01 10:00:01', 8, 60),
    (62, 6, 'user', 'Two?', '2026-01-01 10:01:00', 8, 61), (63, 6, 'assistant', '', '2026-01-01 10:01:01', 8, 62);
-- An answer that is being written just now.
INSERT INTO message VALUES (70, 7, 'user', 'Go on.', datetime('now'), 1, NULL), (71, 7, 'assistant', '', datetime('now'), 0, 70);
-- Emphasis, words about errors, JSON that ends, footnotes, code in code.
INSERT INTO message VALUES (80, 8, 'user', 'Why???? It says: Internal Server Error', '2026-01-01 10:00:00', 1, NULL),
    (81, 8, 'assistant', 'Internal Server Error means that the server failed.', '2026-01-01 10:00:01', 1, 80),
    (82, 8, 'user', 'As JSON, please: ```', '2026-01-01 10:01:00', 1, 81), (83, 8, 'assistant', '{\"error\": false}', '2026-01-01 10:01:01', 1, 82),
    (84, 8, 'user', 'And with code?', '2026-01-01 10:02:00', 1, 83),
    (85, 8, 'assistant', '```md' || char(10) || '```sh' || char(10) || 'ls file????.txt' || char(10) || '```' || char(10) || '```', '2026-01-01 10:02:01', 1, 84),
    (86, 8, 'user', 'Where from?', '2026-01-01 10:03:00', 1, 85), (87, 8, 'assistant', '[1] the manual, [2] the source', '2026-01-01 10:03:01', 1, 86);
-- Greetings of one second, as a load test or a Monday makes them.
INSERT INTO message SELECT 90 + n, 9 + n / 3, iif(n % 3 = 1, 'assistant', 'user'), iif(n % 3 = 0, 'hi', iif(n % 3 = 1, 'Hello! How can I help?', 'bye')),
    '2026-01-05 09:00:0' || (n % 3), iif(n % 3 = 2, 8, 1), NULL FROM (SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5);
-- A thread that begins at a message of another conversation.
INSERT INTO message VALUES (110, 11, 'user', 'More about red?', '2026-01-01 11:00:00', 1, 14), (111, 11, 'assistant', 'It is warm.', '2026-01-01 11:00:01', 1, 110);
-- The same question again, after its answer; and a clock that is a little behind.
INSERT INTO message VALUES (120, 12, 'user', 'Status?', '2026-01-01 10:00:00', 1, NULL), (121, 12, 'assistant', 'Green.', '2026-01-01 10:00:01', 1, 120),
    (122, 12, 'user', 'Status?', '2026-01-01 10:00:02', 1, 121), (123, 12, 'assistant', 'Green.', '2026-01-01 10:00:01.5', 1, 122);
-- A reminder: nobody asked.
INSERT INTO message VALUES (130, 13, 'assistant', 'Your report is ready.', '2026-01-01 10:00:00', 1, NULL);
-- Somebody who says it in two messages.
INSERT INTO message VALUES (140, 14, 'user', 'A question.', '2026-01-01 10:00:00', 1, NULL), (141, 14, 'user', 'Is it late?', '2026-01-01 10:00:04', 1, 140),
    (142, 14, 'assistant', 'It is.', '2026-01-01 10:00:06', 1, 141);";
