// Mastra's agent on Node's own http server, with its memory in LibSQL or PostgreSQL.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Agent } from "@mastra/core/agent";
import { LibSQLStore } from "@mastra/libsql";
import { Memory } from "@mastra/memory";
import { PostgresStore } from "@mastra/pg";

const { values: options } = parseArgs({
  options: { port: { type: "string" }, gateway: { type: "string" }, database: { type: "string" } },
});

const storage = options.database.startsWith("postgres")
  ? new PostgresStore({ connectionString: options.database })
  : new LibSQLStore({ url: `file:${options.database}` });
const memory = new Memory({ storage, options: { lastMessages: 20, threads: { generateTitle: false } } });
const model = { id: "gateway/small", url: options.gateway, apiKey: "x" };
const agent = new Agent({ name: "chat", instructions: "You help with tasks.", model, memory });

async function chat(thread, request, response) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const stream = await agent.stream(JSON.parse(body).message, { memory: { thread, resource: "user" } });
  response.writeHead(200, { "content-type": "text/event-stream" });
  for await (const piece of stream.textStream) response.write(`data: ${piece}\n\n`);
  response.end("data: [DONE]\n\n");
}

async function history(thread, response) {
  const { uiMessages } = await memory.query({ threadId: thread, resourceId: "user" });
  const said = uiMessages.map(({ role, content }) => ({ role, content }));
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(said));
}

const server = createServer((request, response) => {
  const thread = request.url.split("/")[2];
  const done = request.method === "POST" ? chat(thread, request, response) : history(thread, response);
  done.catch((error) => response.writeHead(500).end(String(error)));
});
server.listen(Number(options.port), "127.0.0.1");
