"""What `config check --online` makes of answers that Active Directory gives; those of Samba 4.17 were recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from saslauthd_py.app.online.asking import asked
from saslauthd_py.app.online.findings import Outcome, Said
from saslauthd_py.config.settings import LdapSettings
from saslauthd_py.wire.ldap import ResultCode

if TYPE_CHECKING:
    import ldap3

GROUP = "CN=Mail,OU=Groups,DC=ad,DC=example,DC=org"
NO_ATTRIBUTE = "x-no-such-attribute"


class Controller:
    """What is asked of a connection of ldap3's. Of a group: the attributes that it has, and what is said of one that nothing has."""

    receive_timeout = 5

    def __init__(self, shown: str = "member", unknown: int = ResultCode.COMPARE_FALSE, refusal: str = "") -> None:
        self.result: dict[str, Any] = {}
        self.response: list[dict[str, Any]] = []
        self._shown, self._unknown, self._refusal = shown, unknown, refusal

    def bind(self, *, read_server_info: bool) -> None:
        assert not read_server_info
        self._say(ResultCode.INVALID_CREDENTIALS if self._refusal else ResultCode.SUCCESS, self._refusal)

    def compare(self, dn: str, attribute: str, _value: str) -> None:
        assert dn == GROUP
        self._say(self._unknown if attribute == NO_ATTRIBUTE else ResultCode.COMPARE_FALSE)

    def search(self, base: str, wanted: str, *_scope: str, **_how: object) -> None:
        there = wanted == f"({self._shown}=*)" if base == GROUP else "=*" in wanted and "1941" not in wanted
        self.response = [{"type": "searchResEntry", "raw_attributes": {}}] if there else []
        self._say(ResultCode.SUCCESS)

    def _say(self, code: int, message: str = "") -> None:
        self.result = {"result": code, "message": message}


def found(controller: Controller, **keys: object) -> list[Said]:
    settings = {"bind_dn": "CN=s", "password": "x", "base": "OU=Staff", "group_dn": GROUP, "group_attribute": "member", **keys}
    validated = LdapSettings.model_validate({"type": "ldap", "servers": ["ldaps://dc1.ad.example.org"], **settings})
    return list(asked(cast("ldap3.Connection", controller), validated))


def test_group_that_shows_its_members() -> None:
    said = found(Controller())
    assert {one.outcome for one in said} == {Outcome.PASS}
    assert said[-1].text == f"{GROUP} tells by member who is in it"


def test_misspelt_attribute_of_the_group_is_a_warning_though_the_server_says_false_of_it() -> None:
    last = found(Controller(), group_attribute="uniqueMember")[-1]
    assert (last.step, last.outcome) == ("group_dn", Outcome.WARN)
    assert "correct group_attribute" in last.text


@pytest.mark.parametrize("unknown", [ResultCode.UNDEFINED_ATTRIBUTE_TYPE, ResultCode.NO_SUCH_ATTRIBUTE])
def test_group_that_may_be_compared_and_not_read_is_good_where_false_means_false(unknown: int) -> None:
    assert found(Controller(shown="", unknown=unknown))[-1].outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("sub_code", "meaning"),
    [("533", "the account is disabled"), ("52e", "correct bind_dn or its password"), ("54e", "the controller itself")],
)
def test_why_the_service_is_refused(sub_code: str, meaning: str) -> None:
    (last,) = found(Controller(refusal=f"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {sub_code}, v1db1"))
    assert (last.step, last.outcome) == ("bind", Outcome.FAIL)
    assert meaning in last.text
