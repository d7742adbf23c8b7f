"""The OpenAI Agents SDK behind FastAPI, with its own sessions."""

from collections.abc import AsyncIterator

from agents import Agent, OpenAIChatCompletionsModel, Runner, SQLiteSession, set_tracing_disabled
from agents.memory import Session
from common import MODEL, is_postgres, options, serve, sqlalchemy_url, streamed
from fastapi import FastAPI
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=options.gateway, api_key="x")
agent = Agent(name="chat", model=OpenAIChatCompletionsModel(MODEL, client))
app = FastAPI()

if is_postgres():
    from agents.extensions.memory import SQLAlchemySession

    def session(chat: str) -> Session:
        return SQLAlchemySession.from_url(chat, url=sqlalchemy_url("asyncpg", ""), create_tables=True)

else:

    def session(chat: str) -> Session:
        return SQLiteSession(chat, options.database)


@app.post("/chats/{chat}")
async def talk(chat: str, asked: dict[str, str]):
    async def pieces() -> AsyncIterator[str]:
        result = Runner.run_streamed(agent, asked["message"], session=session(chat))
        async for event in result.stream_events():
            if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
                yield event.data.delta

    return streamed(pieces())


@app.get("/chats/{chat}")
async def history(chat: str):
    def text(content) -> str:
        return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)

    items = await session(chat).get_items()
    return [{"role": item["role"], "content": text(item["content"])} for item in items if "role" in item]


serve(app)
