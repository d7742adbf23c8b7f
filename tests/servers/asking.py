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
            # As most tutorials do it: no usage is asked for, so each chunk has a choice.
            for event in events(f"{gateway}/chat/completions", {"stream": True, "messages": messages}):
                yield event["choices"][0]["delta"].get("content") or ""
        case "openai-guard":
            # Before the answer: does the question break a rule?
            rule = {"role": "system", "content": "Say yes if the text breaks a rule, else no."}
            if ask_whole(gateway, {"messages": [rule, messages[-1]]})["content"] == "yes":
                raise ValueError("refused")
            yield from ask("openai-chat", gateway, messages)
        case "openai-router":
            # Before the answer, as JSON and as the call of a tool: where does the question belong?
            schema = {"type": "object", "properties": {"topic": {"enum": ["tasks", "other"]}}, "required": ["topic"]}
            form = {"type": "json_schema", "json_schema": {"name": "topic", "schema": schema}}
            said = ask_whole(gateway, {"messages": messages[-1:], "response_format": form})
            function = {"type": "function", "function": {"name": "route"}}
            tool = {"type": "function", "function": {"name": "route", "parameters": schema}}
            called = ask_whole(gateway, {"messages": messages[-1:], "tools": [tool], "tool_choice": function})
            arguments = called["tool_calls"][0]["function"]["arguments"]
            if json.loads(said["content"])["topic"] != json.loads(arguments)["topic"]:
                raise ValueError("two topics")
            yield from ask("openai-chat", gateway, messages)
        case "openai-json":
            # It demands JSON of each answer, and shows whatever comes.
            body = {"stream": True, "messages": messages, "response_format": {"type": "json_object"}}
            for event in events(f"{gateway}/chat/completions", body):
                yield event["choices"][0]["delta"].get("content") or ""
        case "openai-tools":
            yield from with_tools(gateway, messages)
        case "openai-responses" | "openai-responses-checked":
            for event in events(f"{gateway}/responses", {"stream": True, "input": messages}):
                if event["type"] == "response.output_text.delta":
                    yield event["delta"]
                elif event["type"] in ("error", "response.failed") and provider == "openai-responses-checked":
                    raise RuntimeError("the model failed")
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
    return ask_whole(gateway, {"messages": [{"role": "user", "content": text}]})["content"]


def ask_whole(gateway: str, body: Any) -> Any:
    """The message of an answer that is no stream."""
    with urllib.request.urlopen(posted(f"{gateway}/chat/completions", body)) as response:
        return json.load(response)["choices"][0]["message"]


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
