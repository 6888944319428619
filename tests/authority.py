"""An authority of the tests' own, which certifies servers on this machine, and clients."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Certifies whoever has a file below ``folder``, and says whom to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test")
        ca = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = _pem(self._sign(self._name, self._key, ca, 1))

    def trusting(self) -> ssl.SSLContext:
        """Return what a client trusts that trusts this authority alone."""
        return ssl.create_default_context(cadata=self.certificate)

    def serving(self, address: str) -> ssl.SSLContext:
        """Return what a server needs that is certified for an IP address."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue("server", address))
        return context

    def issue(
        self, name: str, address: str | None = None, *, days: int = 1, password: str | None = None
    ) -> Path:
        """Return a file with a private key and its certificate, whose common name is ``name``.

        ``address``: of the server that it is for, an IP; ``days``: how long it is good from now,
        of a negative number how long it has not been.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        what: x509.ExtensionType = x509.BasicConstraints(ca=False, path_length=None)
        if address is not None:
            what = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption(),
        )
        file = self._folder / f"{name}{address or ''}{days:+}.pem"
        file.touch(mode=0o600)
        file.write_bytes(private + _pem(self._sign(_name(name), key, what, days)).encode())
        return file

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        days: int,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder(
            self._name, name, key.public_key(), x509.random_serial_number(),
            now - dt.timedelta(1 + abs(days)), now + dt.timedelta(days),
        )  # fmt: skip
        return made.add_extension(extension, critical=True).sign(self._key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
