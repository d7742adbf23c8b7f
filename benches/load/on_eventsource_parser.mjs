// Many conversations at the same time, as a script on npm's eventsource-parser plays them: BASE COUNT.
// Prints how many answers ended with the final marker.
import { EventSourceParserStream } from "eventsource-parser/stream";

const [base, count] = process.argv.slice(2);

const post = (path, body) =>
  fetch(base + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

async function conversation() {
  const { id } = await (await post("/conversations", { title: "load" })).json();
  const response = await post("/chat", { conversation_id: id, message: "Tell me a story" });
  const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  let text = "";
  for await (const { data } of events) {
    if (data === "[DONE]") return text;
    text += data;
  }
  return undefined;
}

const texts = await Promise.all(Array.from({ length: Number(count) }, conversation));
console.log(texts.filter((text) => text !== undefined).length);
