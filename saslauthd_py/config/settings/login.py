"""The template that makes a backend's login from a name (`identity.render`): `{local}` and `{realm}`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from saslauthd_py.config.settings.values import quoted, refused, suggestion

_TOKENS = ("{local}", "{realm}")
_BRACES = re.compile(r"\{[^{}]*\}|[{}]")


def drops_realm(template: str) -> bool:
    """Do alice@a.example and alice@b.example become one login (rule B2)?"""
    return "{realm}" not in template


def _template(text: str) -> str:
    for token in _BRACES.findall(text):
        if token not in _TOKENS:
            raise refused(f"{quoted(token)} in {quoted(text)}: a login knows {{local}} and {{realm}}{suggestion(token, _TOKENS)}")
    if "{local}" not in text:
        raise refused(f"{quoted(text)} has no {{local}}: everybody would be one and the same login")
    return text


LoginTemplate = Annotated[str, AfterValidator(_template)]
