"""Importing this makes pydantic build a model when it is first used, which most never are.

FastAPI describes OpenAPI in models that nobody uses here; building them takes a third of a start.
"""

import pydantic

pydantic.BaseModel.model_config["defer_build"] = True
