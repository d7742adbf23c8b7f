// A chat server on Node's own `http`, which saves its answers in one of the ways of `modes.js`.
//
//     MODE=after DATABASE_URL=postgres://… GATEWAY_URL=http://127.0.0.1:9191/v1 node server.js 8000
//
// `NODE_PATH` names the folder with the drivers. With `HTTP2=1` it speaks HTTP/2 as well, to whoever begins with it.

"use strict";

const http = require("node:http");
const http2 = require("node:http2");
const net = require("node:net");
const { randomUUID } = require("node:crypto");
const { MODES } = require("./modes.js");
const { openStore } = require("./stores.js");

const mode = MODES[process.env.MODE ?? "correct"];
let store;
// The newest turn of each conversation, which may be stopped.
const newest = new Map();
// What the first request of each key comes to.
const answers = new Map();

/** The texts that the provider sends, one by one. */
async function* answer(messages) {
  const response = await fetch(`${process.env.GATEWAY_URL}/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: "Bearer x" },
    body: JSON.stringify({ model: "small", stream: true, messages }),
  });
  if (!response.ok) throw new Error(`the provider answered ${response.status}`);
  let rest = "";
  let isFinished = false;
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + bytes).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.trim() === "data: [DONE]") return;
      if (!line.startsWith("data: ")) continue;
      for (const choice of JSON.parse(line.slice(6)).choices) {
        if (choice.delta.content) yield choice.delta.content;
        isFinished ||= Boolean(choice.finish_reason);
      }
    }
  }
  if (!isFinished) throw new Error("the provider's stream ended early");
}

async function chat(request, response, { conversation_id: key, message }) {
  const question = ["INSERT", key, "user", message];
  const isAgain = Boolean(mode.isOnceByKey) && answers.has(request.headers["idempotency-key"]);
  if (!mode.storesQuestion && !isAgain) await store.write(question);
  const state = { isStopped: false };
  newest.set(key, state);
  const messages = await store.history(key);
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  let isClosed = false;
  const closed = new Promise((resolve) => response.once("close", resolve)).then(() => (isClosed = true));
  // Resolved when the bytes have left: until then Node keeps them. A stream of HTTP/2 that is closed says nothing of them.
  const send = (text) => isClosed || Promise.race([closed, new Promise((sent) => response.write(text, sent))]);
  const turn = {
    store,
    key,
    text: "",
    row: () => ["INSERT", key, "assistant", turn.text],
    save: () => store.write(turn.row()),
    touch: () => store.write(["TOUCH", key]),
    hasLeft: () => response.destroyed,
    isAborted: () => Boolean(response.stream?.aborted),
    isStopped: () => state.isStopped,
    saveQuestion: () => store.write(question),
    // The text that the request of this key comes to: of the first one that came, if there was one.
    once: (work) => {
      const name = request.headers["idempotency-key"];
      if (!answers.has(name)) answers.set(name, work());
      return answers.get(name);
    },
    done: () => send("data: [DONE]\n\n"),
    async relay(each = async () => {}) {
      for await (const piece of answer(messages)) {
        turn.text += piece;
        await each(piece);
        await turn.send(piece);
      }
    },
    async send(text) {
      const lines = text.split("\n").map((line) => `data: ${line}\n`);
      await send(`${lines.join("")}\n`);
    },
    /** Reads the provider to its end, whoever listens. */
    async collect() {
      let text = "";
      for await (const piece of answer(messages)) text += piece;
      await store.write(["INSERT", key, "assistant", text]);
      return text;
    },
  };
  try {
    await mode(turn);
  } catch (error) {
    console.error(error);
    await send(`event: error\ndata: ${error.message}\n\n`);
  }
  response.end();
}

function reply(response, status, value) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(value));
}

async function handle(request, response) {
  const path = new URL(request.url, "http://localhost").pathname.split("/");
  if (request.method === "GET") {
    return reply(response, 200, path[1] === "conversations" ? await store.history(path[2]) : {});
  }
  let body = "";
  for await (const bytes of request) body += bytes;
  if (path[3] === "stop") {
    if (newest.has(path[2])) newest.get(path[2]).isStopped = true;
    return reply(response, 200, {});
  }
  if (path[1] === "conversations") {
    const id = randomUUID();
    await store.write(["CREATE", id]);
    return reply(response, 201, { id });
  }
  return chat(request, response, JSON.parse(body));
}

async function main() {
  store = await openStore(process.env);
  const onRequest = (request, response) => {
    handle(request, response).catch((error) => {
      console.error(error);
      response.headersSent ? response.destroy() : reply(response, 500, { error: error.message });
    });
  };
  const server = http.createServer(onRequest);
  const listening = process.env.HTTP2 ? either(server, http2.createServer(onRequest)) : server;
  listening.listen(Number(process.argv[2]), "127.0.0.1");
}

/** Gives a connection to the one that speaks as its client begins. */
function either(one, two) {
  return net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("readable", () => {
      const begun = socket.read();
      if (begun === null) return socket.destroy();
      socket.unshift(begun);
      (begun.toString("latin1").startsWith("PRI ") ? two : one).emit("connection", socket);
    });
  });
}

main();
