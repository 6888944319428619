"""The key that certificates are signed with: Ed25519 (RFC 8032), in a file of the secrets.

Who has the public key checks them with any tool: it is PEM, as is the file.
"""

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from sinks.keys.keks import write_private

ALGORITHM = "Ed25519"
NAME = "certificate-key"


class SigningError(ValueError):
    """A key that is not there or is none. Names the file, never what it holds."""


class Signer:
    """Signs bytes. Safe to share between threads."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def under(cls, folder: Path) -> Self:
        """Read the key of the secrets ``folder``. Raise SigningError."""
        file = folder / NAME
        try:
            key = load_pem_private_key(file.read_bytes(), None)
        except OSError as error:
            raise SigningError(f"secret file {file}: {error.strerror}") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise SigningError(f"secret file {file}: holds no private key in PEM") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningError(f"secret file {file}: holds no {ALGORITHM} key")
        return cls(key)

    @property
    def public(self) -> str:
        """The public key, in PEM."""
        key = self._key.public_key()
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, content: bytes) -> str:
        """Return the signature of ``content``, in base64."""
        return b64encode(self._key.sign(content)).decode()


def make_missing(folder: Path) -> list[str]:
    """Make the key of the secrets ``folder`` if there is none; return the file that was made."""
    file = folder / NAME
    if file.exists():
        return []
    key = Ed25519PrivateKey.generate()
    write_private(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return [NAME]


def verify(public: str, content: bytes, signature: str) -> bool:
    """Tell whether ``signature`` is of ``content``, by the key ``public`` (PEM).

    Raise SigningError when that is no key.
    """
    try:
        key = load_pem_public_key(public.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError("not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningError(f"no {ALGORITHM} key")
    try:
        key.verify(b64decode(signature, validate=True), content)
    except (InvalidSignature, ValueError):
        return False
    return True
