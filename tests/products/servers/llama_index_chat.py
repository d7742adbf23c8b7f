"""LlamaIndex's `SimpleChatEngine` behind FastAPI, with its `Memory` in SQL."""

from collections.abc import AsyncIterator

from common import MODEL, options, serve, sqlalchemy_url, streamed
from fastapi import FastAPI
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import Memory
from llama_index.llms.openai_like import OpenAILike
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(sqlalchemy_url("asyncpg", "+aiosqlite"))
model = OpenAILike(model=MODEL, api_base=options.gateway, api_key="x", is_chat_model=True)
app = FastAPI()


def said_in(chat: str) -> Memory:
    return Memory.from_defaults(session_id=chat, async_engine=engine)


@app.post("/chats/{chat}")
async def talk(chat: str, asked: dict[str, str]):
    chats = SimpleChatEngine.from_defaults(llm=model, memory=said_in(chat))

    async def pieces() -> AsyncIterator[str]:
        answer = await chats.astream_chat(asked["message"])
        async for piece in answer.async_response_gen():
            yield piece

    return streamed(pieces())


@app.get("/chats/{chat}")
async def history(chat: str) -> list[dict[str, str]]:
    said = await said_in(chat).aget_all()
    return [{"role": message.role.value, "content": message.content or ""} for message in said]


serve(app)
