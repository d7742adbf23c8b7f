"""How a server asks an LLM provider, and what it reads of the answer: as little as will do."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

Messages = list[dict[str, str]]


def ask(provider: str, gateway: str, messages: Messages) -> Iterator[str]:
    """The pieces of the answer."""
    root = gateway.removesuffix("/v1")
    match provider:
        case "openai-chat":
            for event in events(f"{gateway}/chat/completions", {"stream": True, "messages": messages}):
                for choice in event["choices"]:
                    yield choice["delta"].get("content") or ""
        case "openai-tools":
            yield from with_tools(gateway, messages)
        case "openai-responses":
            for event in events(f"{gateway}/responses", {"stream": True, "input": messages}):
                if event["type"] == "response.output_text.delta":
                    yield event["delta"]
        case "openai-responses-socket":
            from websockets.sync.client import connect

            with connect(f"{gateway.replace('http', 'ws', 1)}/responses", proxy=None) as socket:
                socket.send(json.dumps({"type": "response.create", "model": "small", "input": messages}))
                for message in socket:
                    event = json.loads(message)
                    if event["type"] == "response.output_text.delta":
                        yield event["delta"]
                    elif event["type"] == "response.completed":
                        break
        case "anthropic":
            for event in events(f"{root}/v1/messages", {"stream": True, "messages": messages, "max_tokens": 99}):
                yield event.get("delta", {}).get("text") or ""
        case "gemini":
            roles = {"user": "user", "assistant": "model"}
            contents = [{"role": roles[m["role"]], "parts": [{"text": m["content"]}]} for m in messages]
            url = f"{root}/v1beta/models/m:streamGenerateContent?alt=sse"
            for event in events(url, {"contents": contents}):
                for part in event["candidates"][0]["content"]["parts"]:
                    yield part["text"]
        case "ollama":
            for event in events(f"{root}/api/chat", {"messages": messages}):
                yield event["message"]["content"]
        case "ollama-generate":
            prompt = messages[-1]["content"]
            for event in events(f"{root}/api/generate", {"prompt": prompt}):
                yield event["response"]
        case _:
            raise ValueError(f"no provider `{provider}`")


def with_tools(gateway: str, messages: list[dict[str, Any]]) -> Iterator[str]:
    """The same of a model that calls tools: each is run, and the model is asked again."""
    calls: list[dict[str, Any]] = [{}]
    while calls:
        calls = []
        for event in events(f"{gateway}/chat/completions", {"stream": True, "messages": messages}):
            for choice in event["choices"]:
                for piece in choice["delta"].get("tool_calls") or []:
                    if piece["index"] == len(calls):
                        function = {"name": piece["function"]["name"], "arguments": ""}
                        calls.append({"id": piece["id"], "type": "function", "function": function})
                    calls[piece["index"]]["function"]["arguments"] += piece["function"].get("arguments") or ""
                yield choice["delta"].get("content") or ""
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in calls]
        messages = [*messages, {"role": "assistant", "content": None, "tool_calls": calls}, *results]


def ask_aside(gateway: str, text: str) -> str:
    """A short question beside the conversation, answered as a whole."""
    body = {"messages": [{"role": "user", "content": text}]}
    with urllib.request.urlopen(posted(f"{gateway}/chat/completions", body)) as response:
        return json.load(response)["choices"][0]["message"]["content"]


def posted(url: str, body: Any) -> urllib.request.Request:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer x"}
    return urllib.request.Request(url, json.dumps({"model": "small", **body}).encode(), headers)


def events(url: str, body: Any) -> Iterator[Any]:
    """The events of an answer: of SSE, or a JSON value a line."""
    with urllib.request.urlopen(posted(url, body)) as response:
        for raw in response:
            text = raw.decode().removeprefix("data: ").strip()
            if text.startswith("{"):
                yield json.loads(text)
