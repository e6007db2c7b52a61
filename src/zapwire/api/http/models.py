"""What all models of requests and answers have in common, and problems."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """Of a request: an unknown field is an error, and "yes" is not a boolean."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """Of an answer: exactly these fields."""

    model_config = ConfigDict(extra="forbid")


Timestamp = str
"""RFC 3339 in UTC with milliseconds."""


class Fault(Answer):
    """One fault of a body that has several."""

    field: str
    detail: str


class Problem(Answer):
    """RFC 9457 problem."""

    type: str = Field(description="`urn:zapwire:problem:<code>`")
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to do, in words.")
    code: str = Field(description="Stable; for programs.")
    field: str | None = Field(None, description="The input at fault.")
    errors: list[Fault] | None = Field(None, description="All faults, when there are several.")
