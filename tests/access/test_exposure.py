"""Which starts are refused: those that would let everybody in who reaches the machine."""

from __future__ import annotations

import pytest
from safelight_server.access import exposure
from safelight_server.errors import LoadError
from support.servers import refused_start


@pytest.mark.parametrize(
    ("target", "private"),
    [
        ("127.0.0.1:50051", True),
        ("127.9.9.9:50051", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("unix:/run/safelight.sock", True),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("192.168.1.7:50051", False),
        ("[fe80::1%eth0]:50051", False),
        ("pictures.example:50051", False),
        ("localhost.example:50051", False),
        ("[::ffff:10.0.0.1]:50051", False),
    ],
)
def test_addresses(target: str, private: bool) -> None:
    assert exposure.is_private(target) is private
    exposure.check("--listen", target, tls=True, tokens=True)
    if private:
        exposure.check("--listen", target, tls=False, tokens=False)
        return
    for tls, tokens, lacks in ((False, True, "nothing is encrypted"), (True, False, "anybody may call")):
        with pytest.raises(LoadError, match=lacks):
            exposure.check("--listen", target, tls=tls, tokens=tokens)


@pytest.mark.parametrize("option", ["--listen", "--http"])
def test_the_command_says_what_to_do(option: str) -> None:
    told = refused_start(option, "0.0.0.0:0")
    for words in (f"{option} 0.0.0.0:0: this address is open to others", "openssl req", "token me", "--insecure"):
        assert words in told
