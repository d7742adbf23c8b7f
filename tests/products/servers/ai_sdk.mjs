// The AI SDK on Node's own http server, with the persistence of its documentation (docs/04-ai-sdk-ui/
// 03-chatbot-message-persistence.mdx of the package): `--save dropped` as it is written there, `--save awaited`
// with the promise of `saveChat` handed on.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { convertToModelMessages, pipeUIMessageStreamToResponse, streamText, toUIMessageStream } from "ai";

const { values: options } = parseArgs({
  options: {
    port: { type: "string" },
    gateway: { type: "string" },
    database: { type: "string" },
    save: { type: "string", default: "dropped" },
  },
});
const drivers = createRequire(`${process.env.CHATCTL_TEST_NODE}/`);

const TABLE = `CREATE TABLE IF NOT EXISTS message (id TEXT PRIMARY KEY, chat_id TEXT NOT NULL, role TEXT NOT NULL,
  parts TEXT NOT NULL, position INTEGER NOT NULL)`;
const INSERT = "INSERT INTO message VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";
const SELECT = "SELECT id, role, parts FROM message WHERE chat_id = $1 ORDER BY position";

/** Runs a statement, by the driver that the URL names. */
async function connect(url) {
  if (url.startsWith("postgres")) {
    const pg = drivers("pg");
    const pool = new pg.Pool({ connectionString: url });
    return async (sql, values = []) => (await pool.query(sql, values)).rows;
  }
  const Sqlite = drivers("better-sqlite3");
  const db = new Sqlite(url);
  db.pragma("journal_mode = wal");
  return async (sql, values = []) => {
    const statement = db.prepare(sql.replace(/\$\d/g, "?"));
    return statement.reader ? statement.all(values) : statement.run(values);
  };
}

const query = await connect(options.database);
await query(TABLE);
const provider = createOpenAICompatible({ name: "gateway", baseURL: options.gateway, apiKey: "x" });

async function saveChat({ chatId, messages }) {
  for (const [position, { id, role, parts }] of messages.entries()) {
    await query(INSERT, [id, chatId, role, JSON.stringify(parts), position]);
  }
}

async function chat(request, response) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { id: chatId, messages } = JSON.parse(body);
  const result = streamText({
    model: provider("small"),
    messages: await convertToModelMessages(messages),
  });
  const onEnd = {
    dropped: ({ messages }) => {
      saveChat({ chatId, messages });
    },
    awaited: ({ messages }) => saveChat({ chatId, messages }),
  }[options.save];
  pipeUIMessageStreamToResponse({
    response,
    stream: toUIMessageStream({
      stream: result.stream,
      originalMessages: messages,
      generateMessageId: () => crypto.randomUUID(),
      onEnd,
    }),
  });
}

async function history(chatId, response) {
  const rows = await query(SELECT, [chatId]);
  const messages = rows.map((row) => ({ ...row, parts: JSON.parse(row.parts) }));
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(messages));
}

const server = createServer((request, response) => {
  const done = request.method === "POST" ? chat(request, response) : history(request.url.split("/")[2] ?? "", response);
  done.catch((error) => response.writeHead(500).end(String(error)));
});
server.listen(Number(options.port), "127.0.0.1");
