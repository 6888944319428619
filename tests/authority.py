"""An authority of the tests' own, which certifies servers on this machine."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Certifies servers below ``folder``, and says whom to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        self._name = name
        ca = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = _pem(self._sign(name, self._key, ca))

    def trusting(self) -> ssl.SSLContext:
        """Return what a client trusts that trusts this authority alone."""
        return ssl.create_default_context(cadata=self.certificate)

    def serving(self, address: str) -> ssl.SSLContext:
        """Return what a server needs that is certified for an IP address."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        file = self._folder / f"{address}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.write_bytes(private + _pem(self._sign(server, key, names)).encode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder(
            self._name, name, key.public_key(), x509.random_serial_number(),
            now - dt.timedelta(1), now + dt.timedelta(1),
        )  # fmt: skip
        return made.add_extension(extension, critical=True).sign(self._key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
