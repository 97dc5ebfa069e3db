"""A private CA for tests, its servers' certificates, and both brokers behind TLS."""

from __future__ import annotations

import re
import signal
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from helpers_broker import Broker, Mosquitto, NatsBroker
from kanhu.pki.certificates import Certified, issue, make_ca

NAME = "broker.lan"


class Papers:
    """A CA, another nobody knows, and certificates of a broker; all files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = make_ca("home")
        self.stranger = make_ca("stranger")
        (folder / "ca.pem").write_bytes(self.ca.pem)
        (folder / "stranger.pem").write_bytes(self.stranger.pem)
        self.ca_file = folder / "ca.pem"
        self.cert_file = folder / "server.crt"
        self.key_file = folder / "server.key"
        self.good()

    def use(self, made: Certified) -> None:
        """The broker's certificate and key from its next start or reload on."""
        self.cert_file.write_bytes(made.pem)
        self.key_file.write_bytes(made.key_pem)
        self.key_file.chmod(0o600)

    def good(self, ca: Certified | None = None) -> None:
        """A server's certificate as it should be."""
        self.use(issue(ca or self.ca, "broker", [NAME, "127.0.0.1"]))

    def wrong_name(self) -> None:
        self.use(issue(self.ca, "broker", ["elsewhere.lan", "192.0.2.7"]))

    def expired(self) -> None:
        long_ago = datetime.now(UTC) - timedelta(days=3)
        self.use(issue(self.ca, "broker", [NAME, "127.0.0.1"], days=2, now=long_ago))

    def not_yet(self) -> None:
        later = datetime.now(UTC) + timedelta(days=3)
        self.use(issue(self.ca, "broker", [NAME, "127.0.0.1"], now=later))

    def unknown_ca(self) -> None:
        self.good(self.stranger)


class TlsNats(NatsBroker):
    """nats-server whose MQTT listener speaks TLS; reload() takes new certificate files."""

    def __init__(self, folder: Path, papers: Papers, extra: str = "") -> None:
        tls = f'tls {{ cert_file: "{papers.cert_file}", key_file: "{papers.key_file}" }}'
        super().__init__(folder, extra, tls)

    def _ready(self) -> bool:
        text = self.log.read_text(errors="replace")
        found = re.search(r"MQTT clients on tls://[^\s:]+:(\d+)", text)
        if found is None or "Server is ready" not in text:
            return False
        self.port = int(found[1])
        return True


class TlsMosquitto(Mosquitto):
    """Debian's mosquitto whose listener speaks TLS."""

    def __init__(self, folder: Path, papers: Papers, extra: str = "", anonymous: bool = True) -> None:
        tls = f"certfile {papers.cert_file}\nkeyfile {papers.key_file}\n"
        super().__init__(folder, tls + extra, anonymous)


def restart(broker: Broker) -> None:
    """Stop and start on the same port: what a broker's administrator does after new certificates."""
    broker.stop()
    broker.start()


def reload(broker: Broker) -> None:
    """SIGHUP."""
    assert broker._process is not None
    broker._process.send_signal(signal.SIGHUP)


def serial_served(port: int) -> int:
    """Serial number of the certificate that a server shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        shown = wrapped.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number
