"""Why mail logins fail: eighteen checks, from the mail server's configuration to the password's hash. They look, and change nothing.

Each runs in a process of its own, all at once, so one that hangs costs its own answer and no more.
"""

from saslauthd_py.doctor.case import Account, Case
from saslauthd_py.doctor.checks import CHECKS
from saslauthd_py.doctor.examining import PATIENCE, Finding, examine
from saslauthd_py.doctor.said import Outcome, Said

__all__ = ["CHECKS", "PATIENCE", "Account", "Case", "Finding", "Outcome", "Said", "examine"]
