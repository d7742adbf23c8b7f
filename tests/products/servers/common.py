"""What the servers share: their arguments, and the stream of a plain server."""

import argparse
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi.responses import StreamingResponse

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--database", required=True)
arguments.add_argument("--gateway", required=True)
options = arguments.parse_args()

MODEL = "small"


def is_postgres() -> bool:
    return options.database.startswith("postgres")


def sqlalchemy_url(postgres: str, sqlite: str) -> str:
    """The database's URL as SQLAlchemy wants it, by way of these drivers."""
    if is_postgres():
        return f"postgresql+{postgres}://{options.database.split('://', 1)[1]}"
    return f"sqlite{sqlite}:///{options.database}"


def streamed(pieces: AsyncIterator[str]) -> StreamingResponse:
    """Server-sent events: the pieces, and `[DONE]`."""

    async def events() -> AsyncIterator[str]:
        async for piece in pieces:
            if piece:
                yield f"data: {piece}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def serve(app: Any) -> None:
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")
