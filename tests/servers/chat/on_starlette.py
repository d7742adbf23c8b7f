"""The routes on Starlette alone. FastAPI is built on it, and a start without FastAPI is shorter."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chat import endings, endpoints
from chat.auth import current_user


async def health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def login(request: Request) -> Response:
    return await endpoints.login(request, (await request.json())["email"])


async def create_conversation(request: Request) -> Response:
    user_id = await current_user(request)
    asked = await request.json() if await request.body() else {}
    made = await endpoints.create_conversation(request, user_id, asked.get("title"))
    return JSONResponse(made, 201)


async def messages(request: Request) -> Response:
    user_id = await current_user(request)
    return JSONResponse(await endpoints.messages(request, user_id, request.path_params["conversation_id"]))


async def file(request: Request) -> Response:
    return endpoints.file(request.path_params["key"])


async def stop(request: Request) -> Response:
    return JSONResponse({"stopped": await endings.stop(request.path_params["conversation_id"])})


async def answer_again(request: Request) -> Response:
    user_id = await current_user(request)
    message = (await request.json()).get("message")
    return await endpoints.answer_again(request, user_id, request.path_params["conversation_id"], message)


async def rest(request: Request) -> Response:
    return endpoints.rest(request, request.path_params["conversation_id"])


async def post_chat(request: Request) -> Response:
    user_id = await current_user(request)
    return await endpoints.chat_with_files(request, user_id, None, await request.json())


async def get_chat(request: Request) -> Response:
    user_id = await current_user(request)
    asked = request.query_params
    return await endpoints.chat(request, asked["conversation_id"], asked["message"], user_id, None)


async def refused(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


ROUTES = [
    Route("/health", health),
    Route("/login", login, methods=["POST"]),
    Route("/conversations", create_conversation, methods=["POST"]),
    Route("/conversations/{conversation_id}/messages", messages),
    Route("/files/{key}", file),
    Route("/conversations/{conversation_id}/stop", stop, methods=["POST"]),
    Route("/conversations/{conversation_id}/again", answer_again, methods=["POST"]),
    Route("/conversations/{conversation_id}/stream", rest),
    Route("/chat", post_chat, methods=["POST"]),
    Route("/chat", get_chat),
]


def make(lifespan: Callable[[Starlette], Any]) -> Starlette:
    return Starlette(routes=ROUTES, lifespan=lifespan, exception_handlers={HTTPException: refused})
