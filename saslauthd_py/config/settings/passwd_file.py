"""`[backend.NAME]` with `type = "passwd_file"`: accounts in a text file that others keep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.decoy_key import DESCRIPTION, DecoyKey
from saslauthd_py.config.settings.values import AbsolutePath, Duration, quoted, refused

REALM = "{realm}"
"""In `path`: the realm, so that each has a file of its own."""


def _path(path: str) -> str:
    rest = path.replace(REALM, "")
    if "{" in rest or "}" in rest:
        raise refused(f"{quoted(path)}: a path knows {REALM} and nothing else in braces")
    if ".." in path.split("/"):
        raise refused(f"{quoted(path)}: must not contain ..")
    return path


class PasswdFileSettings(BackendSettings):
    """A file, or one for each realm. `cache` is seconds: a change of the file is seen at once all the same."""

    type: Literal["passwd_file"] = Field(description="The kind of backend: \"passwd_file\", such as htpasswd's or Dovecot's.")
    cache: Annotated[float, Duration("0s", "1d")] = Field(
        60.0, description='How long a right password is remembered; a change is seen at once all the same. "0s": not at all.'
    )
    path: Annotated[AbsolutePath, AfterValidator(_path)] = Field(
        description='The file; "{realm}" in it names one for each realm; where its lines are without @realm, say login = "{local}" too.'
    )
    format: Literal["auto", "htpasswd", "dovecot", "passwd"] = Field(
        "auto", description='How its lines are read: "htpasswd", "dovecot" (a passwd-file), "passwd" or, by the line, "auto".'
    )
    decoy_key: DecoyKey = Field(None, description=DESCRIPTION)

    @property
    def realm_in_path(self) -> bool:
        """Has each realm a file of its own? Then a login without the realm is still one account."""
        return REALM in self.path
