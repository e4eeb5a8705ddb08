"""What every `[backend.NAME]` has, whatever its type."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictInt,
    model_serializer,
    model_validator,
)
from pydantic_core import core_schema

from saslauthd_py.config.settings import secret
from saslauthd_py.config.settings.login import LoginTemplate
from saslauthd_py.config.settings.values import SECTION, Duration, JsonSchema, Service


class BackendSettings(BaseModel):
    """The keys of all backends. A backend adds `type`, its own keys, and its own defaults; its secrets are `SecretKey`s.

    `cache` is seconds; `services` are as `credential.service_word` spells them, empty: all.
    """

    model_config = SECTION

    type: str = Field(description="The kind of backend.")
    login: LoginTemplate = Field(
        "{local}@{realm}", description='The login as this backend knows it; the "@" before an empty realm falls away.'
    )
    fold_case: StrictBool = Field(True, description="Alice and alice are one account.")
    cache: Annotated[float, Duration("0s", "1d")] = Field(
        0.0, description='How long a right password is remembered, changed meanwhile or not; "0s": not at all.'
    )
    parallel: StrictInt = Field(64, ge=1, le=4096, description="Logins that may be under way here at once; the others wait.")
    services: tuple[Service, ...] = Field((), description="The services this backend may be asked for; empty: all.")

    @model_validator(mode="before")
    @classmethod
    def _take_files(cls, raw: object) -> object:
        return secret.take_files(cls, raw)

    @model_serializer(mode="wrap")
    def _name_files(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return secret.name_files(self, write(self))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        written = handler(schema)
        secret.describe_files(cls, handler.resolve_ref_schema(written))
        return written
