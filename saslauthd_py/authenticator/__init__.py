"""The one place that decides, from what the layers below bring: routes, proofs, limits, backends, rules.

What is remembered of a login is a fact about a secret; whether it may be used, and for whom, is judged at every use.
"""

from saslauthd_py.authenticator.deciding import Authenticator
from saslauthd_py.authenticator.keyed import KeyedLogin
from saslauthd_py.authenticator.question import Decision, Grounds, Question, Sought

__all__ = ["Authenticator", "Decision", "Grounds", "KeyedLogin", "Question", "Sought"]
