"""A small chat server; the environment chooses its save strategy, database stack and wire."""

import pydantic

# FastAPI describes OpenAPI in models that nobody uses here; building them takes a third of a start.
pydantic.BaseModel.model_config["defer_build"] = True
