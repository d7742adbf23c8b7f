"""The two usual ways to answer with server-sent events."""

import re
from collections.abc import AsyncIterator, Callable

from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from chat.wire import Frame

Transport = Callable[[AsyncIterator[Frame], BackgroundTask | None, str], Response]


def starlette(frames: AsyncIterator[Frame], background: BackgroundTask | None, media: str) -> Response:
    headers = {"cache-control": "no-cache"}
    body = (_encode(frame) async for frame in frames)
    return StreamingResponse(body, headers=headers, media_type=media, background=background)


def sse(frames: AsyncIterator[Frame], background: BackgroundTask | None, media: str) -> Response:
    from sse_starlette import EventSourceResponse, ServerSentEvent

    body = (ServerSentEvent(frame.data, event=frame.event, id=frame.id) async for frame in frames)
    return EventSourceResponse(body, media_type=media, background=background)


def _encode(frame: Frame) -> str:
    event = f"event: {frame.event}\n" if frame.event else ""
    number = f"id: {frame.id}\n" if frame.id else ""
    lines = re.split(r"\r\n|\r|\n", frame.data)
    return event + number + "".join(f"data: {line}\n" for line in lines) + "\n"


def load(name: str) -> Transport:
    if name == "starlette":
        return starlette
    # Imported at the start, not by the first chat: calibration would see it as slowness.
    import sse_starlette  # noqa: F401

    return sse
