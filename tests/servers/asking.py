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
        case "openai-responses":
            for event in events(f"{gateway}/responses", {"stream": True, "input": messages}):
                if event["type"] == "response.output_text.delta":
                    yield event["delta"]
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


def events(url: str, body: Any) -> Iterator[Any]:
    """The events of an answer: of SSE, or a JSON value a line."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer x"}
    request = urllib.request.Request(url, json.dumps({"model": "small", **body}).encode(), headers)
    with urllib.request.urlopen(request) as response:
        for raw in response:
            text = raw.decode().removeprefix("data: ").strip()
            if text.startswith("{"):
                yield json.loads(text)
