"""Agno's AgentOS with one agent."""

from agno.agent import Agent
from agno.db.postgres import PostgresDb
from agno.db.sqlite import SqliteDb
from agno.models.openai import OpenAIChat
from agno.os import AgentOS
from common import MODEL, is_postgres, options, serve, sqlalchemy_url

db = PostgresDb(db_url=sqlalchemy_url("psycopg", ""), db_schema="public") if is_postgres() else SqliteDb(db_file=options.database)
model = OpenAIChat(id=MODEL, base_url=options.gateway, api_key="x")
agent = Agent(id="chat", name="chat", model=model, db=db, add_history_to_context=True, telemetry=False)
serve(AgentOS(agents=[agent], telemetry=False).get_app())
