"""`[log]`: where lines go, and which."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from saslauthd_py.config.settings.values import SECTION, quoted, refused, suggestion

_PLACES = ("auto", "journal", "stderr", "syslog")
_FILE = "file:/"


def _place(text: str) -> str:
    whole = len(text) > len(_FILE) and text.isprintable() and not text.endswith("/")
    if text not in _PLACES and not (text.startswith(_FILE) and whole):
        raise refused(
            f'must be "auto", "journal", "stderr", "syslog" or "file:" and an absolute path, not {quoted(text)}{suggestion(text, _PLACES)}'
        )
    return text


Place = Annotated[str, AfterValidator(_place), WithJsonSchema({"type": "string", "pattern": "^(auto|journal|stderr|syslog|file:/.*[^/])$"})]


class LogSettings(BaseModel):
    """Where the decisions and what befell the daemon are written."""

    model_config = SECTION

    to: Place = Field(
        "auto",
        description='"auto" is "journal" where systemd started the daemon, else "stderr"; or "syslog" or "file:/var/log/saslauthd-py.log".',
    )
    style: Literal["kv", "cyrus", "json"] = Field(
        "kv", description='How a line looks: "kv" (key=value), "cyrus", as the original saslauthd\'s, or "json", an object a line.'
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description='The least that is written: "debug", "info" (a line for each decision), "warning" or "error".'
    )
