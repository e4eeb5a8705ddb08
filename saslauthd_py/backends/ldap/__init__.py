"""LDAP as a backend: what a directory says of a login is a fact about its entry now, and none of it is taken on trust from before."""

from __future__ import annotations

from saslauthd_py import identity, trace
from saslauthd_py.backend import Attempt
from saslauthd_py.backends.ldap import conversation
from saslauthd_py.backends.ldap.conversation import Conversation
from saslauthd_py.backends.ldap.directory import Directory, DirectoryFailed
from saslauthd_py.backends.ldap.finding import Finder
from saslauthd_py.backends.ldap.groups import Groups
from saslauthd_py.backends.ldap.methods import MOST_REMEMBERED, Bind, Binding, Compare, Method, Template
from saslauthd_py.backends.ldap.recent import Recent
from saslauthd_py.backends.ldap.sight import Sight
from saslauthd_py.backends.ldap.templates import TemplateErrors, Templates
from saslauthd_py.backends.ldap.tokens import Login, Unfillable
from saslauthd_py.backends.ldap.verdicts import CannotTell
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Reason, Rejected, Unavailable, UnknownUser, Verdict

__all__ = ["LdapBackend", "TemplateErrors"]


class LdapBackend:
    """Implements `Backend`."""

    def __init__(self, settings: LdapSettings, directory: Directory, hashing: Hashing) -> None:
        """Asks nothing yet. `hashing` is for what is compared here. Raises TemplateErrors."""
        templates = Templates.of(settings)
        self._settings = settings
        self._directory = directory
        self._letters = sorted(templates.letters | (templates.group_letters - {"D"}))
        self._known: Recent[tuple[bytes, ...], bytes] = Recent(settings.dn_cache, MOST_REMEMBERED)
        self._sight = Sight.of("base", templates.base, settings)
        self._groups = Groups.of(settings, templates, self._sight)
        self._method = self._chosen(templates, hashing)

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. The directory's own `timeout` bounds each question; cancelled, it costs a bind's connection.

        A name that cannot fill the templates is nobody's here, and nobody is asked for it. A yes confirms the name that was asked: the
        directory has many spellings of one, and any number of names for an entry (rule B1).
        """
        try:
            name = identity.render(self._settings.login, attempt.identity)
            values = Login(name, attempt.service).values(self._letters)
        except InvalidIdentity:
            return UnknownUser()
        except Unfillable as error:
            return _unfillable(error)
        if not _fit(attempt.secret):
            await self.pretend(attempt.secret)
            return Rejected(Reason.WRONG_SECRET)
        login = Conversation(self._directory, name, attempt.secret, values, replayable=self._settings.cache > 0)
        try:
            return await self._method.judge(login)
        except Unfillable as error:
            return _unfillable(error)
        except (DirectoryFailed, CannotTell) as error:
            return Unavailable(str(error), judged=login.judged)

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`. Nothing for a login that has been compared: what a server refuses for another reason has cost the same."""
        if not conversation.was_compared(secret):
            await self._method.pretend(secret)

    def forget(self) -> None:
        """Of all users which entry is theirs, and that they are in the group."""
        self._known.clear()
        if self._groups is not None:
            self._groups.forget()

    def _chosen(self, templates: Templates, hashing: Hashing) -> Method:
        settings, groups = self._settings, self._groups
        if templates.bind is not None:
            return Template(templates.bind, groups, Binding(self._directory))
        if templates.base is None or templates.filter is None:
            raise ValueError("settings without a DN template have a base and a filter")
        if settings.method == "compare":
            attribute = settings.password_attribute.encode()
            return Compare(Finder(settings, templates.base, templates.filter, self._sight, (attribute,)), groups, attribute, hashing)
        return Bind(Finder(settings, templates.base, templates.filter, self._sight), groups, Binding(self._directory), self._known)


def _fit(secret: Secret) -> bool:
    """An empty one would make a bind anonymous (rule G4); a server written in C may take the part before a NUL for the whole (rule D7)."""
    return len(secret) > 0 and b"\0" not in secret.reveal()


def _unfillable(why: Unfillable) -> UnknownUser:
    trace.note("ldap-refused", why=str(why))
    return UnknownUser()
