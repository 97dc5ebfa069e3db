"""TLS of the daemon as a client: a private CA, the broker's name checked, a line for each refusal."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime

from kanhu.config import Tls
from kanhu.errors import ConfigError, LinkDown

# No computer that runs this is before it: a board without a battery clock starts in 1970 or 2000.
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_NOT_YET, _EXPIRED = 9, 10
_UNKNOWN_CA = (2, 18, 19, 20, 21)
_WRONG_NAME = (62, 64)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")  # OpenSSL's reasons for an answer that is no TLS


class ClientTls:
    """context() for each connection, so that files and clock are looked at anew; why() an error in words."""

    def __init__(self, settings: Tls, host: str, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self.server_name = settings.server_name or host

    def check(self) -> None:
        """Whether the files can be used; ConfigError."""
        self._load()

    def context(self) -> ssl.SSLContext:
        """A context that verifies chain, dates and name; ConfigError: a file, LinkDown: the clock."""
        now = self._clock()
        if now < EARLIEST:
            day = datetime.fromtimestamp(now, UTC).date()
            raise LinkDown(f"this computer's clock says {day}: no TLS before it is set (timedatectl)")
        return self._load()

    def why(self, error: Exception) -> str:
        """What to do about an error of a connection; empty where TLS has no part in it."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._refused(error)
        if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
            return "tls: the broker ended the handshake: does it speak TLS on this port?"
        if isinstance(error, ssl.SSLError):
            if error.reason in _NO_TLS:
                return "tls: the broker speaks no TLS on this port: take its TLS port, or take tls out"
            return f"tls: {error.reason or error}"
        return ""

    def _refused(self, error: ssl.SSLCertVerificationError) -> str:
        code, name = error.verify_code, self.server_name
        if code == _EXPIRED:
            return f"tls: the certificate of {name} has expired: kanhu pki renew, and have the broker load it"
        if code == _NOT_YET:
            return f"tls: the certificate of {name} is not valid yet: look at this clock and its maker's"
        if code in _WRONG_NAME:
            return f"tls: the certificate is not for {name}: kanhu pki issue --san {name}, or tls.server_name"
        if code in _UNKNOWN_CA:
            return f"tls: the certificate of {name} is of a CA that {self._settings.ca_file} does not hold"
        return f"tls: {error.verify_message}"

    def _load(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain, dates and name
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # what an ESP32's mbedTLS speaks
        try:
            context.load_verify_locations(cafile=str(settings.ca_file))
        except ssl.SSLError:
            raise ConfigError(f"tls.ca_file {settings.ca_file}: no certificate in PEM in it") from None
        except OSError as error:
            raise ConfigError(f"tls.ca_file {settings.ca_file}: {error.strerror}") from None
        if settings.cert_file is not None and settings.key_file is not None:
            load_pair(settings, context)
        return context


def load_pair(settings: Tls, context: ssl.SSLContext | None = None) -> None:
    """Load a certificate and its key, or only see that it can be done; ConfigError."""
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in ("cert_file", "key_file"):
        path = getattr(settings, name)
        try:
            path.read_bytes()  # OpenSSL does not say which of the two it could not read
        except OSError as error:
            raise ConfigError(f"tls.{name} {path}: {error.strerror}") from None
    try:
        context.load_cert_chain(str(settings.cert_file), str(settings.key_file))
    except (ssl.SSLError, OSError):
        raise ConfigError(
            f"tls.cert_file {settings.cert_file} and tls.key_file {settings.key_file}: "
            "not a certificate in PEM and the key that belongs to it"
        ) from None
