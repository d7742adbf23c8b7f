"""LangChain's `RunnableWithMessageHistory` behind FastAPI, with its history in SQL."""

from collections.abc import AsyncIterator

from common import MODEL, options, serve, sqlalchemy_url, streamed
from fastapi import FastAPI
from langchain_community.chat_message_histories import SQLChatMessageHistory
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_openai import ChatOpenAI
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(sqlalchemy_url("asyncpg", "+aiosqlite"))
prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
model = ChatOpenAI(model=MODEL, base_url=options.gateway, api_key="x")
app = FastAPI()


def said_in(chat: str) -> SQLChatMessageHistory:
    return SQLChatMessageHistory(chat, connection=engine)


chain = RunnableWithMessageHistory(prompt | model, said_in, input_messages_key="question", history_messages_key="history")


@app.post("/chats/{chat}")
async def talk(chat: str, asked: dict[str, str]):
    async def pieces() -> AsyncIterator[str]:
        of_chat = {"configurable": {"session_id": chat}}
        async for chunk in chain.astream({"question": asked["message"]}, of_chat):
            yield chunk.content

    return streamed(pieces())


@app.get("/chats/{chat}")
async def history(chat: str) -> list[dict[str, str]]:
    roles = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
    return [{"role": roles[said.type], "content": said.content} for said in await said_in(chat).aget_messages()]


serve(app)
