"""A Chainlit application as its documentation shows it, with the SQLAlchemy data layer.

    DATABASE=chat.db GATEWAY=http://127.0.0.1:9191/v1 CHAINLIT_AUTH_SECRET=x chainlit run chainlit_app.py --headless --port 8000
"""

import os
import sqlite3

import chainlit as cl
import psycopg
from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
from openai import AsyncOpenAI

DATABASE = os.environ["DATABASE"]
IS_POSTGRES = DATABASE.startswith("postgres")
# Of the tables in the documentation those that a chat without files needs.
TABLES = """
CREATE TABLE IF NOT EXISTS users ("id" UUID PRIMARY KEY, "identifier" TEXT NOT NULL UNIQUE, "metadata" JSONB NOT NULL,
    "createdAt" TEXT);
CREATE TABLE IF NOT EXISTS threads ("id" UUID PRIMARY KEY, "createdAt" TEXT, "name" TEXT, "userId" UUID,
    "userIdentifier" TEXT, "tags" TEXT[], "metadata" JSONB);
CREATE TABLE IF NOT EXISTS steps ("id" UUID PRIMARY KEY, "name" TEXT NOT NULL, "type" TEXT NOT NULL, "threadId" UUID NOT NULL,
    "parentId" UUID, "streaming" BOOLEAN NOT NULL, "waitForAnswer" BOOLEAN, "isError" BOOLEAN, "metadata" JSONB,
    "tags" TEXT[], "input" TEXT, "output" TEXT, "createdAt" TEXT, "command" TEXT, "start" TEXT, "end" TEXT,
    "generation" JSONB, "showInput" TEXT, "language" TEXT, "indent" INT, "defaultOpen" BOOLEAN, "autoCollapse" BOOLEAN,
    "modes" JSONB, "icon" TEXT);
CREATE TABLE IF NOT EXISTS elements ("id" UUID PRIMARY KEY, "threadId" UUID, "type" TEXT, "url" TEXT, "chainlitKey" TEXT,
    "name" TEXT NOT NULL, "display" TEXT, "objectKey" TEXT, "size" TEXT, "page" INT, "language" TEXT, "forId" UUID, "mime" TEXT,
    "props" JSONB);
CREATE TABLE IF NOT EXISTS feedbacks ("id" UUID PRIMARY KEY, "forId" UUID NOT NULL, "threadId" UUID, "value" INT NOT NULL,
    "comment" TEXT);
"""

if IS_POSTGRES:
    with psycopg.connect(DATABASE) as made:
        made.execute(TABLES)
    URL = DATABASE.split("://", 1)[1]
    URL = f"postgresql+asyncpg://{URL}"
else:
    with sqlite3.connect(DATABASE) as made:
        made.executescript(TABLES.replace("TEXT[]", "TEXT"))
    URL = f"sqlite+aiosqlite:///{DATABASE}"

client = AsyncOpenAI(base_url=os.environ["GATEWAY"], api_key="x")


@cl.data_layer
def data_layer() -> SQLAlchemyDataLayer:
    return SQLAlchemyDataLayer(conninfo=URL)


@cl.header_auth_callback
def user(_) -> cl.User:
    return cl.User(identifier="user")


@cl.on_message
async def on_message(_: cl.Message) -> None:
    message = cl.Message(content="")
    stream = await client.chat.completions.create(messages=cl.chat_context.to_openai(), model="small", stream=True)
    async for part in stream:
        if part.choices and (token := part.choices[0].delta.content):
            await message.stream_token(token)
    await message.update()
