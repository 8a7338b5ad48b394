"""`cog.BaseModel`: the locked pydantic's, and a downstream file may be a Path in it."""

import pydantic


class BaseModel(pydantic.BaseModel):
    """The base of structured outputs."""

    class Config:
        """pydantic 1's way to say it; files of downstream models are foreign types."""

        arbitrary_types_allowed = True
