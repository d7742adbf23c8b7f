"""The official clients of LLM providers, each asked the same of chatctl's gateway.

    python clients.py CLIENT http://127.0.0.1:9191/v1 "the user's message"

Prints one JSON object: what was streamed, what came as a whole, and what else the client gave.
"""

import json
import sys
from typing import Any

client, base, user = sys.argv[1:]
root = base.removesuffix("/v1")
said = [{"role": "user", "content": user}]
MODEL = "chatctl"


def openai_chat() -> dict[str, Any]:
    from openai import OpenAI

    api = OpenAI(base_url=base, api_key="any", max_retries=0)
    stream = api.chat.completions.create(
        model=MODEL, messages=said, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    whole = api.chat.completions.create(model=MODEL, messages=said)
    embedding = api.embeddings.create(model=MODEL, input=["a", "b"])
    return {
        "streamed": text,
        "whole": whole.choices[0].message.content,
        "usage": chunks[-1].usage.total_tokens,
        "models": [model.id for model in api.models.list()],
        "embeddings": [len(one.embedding) for one in embedding.data],
    }


def openai_responses() -> dict[str, Any]:
    from openai import OpenAI

    api = OpenAI(base_url=base, api_key="any", max_retries=0)
    events = list(api.responses.create(model=MODEL, input=said, stream=True))
    final = events[-1].response
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.output_text == "".join(pieces), final.output_text
    whole = api.responses.create(model=MODEL, input=user, previous_response_id=final.id)
    conversation = api.conversations.create(items=[{"type": "message", "role": "user", "content": "I am Ada"}])
    assert api.conversations.retrieve(conversation.id).id == conversation.id
    api.conversations.items.create(
        conversation.id, items=[{"type": "message", "role": "assistant", "content": "Hello"}]
    )
    api.responses.create(model=MODEL, input=user, conversation=conversation.id)
    items = list(api.conversations.items.list(conversation.id, order="asc", limit=2))
    texts = [(item.role, item.content[0].text) for item in items]
    assert texts == [("user", "I am Ada"), ("assistant", "Hello"), ("user", user), ("assistant", whole.output_text)], texts
    assert api.conversations.delete(conversation.id).deleted
    over_a_socket = []
    with api.responses.connect() as connection:
        previous = None
        for stream_id in [None, "lane"]:
            lane = {"stream_id": stream_id} if stream_id else {}
            more = {"previous_response_id": previous, **lane} if previous else lane
            connection.send({"type": "response.create", "model": MODEL, "input": said, **more})
            pieces_here, last = [], None
            while last is None:
                event = connection.recv()
                assert event.stream_id == stream_id, event
                if event.type == "response.output_text.delta":
                    pieces_here.append(event.delta)
                elif event.type == "response.completed":
                    last = event.response
            assert last.output_text == "".join(pieces_here), last
            over_a_socket.append(last.output_text)
            previous = last.id
        connection.send({"type": "response.create", "model": MODEL, "input": said, "previous_response_id": "none"})
        refused = connection.recv()
    assert (refused.type, refused.status) == ("error", 400), refused
    return {
        "streamed": "".join(pieces),
        "whole": whole.output_text,
        "usage": final.usage.total_tokens,
        "over_a_socket": over_a_socket,
    }


def anthropic() -> dict[str, Any]:
    from anthropic import Anthropic

    api = Anthropic(base_url=root, api_key="any", max_retries=0)
    with api.messages.stream(model=MODEL, messages=said, max_tokens=99) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.content[0].text == text and final.stop_reason == "end_turn", final
    whole = api.messages.create(model=MODEL, messages=said, max_tokens=99)
    return {
        "streamed": text,
        "whole": whole.content[0].text,
        "usage": final.usage.output_tokens,
        "models": [model.id for model in api.models.list()],
    }


def gemini() -> dict[str, Any]:
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=root)
    api = genai.Client(api_key="any", http_options=options)
    chunks = list(api.models.generate_content_stream(model=MODEL, contents=user))
    whole = api.models.generate_content(model=MODEL, contents=user)
    embedding = api.models.embed_content(model=MODEL, contents="a")
    assert chunks[-1].candidates[0].finish_reason == "STOP", chunks[-1]
    return {
        "streamed": "".join(chunk.text or "" for chunk in chunks),
        "whole": whole.text,
        "usage": chunks[-1].usage_metadata.total_token_count,
        "models": [model.name for model in api.models.list()],
        "embeddings": [len(one.values) for one in embedding.embeddings],
    }


def ollama() -> dict[str, Any]:
    from ollama import Client

    api = Client(host=root)
    lines = list(api.chat(model=MODEL, messages=said, stream=True))
    assert lines[-1].done and lines[-1].done_reason == "stop", lines[-1]
    return {
        "streamed": "".join(line.message.content for line in lines),
        "whole": api.chat(model=MODEL, messages=said).message.content,
        "usage": lines[-1].eval_count,
        "models": [model.model for model in api.list().models],
        "embeddings": [len(one) for one in api.embed(model=MODEL, input=["a", "b"]).embeddings],
    }


def ollama_generate() -> dict[str, Any]:
    from ollama import Client

    api = Client(host=root)
    lines = list(api.generate(model=MODEL, prompt=user, stream=True))
    return {
        "streamed": "".join(line.response for line in lines),
        "whole": api.generate(model=MODEL, prompt=user).response,
        "usage": lines[-1].eval_count,
    }


print(json.dumps(globals()[client.replace("-", "_")]()))
