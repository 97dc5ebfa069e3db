# esp32 as on an ESP32-S3: NVS kept by the bench. A value set is lost unless commit() follows: ESP-IDF mostly
# writes at once but promises nothing before commit, so the bench takes it at its word.
import binascii

import _bench
from micropython import const

HEAP_DATA = 4
HEAP_EXEC = 1
_INVALID_LENGTH = const(-0x110C)


class NVS:
    def __init__(self, namespace):
        _bench.call("nvs_open", namespace)
        self._space = namespace

    def set_i32(self, key, value):
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("overflow converting long int to machine word")
        _bench.call("nvs_set", self._space, key, value)

    def get_i32(self, key):
        return _bench.call("nvs_get", self._space, key, "i32")

    def set_blob(self, key, value):
        _bench.call("nvs_set", self._space, key, binascii.hexlify(bytes(value)).decode())

    def get_blob(self, key, buffer):
        value = binascii.unhexlify(_bench.call("nvs_get", self._space, key, "blob"))
        if len(value) > len(buffer):
            raise OSError(_INVALID_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        _bench.call("nvs_erase", self._space, key)

    def commit(self):
        _bench.call("nvs_commit", self._space)


def idf_heap_info(capabilities):
    # One region of an ESP32-S3 with Wi-Fi up: (total, free, largest free block, lowest free so far), bytes.
    return [(239000, 116000, 65536, 98000)]


def mcu_temperature():
    return 41
