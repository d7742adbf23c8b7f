"""What the environment decides."""

import os
from dataclasses import dataclass

from chat import database

CHOICES = {
    "FRAMEWORK": ("starlette", "fastapi"),
    "STACK": ("sync", "async", "raw", "threads"),
    "TRANSPORT": ("starlette", "sse"),
    "WIRE": ("plain", "openai"),
    "JOURNAL": ("wal", "delete"),
    "AUTH": ("none", "bearer", "cookie"),
    "ACCOUNTS": ("open", "closed"),
}


@dataclass(frozen=True)
class Settings:
    database: str
    gateway_url: str
    mode: str
    framework: str
    stack: str
    transport: str
    wire: str
    journal: str
    auth: str
    accounts: str
    cors_origin: str | None
    busy_timeout: float
    prompt_mb: int
    # How often something else of the server writes; never when 0.
    beat_ms: int

    @classmethod
    def from_env(cls) -> "Settings":
        mode = os.environ.get("MODE", "correct")
        stack = _choice("STACK")
        return cls(
            database=database.url_of(mode, stack),
            gateway_url=(os.environ.get("GATEWAY_URL") or os.environ["OPENAI_BASE_URL"]).rstrip("/"),
            mode=mode,
            # A session that is committed after the response is a dependency of FastAPI.
            framework="fastapi" if mode == "depends_commit" else _choice("FRAMEWORK"),
            stack=stack,
            transport=_choice("TRANSPORT"),
            wire=_choice("WIRE"),
            journal=_choice("JOURNAL"),
            auth=_choice("AUTH"),
            accounts=_choice("ACCOUNTS"),
            cors_origin=os.environ.get("CORS_ORIGIN") or None,
            busy_timeout=int(os.environ.get("BUSY_TIMEOUT_MS", "5000")) / 1000,
            prompt_mb=int(os.environ.get("PROMPT_MB", "0")),
            beat_ms=int(os.environ.get("BEAT_MS", "0")),
        )


def _choice(name: str) -> str:
    value = os.environ.get(name, CHOICES[name][0])
    if value not in CHOICES[name]:
        raise SystemExit(f"{name}={value}: expected one of {', '.join(CHOICES[name])}")
    return value
