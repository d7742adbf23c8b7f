"""A LangGraph graph behind FastAPI, with its checkpointers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common import MODEL, is_postgres, options, serve
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

model = ChatOpenAI(model=MODEL, base_url=options.gateway, api_key="x")


async def answer(state: MessagesState) -> dict:
    return {"messages": [await model.ainvoke(state["messages"])]}


@asynccontextmanager
async def lifespan(app: FastAPI):
    saver = AsyncPostgresSaver if is_postgres() else AsyncSqliteSaver
    async with saver.from_conn_string(options.database) as checkpointer:
        await checkpointer.setup()
        graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer")
        app.state.graph = graph.compile(checkpointer=checkpointer)
        yield


app = FastAPI(lifespan=lifespan)


def of(thread: str) -> dict:
    return {"configurable": {"thread_id": thread}}


@app.post("/threads/{thread}/runs/stream")
async def stream(thread: str, asked: dict[str, str], request: Request) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        said = {"messages": [HumanMessage(asked["message"])]}
        async for chunk, about in request.app.state.graph.astream(said, of(thread), stream_mode="messages"):
            data = [{"type": chunk.type, "id": chunk.id, "content": chunk.content}, {"langgraph_node": about["langgraph_node"]}]
            yield f"event: messages\ndata: {json.dumps(data)}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.get("/threads/{thread}/messages")
async def history(thread: str, request: Request) -> list[dict]:
    state = await request.app.state.graph.aget_state(of(thread))
    roles = {"human": "user", "ai": "assistant"}
    return [{"role": roles[m.type], "content": m.content} for m in state.values.get("messages", [])]


serve(app)
