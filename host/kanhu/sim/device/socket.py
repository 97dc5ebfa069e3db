# socket as on an ESP32: names resolve to the bench's own proxies, so that a dead Wi-Fi is dead.
import _bench
import _ppp
import network
from _bench import unix_socket as _unix
from micropython import const

_DNS_FAILED = const(-202)  # lwIP EAI_FAIL, as MicroPython's ESP32 port raises it

AF_INET = _unix.AF_INET
AF_INET6 = _unix.AF_INET6
SOCK_STREAM = _unix.SOCK_STREAM
SOCK_DGRAM = _unix.SOCK_DGRAM
SOL_SOCKET = _unix.SOL_SOCKET
SO_REUSEADDR = _unix.SO_REUSEADDR
SO_BROADCAST = _unix.SO_BROADCAST
IPPROTO_IP = 0
IPPROTO_TCP = 6
IPPROTO_UDP = 17
TCP_NODELAY = 1
socket = _unix.socket


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    if not (network.WLAN().isconnected() or _ppp.connected()):
        raise OSError(_DNS_FAILED)
    address, mapped = _bench.call("resolve", host, port)
    return _unix.getaddrinfo(address, mapped, af or AF_INET, type or SOCK_STREAM)
