"""What chat servers speak to browsers: for each wire the bytes of an answer.

A wire has its media type, what comes first, what a piece of text becomes, and what comes at the
end: the last event is the final marker.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Wire:
    piece: Callable[[str, str], bytes]
    """A piece of text, and all text up to it."""
    end: Callable[[str], list[bytes]]
    error: bytes
    start: list[bytes] = field(default_factory=list)
    media_type: str = "text/event-stream"


def sse(data: Any, event: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {text}\n\n".encode()


def named(data: dict[str, Any]) -> bytes:
    return sse(data, data["type"])


def line(data: Any) -> bytes:
    return json.dumps(data).encode() + b"\n"


def numbered(number: int, kind: str, **more: Any) -> bytes:
    return named({"type": kind, "sequence_number": number, **more})


class Responses:
    """Numbers its events."""

    def __init__(self) -> None:
        self.number = 0

    def event(self, kind: str, **more: Any) -> bytes:
        self.number += 1
        return numbered(self.number - 1, kind, **more)

    def some(self) -> Wire:
        """Those that the client needs; the numbers are those of all."""
        return Wire(
            piece=lambda piece, _: self.event("response.output_text.delta", delta=piece),
            end=lambda _: [numbered(self.number + 3, "response.completed", response={"status": "completed"})],
            error=numbered(1, "response.failed", response={"error": {"message": "it broke"}}),
        )

    def wire(self) -> Wire:
        text = {"item_id": "m", "output_index": 0, "content_index": 0}
        return Wire(
            start=[self.event("response.created", response={"id": "resp_1", "status": "in_progress"})],
            piece=lambda piece, _: self.event("response.output_text.delta", delta=piece, **text),
            end=lambda said: [
                self.event("response.output_text.done", text=said, **text),
                self.event("response.completed", response={"id": "resp_1", "status": "completed"}),
            ],
            error=numbered(1, "response.failed", response={"error": {"message": "it broke"}}),
        )


def after_a_round(name: str) -> Wire:
    """The events of a model, relayed: its first response only calls a tool, and ends as the second one does."""
    relayed = wire(name)
    response = Responses()
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c", "id": "fc"}
    first = {
        "anthropic": lambda: [
            named({"type": "message_start", "message": {"id": "msg_0", "content": []}}),
            named({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c", "name": "f"}}),
            named({"type": "content_block_stop", "index": 0}),
            named({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}),
            named({"type": "message_stop"}),
        ],
        "openai-responses": lambda: [
            response.event("response.created", response={"id": "resp_0", "status": "in_progress"}),
            response.event("response.output_item.done", output_index=0, item=call),
            response.event("response.completed", response={"id": "resp_0", "status": "completed", "output": [call]}),
        ],
        "ollama": lambda: [
            line({"message": {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]}, "done": False}),
            line({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}),
        ],
        "ag-ui": lambda: [
            sse({"type": "RUN_STARTED", "threadId": "t", "runId": "r0"}),
            sse({"type": "RUN_FINISHED", "threadId": "t", "runId": "r0"}),
        ],
    }
    relayed.start = first[name]() + relayed.start
    return relayed


def wire(name: str) -> Wire | None:
    """A wire, new for each answer; none by an unknown name."""
    match name:
        case "vercel-ui":
            return Wire(
                start=[sse({"type": "start", "messageId": "m"}), sse({"type": "text-start", "id": "t"})],
                piece=lambda piece, _: sse({"type": "text-delta", "id": "t", "delta": piece}),
                end=lambda _: [sse({"type": "text-end", "id": "t"}), sse({"type": "finish"}), sse("[DONE]")],
                error=sse({"type": "error", "errorText": "it broke"}),
            )
        case "anthropic":
            return Wire(
                start=[
                    named({"type": "message_start", "message": {"id": "msg_1", "content": []}}),
                    named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                ],
                piece=lambda piece, _: named(
                    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
                ),
                end=lambda _: [
                    named({"type": "content_block_stop", "index": 0}),
                    named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}),
                    named({"type": "message_stop"}),
                ],
                error=named({"type": "error", "error": {"type": "overloaded_error", "message": "it broke"}}),
            )
        case "openai-responses":
            return Responses().wire()
        case "ag-ui":
            return Wire(
                start=[
                    sse({"type": "RUN_STARTED", "threadId": "t", "runId": "r"}),
                    sse({"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}),
                ],
                piece=lambda piece, _: sse({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": piece}),
                end=lambda _: [
                    sse({"type": "TEXT_MESSAGE_END", "messageId": "m"}),
                    sse({"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}),
                ],
                error=sse({"type": "RUN_ERROR", "message": "it broke"}),
            )
        case "langgraph":
            chunk = {"type": "AIMessageChunk", "id": "m"}
            return Wire(
                start=[sse({"run_id": "r", "attempt": 1}, "metadata")],
                piece=lambda piece, _: sse([{**chunk, "content": piece}, {"langgraph_node": "model"}], "messages"),
                end=lambda _: [sse({"messages": []}, "values")],
                error=sse({"error": "ValueError", "message": "it broke"}, "error"),
            )
        case "langserve":
            return Wire(
                start=[sse({"run_id": "r"}, "metadata")],
                piece=lambda piece, _: sse(json.dumps(piece), "data"),
                end=lambda _: [b"event: end\n\n"],
                error=sse({"status_code": 500, "message": "it broke"}, "error"),
            )
        case "gemini":

            def candidate(text: str, **more: str) -> bytes:
                content = {"parts": [{"text": text}], "role": "model"}
                return sse({"candidates": [{"content": content, "index": 0, **more}]})

            return Wire(
                piece=lambda piece, _: candidate(piece),
                end=lambda _: [candidate("", finishReason="STOP")],
                error=sse({"error": {"code": 503, "message": "it broke", "status": "UNAVAILABLE"}}),
            )
        case "ollama":

            def message(text: str, **more: Any) -> bytes:
                return line({"model": "m", "message": {"role": "assistant", "content": text}, "done": False, **more})

            return Wire(
                piece=lambda piece, _: message(piece),
                end=lambda _: [message("", done=True, done_reason="stop")],
                error=line({"error": "it broke"}),
                media_type="application/x-ndjson",
            )
        case "dify":
            ids = {"task_id": "t", "message_id": "m", "conversation_id": "c"}
            return Wire(
                piece=lambda piece, _: sse({"event": "message", **ids, "answer": piece}),
                end=lambda _: [sse({"event": "message_end", **ids, "metadata": {"usage": {}}})],
                error=sse({"event": "error", **ids, "status": 500, "message": "it broke"}),
            )
        case "flowise":
            # As Flowise writes it: a field named `message`, and no blank after `data:`.
            def event(kind: str, data: str) -> bytes:
                return f"message:\ndata:{json.dumps({'event': kind, 'data': data})}\n\n".encode()

            return Wire(
                start=[event("start", "")],
                piece=lambda piece, _: event("token", piece),
                end=lambda _: [event("end", "[DONE]")],
                error=event("error", "it broke"),
            )
        case "anythingllm":

            def chunk_of(kind: str, text: str | None, *, close: bool = False, error: Any = False) -> bytes:
                return sse({"uuid": "u", "type": kind, "textResponse": text, "close": close, "error": error})

            return Wire(
                piece=lambda piece, _: chunk_of("textResponseChunk", piece),
                end=lambda _: [chunk_of("finalizeResponseStream", None, close=True)],
                error=chunk_of("abort", None, close=True, error="it broke"),
            )
        case "text":
            return Wire(
                piece=lambda piece, _: piece.encode(),
                end=lambda _: [b""],
                error=b"",
                media_type="text/plain; charset=utf-8",
            )
        case "anthropic-rounds" | "openai-responses-rounds" | "ollama-rounds" | "ag-ui-rounds":
            return after_a_round(name.removesuffix("-rounds"))
        case "openai-responses-some":
            return Responses().some()
        case "langgraph-parts":
            of_strings = wire("langgraph")
            message = {"type": "AIMessageChunk", "id": "m"}
            of_strings.piece = lambda piece, _: sse(
                [{**message, "content": [{"type": "text", "text": piece, "index": 0}]}, {}], "messages|agent:1b2c"
            )
            return of_strings
        case "ag-ui-snapshot":
            of_pieces = wire("ag-ui")
            of_pieces.start = of_pieces.start[:1]
            of_pieces.piece = lambda *_: b": working\n\n"
            asked = {"id": "q", "role": "user", "content": "?"}
            of_pieces.end = lambda said: [
                sse({"type": "MESSAGES_SNAPSHOT", "messages": [asked, {"id": "m", "role": "assistant", "content": said}]}),
                sse({"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}),
            ]
            return of_pieces
        case "token":
            # Of no product: many servers that are written by hand speak it.
            return Wire(
                piece=lambda piece, _: sse({"token": piece}),
                end=lambda _: [sse({"done": True})],
                error=sse({"error": "it broke"}),
            )
        case "own":
            # Of docs/profiles.md: snapshots in lines, and an end marker of its own.
            return Wire(
                piece=lambda _, said: line({"kind": "answer", "body": {"soFar": said}}),
                end=lambda _: [line({"kind": "bye"})],
                error=line({"kind": "oops", "why": "it broke"}),
                media_type="application/json",
            )
    return None
