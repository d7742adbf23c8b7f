"""The HTTP server: what it begins and ends with, and the framework that its routes are declared in."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# What an import makes stays: to look for garbage in it takes a tenth of a start.
gc.disable()

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from chat import buffer
from chat.endpoints import begin_store, settings
from chat.modes import MODES
from chat.provider import Provider
from chat.store import Store, Touch

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)

if settings.mode not in MODES:
    raise SystemExit(f"MODE={settings.mode}: expected one of {', '.join(MODES)}")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.settings = settings
    app.state.provider = Provider(settings.gateway_url)
    app.state.store = None if settings.mode == "late_store" else begin_store()
    # The stack is imported by now. What is there is not looked through later either.
    gc.freeze()
    gc.enable()
    beating = asyncio.create_task(beat(app.state.store)) if settings.beat_ms else None
    yield
    if beating is not None:
        beating.cancel()
    if app.state.store is not None:
        await buffer.flush(app.state.store)
        await app.state.store.dispose()
    await app.state.provider.close()


async def beat(store: Store) -> None:
    """As a presence or a job queue does: a small write, over and over, of no chat."""
    while True:
        await asyncio.sleep(settings.beat_ms / 1000)
        await store.write(Touch("nobody"))


# Imported here, so that a start pays only for the framework it uses.
if settings.framework == "fastapi":
    from chat.on_fastapi import make
else:
    from chat.on_starlette import make

app = make(lifespan)
if settings.cors_origin:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[settings.cors_origin],
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
