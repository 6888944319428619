import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sinks.signing import NAME, Signer, SigningError, make_missing, verify


def test_what_is_signed_is_verified_and_nothing_else(tmp_path: Path) -> None:
    make_missing(tmp_path)
    signer = Signer.under(tmp_path)
    signature = signer.sign(b"content")
    assert verify(signer.public, b"content", signature)
    assert not verify(signer.public, b"content.", signature)
    assert not verify(signer.public, b"content", signer.sign(b"other"))
    assert not verify(signer.public, b"content", "no base64")
    make_missing(tmp_path / "other")
    assert not verify(Signer.under(tmp_path / "other").public, b"content", signature)


def test_the_key_is_its_owners_alone_and_stays(tmp_path: Path) -> None:
    assert make_missing(tmp_path / "secrets") == [NAME]
    file = tmp_path / "secrets" / NAME
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    assert make_missing(tmp_path / "secrets") == []
    assert file.read_bytes() == before


def test_a_key_that_is_none_is_named_and_not_told(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="certificate-key: No such file"):
        Signer.under(tmp_path)
    (tmp_path / NAME).write_text("hunter2")
    with pytest.raises(SigningError) as told:
        Signer.under(tmp_path)
    assert "hunter2" not in str(told.value)
    other = generate_private_key(65_537, 2048)
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / NAME).write_bytes(pem)
    with pytest.raises(SigningError, match="no Ed25519 key"):
        Signer.under(tmp_path)
    with pytest.raises(SigningError, match="not a public key"):
        verify("-----BEGIN", b"", "")


def test_anybody_can_check_a_signature_with_openssl(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    make_missing(tmp_path)
    signer = Signer.under(tmp_path)
    (tmp_path / "public.pem").write_text(signer.public)
    (tmp_path / "content").write_bytes(b"content")
    (tmp_path / "signature").write_bytes(base64.b64decode(signer.sign(b"content")))
    checked = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", "-in",
         "content", "-sigfile", "signature"],
        cwd=tmp_path, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert "Verified Successfully" in checked.stdout, checked.stderr
