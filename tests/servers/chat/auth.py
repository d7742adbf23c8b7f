"""Who asks: nobody in particular, a bearer token, or a session cookie."""

import secrets

from starlette.exceptions import HTTPException
from starlette.requests import Request

COOKIE = "session"
# Another one at each start, as in `SECRET_KEY = os.urandom(32)`.
_SECRET = secrets.token_urlsafe()


def signed(token: str, mode: str) -> str:
    """What a user who logs in is given."""
    return f"{token}.{_SECRET}" if mode == "new_secret" else token


async def current_user(request: Request) -> int | None:
    auth = request.app.state.settings.auth
    if auth == "none":
        return None
    store = request.app.state.store
    token = _token(request, auth)
    if token and request.app.state.settings.mode == "new_secret":
        token, _, secret = token.partition(".")
        token = token if secret == _SECRET else None
    user_id = await store.run(store.queries.user_of, token) if token else None
    if user_id is None:
        raise HTTPException(401, "not logged in", {"WWW-Authenticate": "Bearer"})
    return user_id


def _token(request: Request, auth: str) -> str | None:
    if auth == "cookie":
        return request.cookies.get(COOKIE)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else None
