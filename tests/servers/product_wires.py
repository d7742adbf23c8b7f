"""The wires of products and protocols, beside those of wires.py."""

import json
from typing import Any

from wires import Wire, line, sse, wire


def wire_named(name: str) -> Wire:
    """A wire of either file."""
    return wire(name) or product_wire(name)


def product_wire(name: str) -> Wire:
    """A wire, new for each answer."""
    match name:
        case "vercel-data":

            def part(code: str, value: Any) -> bytes:
                return f"{code}:{json.dumps(value)}\n".encode()

            usage = {"promptTokens": 3, "completionTokens": 2}
            return Wire(
                start=[part("f", {"messageId": "msg-1"}), part("g", "Milk, then. ")],
                piece=lambda piece, _: part("0", piece),
                end=lambda _: [
                    part("e", {"finishReason": "stop", "usage": usage, "isContinued": False}),
                    part("d", {"finishReason": "stop", "usage": usage}),
                ],
                error=part("3", "it broke"),
                media_type="text/plain; charset=utf-8",
            )
        case "adk":

            def event(parts: list[Any], **more: Any) -> bytes:
                content = {"parts": parts, "role": "model"}
                return sse({"content": content, **more, "invocationId": "e-1", "author": "agent", "id": "a1b2"})

            return Wire(
                start=[event([{"text": "Milk, then. ", "thought": True}], partial=True)],
                piece=lambda piece, _: event([{"text": piece}], partial=True),
                end=lambda said: [event([{"text": "Milk, then. ", "thought": True}, {"text": said}], finishReason="STOP")],
                error=sse({"error": "it broke"}),
            )
        case "a2a":
            ids = {"taskId": "t", "contextId": "c"}

            def result(value: dict[str, Any]) -> bytes:
                return sse({"jsonrpc": "2.0", "id": "1", "result": value})

            def artifact(text: str, **more: Any) -> bytes:
                artifact = {"artifactId": "a", "parts": [{"text": text}]}
                return result({"artifactUpdate": {**ids, "artifact": artifact, **more}})

            def status(state: str, **more: Any) -> bytes:
                return result({"statusUpdate": {**ids, "status": {"state": f"TASK_STATE_{state}", **more}}})

            broken = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "it broke"}]}
            return Wire(
                start=[result({"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}})],
                piece=lambda piece, _: artifact(piece, append=True),
                end=lambda _: [artifact("", append=True, lastChunk=True), status("COMPLETED")],
                error=status("FAILED", message=broken),
            )
        case "mcp":

            def message(value: dict[str, Any]) -> bytes:
                return sse({"jsonrpc": "2.0", **value}, "message")

            return Wire(
                piece=lambda _, said: message(
                    {"method": "notifications/progress", "params": {"progressToken": 1, "progress": len(said)}}
                ),
                end=lambda said: [message({"id": 1, "result": {"content": [{"type": "text", "text": said}]}})],
                error=message({"id": 1, "error": {"code": -32603, "message": "it broke"}}),
            )
        case "librechat":

            def step(kind: str, part: dict[str, Any]) -> bytes:
                return sse({"event": kind, "data": {"id": "step_1", "delta": {"content": [part]}}}, "message")

            return Wire(
                start=[
                    sse({"created": True, "message": {"messageId": "u", "text": "Add a task"}}, "message"),
                    step("on_reasoning_delta", {"type": "think", "think": "Milk, then. "}),
                ],
                piece=lambda piece, _: step("on_message_delta", {"type": "text", "text": piece}),
                end=lambda said: [
                    sse({"final": True, "responseMessage": {"messageId": "r", "content": [{"type": "text", "text": said}]}}, "message")
                ],
                error=sse({"error": "it broke"}, "error"),
            )
        case "langflow":

            def told(kind: str, **data: Any) -> bytes:
                return line({"event": kind, "data": data}) + b"\n"

            ids = {"id": "m", "flow_id": "f"}
            return Wire(
                start=[
                    told("add_message", **ids, sender="User", text="Add a task"),
                    told("add_message", **ids, sender="Machine", text=""),
                ],
                piece=lambda piece, _: told("token", chunk=piece, id="m"),
                end=lambda said: [
                    told("add_message", **ids, sender="Machine", text=said),
                    told("end", result={"session_id": "s", "outputs": []}),
                ],
                error=told("error", error="it broke"),
            )
        case "ragflow" | "ragflow-legacy":

            def answer(data: Any, code: int = 0, message: str = "") -> bytes:
                return f"data:{json.dumps({'code': code, 'message': message, 'data': data})}\n\n".encode()

            def said(text: str, is_final: bool) -> dict[str, Any]:
                final = {"final": is_final} if name == "ragflow" else {}
                return {"answer": text, "reference": {"chunks": []} if is_final else {}, **final}

            return Wire(
                piece=lambda piece, so_far: answer(said(piece if name == "ragflow" else so_far, False)),
                end=lambda text: [answer(said(text, True)), answer(True)],
                error=answer({"answer": "**ERROR**: it broke", "reference": []}, 500, "it broke"),
            )
        case "agno":

            def run(kind: str, **more: Any) -> bytes:
                return sse({"event": kind, "run_id": "r", "session_id": "s", "agent_id": "a", **more}, kind)

            return Wire(
                start=[run("RunStarted"), run("ReasoningContentDelta", reasoning_content="Milk, then. ")],
                piece=lambda piece, _: run("RunContent", content=piece, content_type="str"),
                end=lambda said: [
                    run("RunContentCompleted"),
                    # A member of a team ended; the run goes on.
                    run("RunCompleted", content="a member's", parent_run_id="r"),
                    run("RunCompleted", content=said),
                ],
                error=run("RunError", content="it broke"),
            )
        case "chat-ui":

            def update(kind: str, **more: Any) -> bytes:
                return line({"type": kind, **more})

            return Wire(
                start=[
                    update("status", status="started"),
                    update("reasoning", subtype="stream", token="Milk, then. "),
                ],
                piece=lambda piece, _: update("stream", token=piece.ljust(16, "\0")),
                end=lambda said: [
                    update("finalAnswer", text=said, interrupted=False) + b" " * 4096,
                    update("status", status="finished"),
                ],
                error=update("status", status="error", message="it broke"),
                media_type="application/jsonl",
            )
        case "onyx":

            def packet(kind: str, **more: Any) -> bytes:
                return line({"placement": {"turn_index": 0}, "obj": {"type": kind, **more}})

            return Wire(
                start=[
                    line({"user_message_id": 1, "reserved_assistant_message_id": 2}),
                    packet("reasoning_delta", reasoning="Milk, then. "),
                    packet("message_start"),
                ],
                piece=lambda piece, _: packet("message_delta", content=piece),
                end=lambda _: [packet("section_end"), packet("stop", stop_reason="finished")],
                error=line({"error": "it broke", "stack_trace": None}),
            )
        case "khoj":
            after = "␃🔚␗"

            def kept(kind: str, data: Any = "") -> bytes:
                text = json.dumps({"type": kind, "data": data}, ensure_ascii=False)
                return (text + after).encode()

            return Wire(
                start=[kept("metadata", {"conversationId": "c"}), kept("thought", "Milk, then. "), kept("start_llm_response")],
                piece=lambda piece, _: (piece + after).encode(),
                end=lambda _: [kept("end_llm_response"), kept("usage", {}), kept("end_response")],
                # It has no form for an error.
                error=b"",
                media_type="text/plain",
            )
    raise ValueError(f"no wire `{name}`")
