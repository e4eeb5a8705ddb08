"""Records that other programs made, by scheme: from libargon2's own command, OpenSSL, mkpasswd, Dovecot and the schemes' authors."""

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
)

CHEAP = tuple(
    next(
        vector
        for vector in reversed(VECTORS)
        if vector.scheme == scheme and "65536" not in vector.profile and "16384,r=32" not in vector.profile
    )
    for scheme in dict.fromkeys(vector.scheme for vector in VECTORS)
)
"""One of each scheme, of 50 ms at most."""
