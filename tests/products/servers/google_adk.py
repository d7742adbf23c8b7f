"""Google ADK's own API server, with one agent and its database sessions."""

import os
from pathlib import Path

from common import options, serve, sqlalchemy_url

os.environ["GOOGLE_API_KEY"] = "x"
os.environ["GOOGLE_GENAI_USE_VERTEXAI"] = "0"
os.environ["GOOGLE_GEMINI_BASE_URL"] = options.gateway.removesuffix("/v1")

from google.adk.cli.fast_api import get_fast_api_app  # noqa: E402 (reads the environment)

agents = Path(__file__).parent / "adk_agents"
serve(get_fast_api_app(agents_dir=str(agents), session_service_uri=sqlalchemy_url("asyncpg", "+aiosqlite"), web=False))
