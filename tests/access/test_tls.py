"""TLS files: which are refused at the start, and which count when they change."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from safelight_server.access.tls import Files, Tls
from safelight_server.errors import LoadError
from support.access import Certificates, certificates
from support.servers import refused_start


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return certificates(tmp_path / "made")


def test_what_does_not_fit_is_refused(made: Certificates, tmp_path: Path) -> None:
    other = certificates(tmp_path / "other")
    with pytest.raises(LoadError, match=r"key\.pem: the key is not this certificate's"):
        Tls(Files(made.cert, other.key))
    with pytest.raises(LoadError, match=r"--tls-cert .*missing\.pem: No such file"):
        Tls(Files(tmp_path / "missing.pem", made.key))
    empty = tmp_path / "empty.pem"
    empty.touch()
    with pytest.raises(LoadError, match=r"--tls-cert .*empty\.pem and --tls-key"):
        Tls(Files(empty, made.key))
    with pytest.raises(LoadError, match=r"--tls-client-ca .*empty\.pem"):
        Tls(Files(made.cert, made.key, empty))


def test_a_key_with_a_passphrase_is_refused_and_not_waited_for(made: Certificates, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    command = f"openssl pkcs8 -topk8 -v2 aes256 -passout pass:secret -in {made.key} -out {locked}"
    subprocess.run(command.split(), check=True, capture_output=True)
    with pytest.raises(LoadError, match="must be a key without a passphrase"):
        Tls(Files(made.cert, locked))


def test_new_files_count_once_they_fit_each_other(made: Certificates, tmp_path: Path) -> None:
    tls, other = Tls(Files(made.cert, made.key)), certificates(tmp_path / "other")
    before = tls.now()
    made.cert.write_bytes(other.cert.read_bytes())
    assert tls.now() is before, "its key is still the old one"
    made.key.write_bytes(other.key.read_bytes())
    assert tls.now().cert == other.cert.read_bytes()


@pytest.mark.parametrize("given", [("--tls-cert", "a"), ("--tls-key", "a"), ("--tls-client-ca", "a")])
def test_a_part_without_the_rest(given: tuple[str, str]) -> None:
    assert "TLS takes both --tls-cert and --tls-key" in refused_start(*given)
