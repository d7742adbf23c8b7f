"""The routes on FastAPI. One mode needs it: its session is a dependency that commits after the response."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel

from chat import endings, endpoints
from chat.auth import current_user
from chat.store import Handle


async def request_session(request: Request) -> AsyncIterator[Handle | None]:
    if endpoints.settings.mode != "depends_commit":
        yield None
        return
    async with request.app.state.store.open() as session:
        yield session
        await session.commit()


UserId = Annotated[int | None, Depends(current_user)]
RequestSession = Annotated[Handle | None, Depends(request_session)]


class LoginBody(BaseModel):
    email: str


class ConversationBody(BaseModel):
    title: str | None = None


class ChatBody(BaseModel):
    conversation_id: str | int
    message: str = ""
    messages: list[dict[str, Any]] = []
    attachment: str | None = None
    attachment_text: str = ""


class EditBody(BaseModel):
    message: str | None = None


def make(lifespan: Callable[[FastAPI], Any]) -> FastAPI:
    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/login")
    async def login(body: LoginBody, request: Request) -> Response:
        return await endpoints.login(request, body.email)

    @app.post("/conversations", status_code=201)
    async def create_conversation(
        request: Request, user_id: UserId, body: ConversationBody | None = None
    ) -> dict[str, str]:
        return await endpoints.create_conversation(request, user_id, body.title if body else None)

    @app.get("/conversations/{conversation_id}/messages")
    async def messages(conversation_id: str, request: Request, user_id: UserId) -> list[dict[str, Any]]:
        return await endpoints.messages(request, user_id, conversation_id)

    @app.get("/files/{key}")
    async def file(key: str) -> Response:
        return endpoints.file(key)

    @app.post("/conversations/{conversation_id}/stop")
    async def stop(conversation_id: str) -> dict[str, bool]:
        return {"stopped": await endings.stop(conversation_id)}

    @app.post("/conversations/{conversation_id}/again")
    async def answer_again(
        conversation_id: str, body: EditBody, request: Request, user_id: UserId
    ) -> Response:
        return await endpoints.answer_again(request, user_id, conversation_id, body.message)

    @app.get("/conversations/{conversation_id}/stream")
    async def rest(conversation_id: str, request: Request) -> Response:
        return endpoints.rest(request, conversation_id)

    @app.post("/chat")
    async def post_chat(
        body: ChatBody, request: Request, user_id: UserId, session: RequestSession
    ) -> Response:
        return await endpoints.chat_with_files(request, user_id, session, body.model_dump())

    @app.get("/chat")
    async def get_chat(
        conversation_id: str, message: str, request: Request, user_id: UserId, session: RequestSession
    ) -> Response:
        return await endpoints.chat(request, conversation_id, message, user_id, session)

    return app
