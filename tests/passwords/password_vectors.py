"""Records that other programs made, by scheme, in the one form that they have here: from libargon2's own command, OpenSSL, mkpasswd,
Dovecot, OpenLDAP, htpasswd and the schemes' authors."""

from __future__ import annotations

from typing import NamedTuple


class Vector(NamedTuple):
    """A secret and its record; `profile` is what the record must cost."""

    secret: str
    text: str
    profile: str

    @property
    def scheme(self) -> str:
        """The scheme's name in our table."""
        return self.profile.partition(" ")[0]


VECTORS = (
    # Dovecot's own samples
    Vector(
        "test",
        "$argon2id$v=19$m=65536,t=3,p=1$vBb99oJ12p3WAdYlaMHz1A$jtFOtbo/sYV9OSlTxDo/nVNq3uArHd5GJSEx0ty85Cc",
        "argon2id m=65536,t=3,p=1",
    ),
    Vector("test", "$2y$05$11ipvo5dR6CwkzwmhwM26OXgzXwhV2PyPuLV.Qi31ILcRcThQpEiW", "bcrypt cost=5"),
    # argon2(1) of libargon2
    Vector(
        "test",
        "$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQxNmJ5dGVzIQ$HN5ky2M4oZdYy9yCnP67HrAsRxGbT0S1uz5qLOQijeA",
        "argon2id m=1024,t=2,p=1",
    ),
    Vector(
        "test",
        "$argon2id$v=16$m=1024,t=2,p=1$c29tZXNhbHQxNmJ5dGVzIQ$gNJ3ycJLmgGF5bPHRtvry9RzEpbovFtY5AhDtWfg964",
        "argon2id m=1024,t=2,p=1",
    ),
    Vector(
        "test",
        "$argon2i$v=19$m=1024,t=3,p=2$c29tZXNhbHQxNmJ5dGVzIQ$Rwt6YFKu0ZXbyrSC6Ac0tEDM8Au4r1CMrl2n461RA1M",
        "argon2i m=1024,t=3,p=2",
    ),
    # openssl passwd
    Vector(
        "pencil",
        "$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb0",
        "sha512crypt rounds=5000,salt=8",
    ),
    Vector("pencil", "$5$sixteencharsalt.$0AzVqoZHEH/CSncHx5DqmQCjYPqsDam8w.n83j544l6", "sha256crypt rounds=5000"),
    Vector("pencil", "$1$abcd$QAUIWiSLODOtSz9J37Vi80", "md5crypt salt=4"),
    # mkpasswd
    Vector("test", "$y$j9T$XXBQAWkSLj12kEmT/ucCC1$zF/cj1t76n1JsQE/.n7bnXf9Fx9usAnO7pCNup51np9", "yescrypt N=4096,r=32"),
    Vector("test", "$gy$j9T$GpheqGwkvGzCbaUIrjeTY.$vihxC1F1l//bCT2PoyJA7rX0KmuFds067dngCm9dtWA", "gost-yescrypt N=4096,r=32"),
    Vector("test", "$7$CU..../....dClgg/98dKqgZzBlHheDj.$trSUMSV.Q8Y3BX9x7989HVRbQR9Ylm5fmpd9NthH354", "scrypt N=16384,r=32,p=1"),
    Vector("test", "$2b$05$SItcncR0f51ftM5ZCds/XOuyNsCRzsV7J.Nro2jEtBQX84JhmIkoq", "bcrypt cost=5"),
    Vector("test", "$2a$05$t.760hX1mB2b1qDnZbxH.e0WbJMFUmwjShuL7AbcM0/xibQGuenI2", "bcrypt cost=5"),
    Vector(
        "test",
        "$6$rounds=1000$WPpdj0BOKHiw7F6N$8MoVdZZoex8cCB3BNKfaplk1RM6Vr9e.c./KGrqDWpT2Lm/twkoQEM1SIOitkcZfULD2TAcEKFpjBFFTHi3.P0",
        "sha512crypt rounds=1000",
    ),
    Vector("test", "$md5,rounds=50291$NqP13COX$$yyjd.J0RjCW.CHmzZNS011", "sunmd5crypt rounds=50291"),
    Vector("test", "$1$RgV/4LJN$zJ46IK2TUsSsUKCWg0CS00", "md5crypt"),
    Vector("test", "_J9...65CIhLubub7qw.", "bsdicrypt rounds=725"),
    Vector("test", "gTbPs.ME60zF.", "descrypt"),
    # published with the schemes
    Vector(
        "Hello world!",
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        "sha512crypt rounds=10000",
    ),
    Vector("pleaseletmein", "$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D", "scrypt N=16384,r=8,p=1"),
    Vector("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "bcrypt cost=5"),
    Vector("password", "$sha1$40000$jtNX3nZ2$hBNaIXkt4wBI2o5rsi8KejSjNqIq", "sha1crypt rounds=40000"),
    Vector("passwd", "$md5$RPgLF6IJ$WTvAlUJ7MqH5xak2FMEwS/", "sunmd5crypt rounds=0"),
    Vector("0.s0.l33t", "$1$deadbeef$0Huu6KHrKLVWfqa4WljDE0", "md5crypt"),
    Vector("U*U*U*U*", "_J9..CCCCXBrJUJV154M", "bsdicrypt rounds=725"),
    Vector("U*U*U*U*", "CCNf8Sbh3HDfQ", "descrypt"),
    Vector("password", "$3$$8846f7eaee8fb117ad06bdd830b7586c", "nt"),
    # Dovecot's own samples, and `doveadm pw`
    Vector("test", "{PBKDF2}$1$bUnT4Pl7yFtYX0KU$5000$50a83cafdc517b9f46519415e53c6a858908680a", "pbkdf2 rounds=5000"),
    Vector(
        "test",
        "{SCRAM-SHA-1}4096,GetyLXdBuHzf1FWf8SLz2Q==,NA/OqmF4hhrsrB9KR7po+dliTGM=,QBiURvQaE6H6qYTmeghDHLANBFQ=",
        "scram-sha-1 rounds=4096",
    ),
    Vector("test", "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "sha"),
    Vector("test", "{SSHA}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO", "ssha"),
    Vector("test", "{SMD5}JTu1KRwptKZJg/RLd+6Vn5GUd0M=", "smd5"),
    Vector("test", "{MD5}CY9rzUYh03PK3k6DJie09g==", "md5"),
    Vector("test", "{CRAM-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6", "cram-md5"),
    Vector("test", "{PLAIN-MD4}2zRtaR16zE3CYl2xn54/Ug==", "plain-md4"),
    Vector("test", "{PLAIN.b64}dGVzdA==", "plain"),
    # pwdhash of 389-ds 2.3.1
    Vector("test", "{PBKDF2-SHA1}10000$kWvhpwRxiNN1qSL8G8gWQcmyh4cKrQPK$BD0DmWYoQZ3StZttifN/6EicHFA=", "pbkdf2-sha1 rounds=10000"),
    Vector(
        "test",
        "{PBKDF2-SHA256}10000$B8pxZg42TvbYEJaNolJUdPoUh1EFvEzu$tDFYn+9DB7+aHQzNpGSRN31+TmQcXP0PU0NUXlTAHs4=",
        "pbkdf2-sha256 rounds=10000",
    ),
    Vector(
        "test",
        "{PBKDF2-SHA512}10000$+J5HZ25zNbRbCamnbuzCP2UO21tGbqPG"
        "$zfW/+i/UfS/TJ+Y7y+teKftROA6qmxbDXTnvCPR1BtarKvinpBzdNCNddJuqSQVNWxHRLeGon0u6a+sgV7SPAA==",
        "pbkdf2-sha512 rounds=10000",
    ),
    # slappasswd, with its modules pw-sha2 and pw-pbkdf2
    Vector("test", "{SHA256}n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", "sha256"),
    Vector("test", "{SSHA256}28STTSBLCwEZ/mlTOtsJlya702Dy9NxEVg55+rjoN4ujgwZKbHmPLw==", "ssha256"),
    Vector("test", "{SHA384}doQSMg97CqWBL85CjcRwazyuUOAqZMqhangiSb/o78S37xzLEmJV0ZYEff7fF6Cp", "sha384"),
    Vector("test", "{SSHA384}JIeYoQBzHzlvczv1Mf0saFZLfC38xyQBkUnWhtgkAZbnqcui2vewyUhDwir1NP4Hi/gaer6P8rc=", "ssha384"),
    Vector("test", "{SHA512}7iaw3Ur350mqGo7jwQrpkj9hiYB3Lkc/iBml1JQODbJ6wYX4oOHV+E+IvIh/1nsUNzLDBMxfqa2Ob1f1ACio/w==", "sha512"),
    Vector(
        "test",
        "{SSHA512}N4sVAqOGMpB2QmOFBDhwpUSNt6Hy6uefSl/C9sNEOl5Ltb3/QGwJB8xhSTm1Q8CtBr7DqaVS5e4FGbKmadw+Z8KsOgsOpmsB",
        "ssha512",
    ),
    Vector("test", "{PBKDF2-SHA1}10000$XTUiueXa5pykL4W28vGqiQ$mTyeudmWQCQC5QpqgpOjlmngAHg", "pbkdf2-sha1 rounds=10000"),
    Vector(
        "test",
        "{PBKDF2-SHA256}10000$vPwhR2N.n/xj1u9tn5MFIg$uM8Av/jcv6S7PUbcZ9rfaTqayQkgGUEH4ZsImn3ZZmY",
        "pbkdf2-sha256 rounds=10000",
    ),
    Vector(
        "test",
        "{PBKDF2-SHA512}10000$t56PMHflH9nkIma2yPD.nQ"
        "$/LwCfZUsbjMZC1abWsdsIJxquPrzUYCM/CYmLfFR0JTM3VOjqIbCGRFg67F2J45W9l/k84MjqYQW3z3118cClw",
        "pbkdf2-sha512 rounds=10000",
    ),
    # htpasswd's manual
    Vector("myPassword", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "apr1"),
    # RFC 5802 section 5 and RFC 7677 section 3
    Vector(
        "pencil",
        "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "scram-sha-1 rounds=4096",
    ),
    Vector(
        "pencil",
        "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "scram-sha-256 rounds=4096",
    ),
)

SPELLINGS = (
    # as Dovecot spells them: its own samples, and `doveadm pw -s SCHEME` with a coding
    ("{SHA1}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "sha"),
    ("{SHA.HEX}a94a8fe5ccb19ba61c4c0873d391e987982fbbd3", "sha"),
    ("{SHA}A94A8FE5CCB19BA61C4C0873D391E987982FBBD3", "sha"),
    ("{sha1.base64}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "sha"),
    ("{SSHA.HEX}14605cf0cb62bda947d7d78888b2aa85d0df31ef77e61da1", "ssha"),
    ("{LDAP-MD5}CY9rzUYh03PK3k6DJie09g==", "md5"),
    ("{PLAIN-MD5}098f6bcd4621d373cade4e832627b4f6", "md5"),
    ("{MD5}098f6bcd4621d373cade4e832627b4f6", "md5"),
    ("{MD5}$1$wmyrgRuV$kImF6.9MAFQNHe23kq5vI/", "md5crypt"),
    ("{MD5-CRYPT}$1$GgvxyNz8$OjZhLh4P.gF1lxYEbLZ3e/", "md5crypt"),
    ("{PLAIN-MD4}db346d691d7acc4dc2625db19f9e3f52", "plain-md4"),
    ("{HMAC-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6", "cram-md5"),
    ("{CRAM-MD5.b64}4C03T94Nx1oXpVcDmjpTOMd0MwR3fczTdvMyvuaNLPY=", "cram-md5"),
    ("{CRYPT}//EsnG9FLTKjo", "descrypt"),
    ("{PLAIN}test", "plain"),
    ("{Clear}test", "plain"),
    ("{cleartext}test", "plain"),
    ("{PLAIN.B64}dGVzdA==", "plain"),
    ("{CLEAR.hex}74657374", "plain"),
    (
        (
            "{SHA512-CRYPT.B64}JDYkRlBiLlpsdWJWUi5sM0ZpVCRIQ1R4VGRVN0JYYU9pMGpMNGNFajlIRDMzR2RnLlRuNnZHSjFEU3IwRU1EVzlkdHpCcUJhVVZqSDQ0OG1jQlVq"
            "TkNlNjRwd0ZlR2dvSnJzVVVjRWxkLg=="
        ),
        "sha512crypt",
    ),
    (
        (
            "{SCRAM-SHA-256}4096,/iAqUa9H7FABjF8s3T8ltg==,LUre8b9+nzg5KabbtNThXPSky3nENjdqPqDIWpnUwcM=,"
            "rA9Of5KW9YUEDoeWc8NfMrn8SEUyx1MSF+5KgWAg5Bg="
        ),
        "scram-sha-256",
    ),
    # as OpenLDAP spells them, with its modules pw-pbkdf2, pw-apr1 and argon2
    ("{PBKDF2}10000$/l7k7P7LCoDF5cMIdeSFVQ$fWbWWVnqlbrv08GioxQmYUELsKg", "pbkdf2-sha1"),
    ("{APR1}Ivde00xJ+VdU0RxVIzyFKVJBNllwYTl4", "apr1"),
    ("{BSDMD5}fGkFP1MTODajP4RFgjcUOGNlMVdQU2Qy", "md5crypt"),
    ("{ARGON2}$argon2i$v=19$m=4096,t=3,p=1$jidH5ZRS7fHvfctPh7wdRg$4558z0Co8GlxN9TBo9+g7kARDPrsMkBmwxgcxJBF2k4", "argon2i"),
    # Samba's form of the NT hash
    ("{NT}0CB6948805F797BF2A82807973B89537", "nt"),
    ("{NTLM}0cb6948805f797bf2a82807973b89537", "nt"),
    ("{APR1}$apr1$RA6Ypa9x$XYj6wQpx3GZLd2xo7l/HJ/", "apr1"),
)
"""Records of the password `test` that are spelt otherwise elsewhere than here, and the scheme that each is of."""

CHEAP = tuple(
    next(
        vector
        for vector in reversed(VECTORS)
        if vector.scheme == scheme and "65536" not in vector.profile and "16384,r=32" not in vector.profile
    )
    for scheme in dict.fromkeys(vector.scheme for vector in VECTORS)
)
"""One of each scheme, of 50 ms at most."""

NO_RECORDS = (
    *("", "*", "!", "x", "!$6$salt$digest", "$6$salt", "$9$unknown$digest", "plain text"),
    # labels that are none, that nobody has, or with nothing behind them
    *("{}", "{}$1$abcd$QAUIWiSLODOtSz9J37Vi80", "{PLAIN", "PLAIN}test", " {PLAIN}test", "{ PLAIN}test", "{SECRET-SCHEME}text"),
    *("{CRYPT}", "{PLAIN}", "{CLEARTEXT}", "{CLEAR.hex}", "{SSHA}", "{CRYPT}{PLAIN}test", "{CRYPT}$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"),
    "{SSHA}{SSHA}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO",
    # codings that are none, or of something else than they say
    *("{PLAIN.rot13}grfg", "{PLAIN.}test", "{.b64}dGVzdA==", "{PLAIN.b64.b64}dGVzdA==", "{PLAIN.b64}dGVzdA", "{PLAIN.hex}7465737"),
    *("{SSHA.hex}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO", "{SHA.hex}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "{PLAIN}\ud800"),
    # base64 cut, with a bit astray, with something behind it, of other letters
    *("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M", "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9N=", "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M= "),
    *("{SHA}\u0430" + "A" * 27, "{MD5}CY9rzUYh03PK3k6DJie09g==CY9r"),
    # digests of another length, without salt, with a giant one
    *("{SHA}test", "{SHA256}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "{SSHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "{SSHA}" + "A" * 200),
    *("{CRAM-MD5}" + "a" * 62, "{CRAM-MD5}" + "g" * 64, "{NT}0CB6948805F797BF2A82807973B895", "{NT}dGVzdA=="),
    *("{MD5}$1$", "{APR1}CY9rzUYh03PK3k6DJie09g==", "{APR1}x", "{BSDMD5}" + "A" * 40),
    # PBKDF2 without rounds or salt, of another form or digest
    *("{PBKDF2}$1$salt$0$" + "a" * 40, "{PBKDF2}$1$salt$01$" + "a" * 40, "{PBKDF2}$1$$1$" + "a" * 40, "{PBKDF2}$2$salt$1$" + "a" * 40),
    *("{PBKDF2}$1$salt$1$" + "a" * 38, "{PBKDF2-SHA1}1$$mTyeudmWQCQC5QpqgpOjlmngAHg", "{PBKDF2-SHA1}1$c2Fsd$mTyeudmWQCQC5QpqgpOjlmngAHg"),
    *("{PBKDF2-SHA1}-1$c2FsdA$mTyeudmWQCQC5QpqgpOjlmngAHg", "{PBKDF2-SHA256}1$c2FsdA$mTyeudmWQCQC5QpqgpOjlmngAHg"),
    # with padding that does not fill up to four letters
    *("{PBKDF2-SHA1}1$c2FsdA=$mTyeudmWQCQC5QpqgpOjlmngAHg=", "{PBKDF2-SHA1}1$c2FsdA==$mTyeudmWQCQC5QpqgpOjlmngAHg=="),
    *("{PBKDF2-SHA1}1$c2FsdA==$mTyeudmWQCQC5QpqgpOjlmngAHg===", "{PBKDF2-SHA1}1$c2=sdA==$mTyeudmWQCQC5QpqgpOjlmngAHg="),
    # SCRAM likewise
    *("{SCRAM-SHA-1}4096,,,", "{SCRAM-SHA-1}0,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE="),
    "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf9,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
    "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOs",
    "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlG,D+CSWLOshSulAsxiupA+qs2/fTE=",
    "{SCRAM-SHA-256}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
)
"""What stands where a record should, and is none that can be verified."""
