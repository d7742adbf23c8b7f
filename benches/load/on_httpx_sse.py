"""Many conversations at the same time, as a script on httpx-sse plays them: BASE COUNT.

Prints how many answers ended with the final marker.
"""

import asyncio
import sys

import httpx
from httpx_sse import aconnect_sse


async def conversation(client):
    made = await client.post("/conversations", json={"title": "load"})
    body = {"conversation_id": made.json()["id"], "message": "Tell me a story"}
    text = ""
    async with aconnect_sse(client, "POST", "/chat", json=body) as source:
        async for event in source.aiter_sse():
            if event.data == "[DONE]":
                return text
            text += event.data
    return None


async def main(base, count):
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=base, timeout=600, limits=limits, trust_env=False) as client:
        texts = await asyncio.gather(*(conversation(client) for _ in range(count)))
    print(sum(text is not None for text in texts))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
