"""Result codes (RFC 4511 appendix A, and those that were registered since), by number and by the name that an admin looks up."""

from __future__ import annotations

from enum import IntEnum


class ResultCode(IntEnum):
    """What a server says came of a request. A server may send other numbers: an answer's `code` is a plain int."""

    label: str

    def __new__(cls, number: int, label: str) -> ResultCode:
        """A member from its number and its name in the RFC."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.label = label
        return member

    SUCCESS = 0, "success"
    OPERATIONS_ERROR = 1, "operationsError"
    PROTOCOL_ERROR = 2, "protocolError"
    TIME_LIMIT_EXCEEDED = 3, "timeLimitExceeded"
    SIZE_LIMIT_EXCEEDED = 4, "sizeLimitExceeded"
    COMPARE_FALSE = 5, "compareFalse"
    COMPARE_TRUE = 6, "compareTrue"
    AUTH_METHOD_NOT_SUPPORTED = 7, "authMethodNotSupported"
    STRONGER_AUTH_REQUIRED = 8, "strongerAuthRequired"
    REFERRAL = 10, "referral"
    ADMIN_LIMIT_EXCEEDED = 11, "adminLimitExceeded"
    UNAVAILABLE_CRITICAL_EXTENSION = 12, "unavailableCriticalExtension"
    CONFIDENTIALITY_REQUIRED = 13, "confidentialityRequired"
    SASL_BIND_IN_PROGRESS = 14, "saslBindInProgress"
    NO_SUCH_ATTRIBUTE = 16, "noSuchAttribute"
    UNDEFINED_ATTRIBUTE_TYPE = 17, "undefinedAttributeType"
    INAPPROPRIATE_MATCHING = 18, "inappropriateMatching"
    CONSTRAINT_VIOLATION = 19, "constraintViolation"
    ATTRIBUTE_OR_VALUE_EXISTS = 20, "attributeOrValueExists"
    INVALID_ATTRIBUTE_SYNTAX = 21, "invalidAttributeSyntax"
    NO_SUCH_OBJECT = 32, "noSuchObject"
    ALIAS_PROBLEM = 33, "aliasProblem"
    INVALID_DN_SYNTAX = 34, "invalidDNSyntax"
    ALIAS_DEREFERENCING_PROBLEM = 36, "aliasDereferencingProblem"
    INAPPROPRIATE_AUTHENTICATION = 48, "inappropriateAuthentication"
    INVALID_CREDENTIALS = 49, "invalidCredentials"
    INSUFFICIENT_ACCESS_RIGHTS = 50, "insufficientAccessRights"
    BUSY = 51, "busy"
    UNAVAILABLE = 52, "unavailable"
    UNWILLING_TO_PERFORM = 53, "unwillingToPerform"
    LOOP_DETECT = 54, "loopDetect"
    NAMING_VIOLATION = 64, "namingViolation"
    OBJECT_CLASS_VIOLATION = 65, "objectClassViolation"
    NOT_ALLOWED_ON_NON_LEAF = 66, "notAllowedOnNonLeaf"
    NOT_ALLOWED_ON_RDN = 67, "notAllowedOnRDN"
    ENTRY_ALREADY_EXISTS = 68, "entryAlreadyExists"
    OBJECT_CLASS_MODS_PROHIBITED = 69, "objectClassModsProhibited"
    AFFECTS_MULTIPLE_DSAS = 71, "affectsMultipleDSAs"
    OTHER = 80, "other"
    CANCELED = 118, "canceled"
    NO_SUCH_OPERATION = 119, "noSuchOperation"
    TOO_LATE = 120, "tooLate"
    CANNOT_CANCEL = 121, "cannotCancel"
    ASSERTION_FAILED = 122, "assertionFailed"
    AUTHORIZATION_DENIED = 123, "authorizationDenied"


_LABELS = {int(code): code.label for code in ResultCode}


def describe(code: int) -> str:
    """A result code for a log: `invalidCredentials (49)`; one without a name is `result code 4097`."""
    label = _LABELS.get(code)
    return f"{label} ({code})" if label else f"result code {code}"
