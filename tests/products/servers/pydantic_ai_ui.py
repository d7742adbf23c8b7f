"""Pydantic AI's adapters for the AI SDK's stream and for AG-UI; what is said is stored in `on_complete`."""

import sqlite3

import psycopg
from common import MODEL, is_postgres, options, serve
from fastapi import FastAPI, Request
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.ui.ag_ui import AGUIAdapter
from pydantic_ai.ui.vercel_ai import VercelAIAdapter
from starlette.concurrency import run_in_threadpool

agent = Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=options.gateway, api_key="x")))
app = FastAPI()


def run(sql: str, *values: str) -> list[tuple]:
    if is_postgres():
        with psycopg.connect(options.database) as db:
            cursor = db.execute(sql.replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []
    with sqlite3.connect(options.database) as db:
        return db.execute(sql, values).fetchall()


def keep(chat: str, question: str, answer: str) -> None:
    insert = "INSERT INTO message (chat, role, content) VALUES (?, 'user', ?), (?, 'assistant', ?)"
    run(insert, chat, question, chat, answer)


async def answer(adapter, request: Request, chat: str, question: str):
    async def on_complete(result) -> None:
        await run_in_threadpool(keep, chat, question, result.output)

    return await adapter.dispatch_request(request, agent=agent, on_complete=on_complete)


@app.post("/api/chat")
async def vercel(request: Request):
    asked = await request.json()
    return await answer(VercelAIAdapter, request, asked["id"], asked["messages"][-1]["parts"][0]["text"])


@app.post("/agent")
async def ag_ui(request: Request):
    asked = await request.json()
    return await answer(AGUIAdapter, request, asked["threadId"], asked["messages"][-1]["content"])


@app.get("/chats/{chat}")
def history(chat: str) -> list[dict[str, str]]:
    rows = run("SELECT role, content FROM message WHERE chat = ? ORDER BY id", chat)
    return [{"role": role, "content": content} for role, content in rows]


key = "serial PRIMARY KEY" if is_postgres() else "INTEGER PRIMARY KEY"
run(f"CREATE TABLE IF NOT EXISTS message (id {key}, chat TEXT, role TEXT, content TEXT)")
serve(app)
