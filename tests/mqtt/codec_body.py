"""Checks of the MQTT codec that run on CPython (under pytest) and on MicroPython (as a script)."""

from kanhu_protocol import mqtt


def raises(word, call, *args):
    got = None
    try:
        call(*args)
    except mqtt.MqttError as error:
        got = error.args[0]
    assert got == word, (got, args)


def decode(data, bound=1280):
    return mqtt.Decoder(bound).feed(data)


def check_connect_bytes():
    # Section 3.1, written out by hand.
    assert mqtt.connect("a", 10, True) == b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a"
    assert mqtt.connect("a", 300, False, ("w", b"\xff", 1, True), "u", "p") == (
        b"\x10\x19\x00\x04MQTT\x04\xec\x01\x2c\x00\x01a\x00\x01w\x00\x01\xff\x00\x01u\x00\x01p"
    )
    assert mqtt.connect("a", 10, False, None, "u")[9] == 0x80
    raises("password", mqtt.connect, "a", 10, True, None, None, "p")
    raises("keep_alive", mqtt.connect, "a", 65536)
    raises("keep_alive", mqtt.connect, "a", -1, True, None, "u")
    raises("topic", mqtt.connect, "a", 10, True, ("", b"", 0, False))


def check_other_bytes():
    assert mqtt.publish("a/b", b"x") == b"\x30\x06\x00\x03a/bx"
    assert mqtt.publish("a/b", b"x", 1, 10) == b"\x32\x08\x00\x03a/b\x00\x0ax"
    assert mqtt.publish("a/b", b"", 1, 0xFFFE, True, True) == b"\x3b\x07\x00\x03a/b\xff\xfe"
    assert mqtt.puback(0x1234) == b"\x40\x02\x12\x34"
    assert mqtt.subscribe(10, [("a/b", 1), ("c/#", 0)]) == b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/#\x00"
    assert mqtt.PINGREQ == b"\xc0\x00"
    assert mqtt.DISCONNECT == b"\xe0\x00"


def check_sizes_are_refused():
    raises("id", mqtt.puback, 0)
    raises("id", mqtt.puback, 65536)
    raises("id", mqtt.publish, "a", b"", 1)
    raises("topic", mqtt.publish, "", b"")
    raises("topic", mqtt.publish, "a/+", b"")
    raises("topic", mqtt.publish, "a/#", b"")
    raises("topic", mqtt.publish, "a\0", b"")
    raises("size", mqtt.publish, "a" * 65536, b"")
    assert mqtt.publish("a", b"x" * 124)[1:2] == b"\x7f"
    assert mqtt.publish("a", b"x" * 125)[1:3] == b"\x80\x01"
    assert mqtt.publish("a", b"x" * 16380)[1:3] == b"\xff\x7f"
    assert mqtt.publish("a", b"x" * 16381)[1:4] == b"\x80\x80\x01"


def check_every_packet_decodes():
    assert decode(b"\x20\x02\x01\x00") == [(mqtt.CONNACK, 0, 1, "", b"")]
    assert decode(b"\x20\x02\x00\x05") == [(mqtt.CONNACK, 5, 0, "", b"")]
    assert decode(b"\x40\x02\x12\x34") == [(mqtt.PUBACK, 0x1234, 0, "", b"")]
    assert decode(b"\x90\x04\x00\x0a\x01\x80") == [(mqtt.SUBACK, 10, 0, "", b"\x01\x80")]
    assert decode(b"\xb0\x02\x00\x0a") == [(mqtt.UNSUBACK, 10, 0, "", b"")]
    assert decode(b"\xd0\x00") == [(mqtt.PINGRESP, 0, 0, "", b"")]
    assert decode(b"\x30\x06\x00\x03a/bx") == [(mqtt.PUBLISH, 0, 0, "a/b", b"x")]
    assert decode(b"\x3b\x08\x00\x03a/b\x00\x0ax") == [(mqtt.PUBLISH, 10, 11, "a/b", b"x")]
    assert decode(b"\x30\x05\x00\x03\xe7\x9c\x8b") == [(mqtt.PUBLISH, 0, 0, "\u770b", b"")]


MALFORMED = (
    b"\x20\x02\x02\x00",  # CONNACK: reserved flag
    b"\x20\x02\x00\x06",  # CONNACK: reserved return code
    b"\x20\x02\x01\x05",  # CONNACK: session present in a refusal
    b"\x21\x02\x00\x00",  # CONNACK: flags in the fixed header
    b"\x20\x03\x00\x00\x00",  # CONNACK: too long
    b"\x20\x00",  # CONNACK: empty
    b"\x40\x02\x00\x00",  # PUBACK: id 0
    b"\x41\x02\x00\x01",  # PUBACK: flags
    b"\x40\x01\x00",  # PUBACK: too short
    b"\x40\x03\x00\x01\x00",  # PUBACK: too long
    b"\x90\x02\x00\x0a",  # SUBACK: no return code
    b"\x90\x03\x00\x0a\x03",  # SUBACK: reserved return code
    b"\x90\x03\x00\x00\x00",  # SUBACK: id 0
    b"\xb0\x03\x00\x0a\x00",  # UNSUBACK: too long
    b"\xb0\x02\x00\x00",  # UNSUBACK: id 0
    b"\xd0\x01\x00",  # PINGRESP: not empty
    b"\xd1\x00",  # PINGRESP: flags
    b"\x00\x00",  # reserved type
    b"\xf0\x00",  # reserved type
    b"\x10\x00",  # CONNECT comes from clients only
    b"\x50\x02\x00\x01",  # PUBREC: QoS 2 was never asked for
    b"\x30\x00",  # PUBLISH: no topic length
    b"\x30\x01\x00",  # PUBLISH: half a topic length
    b"\x30\x02\x00\x00",  # PUBLISH: empty topic
    b"\x30\x03\x00\x02a",  # PUBLISH: topic longer than the packet
    b"\x32\x04\x00\x01a\x00",  # PUBLISH: half a packet id
    b"\x32\x05\x00\x01a\x00\x00",  # PUBLISH: id 0
    b"\x34\x05\x00\x01a\x00\x01",  # PUBLISH: QoS 2
    b"\x36\x05\x00\x01a\x00\x01",  # PUBLISH: QoS 3
    b"\x38\x03\x00\x01a",  # PUBLISH: DUP with QoS 0
    b"\x30\x03\x00\x01#",  # PUBLISH: wildcard
    b"\x30\x03\x00\x01+",
    b"\x30\x03\x00\x01\x00",  # PUBLISH: U+0000
    b"\x30\x03\x00\x01\xff",  # PUBLISH: not UTF-8
    b"\x30\x80\x80\x80\x80\x01",  # remaining length in five bytes
    b"\xd0\xff\xff\xff\xff",
    b"\x20\x81\x80\x01\x00",  # anything but a PUBLISH above the bound
    b"\x34\xff\xff\x7f\x00\x01a\x00\x01",  # a PUBLISH above the bound, QoS 2
    b"\x32\xff\xff\x7f\x00\x01a\x00\x00",  # the same, id 0
    b"\x30\xff\xff\x7f\xff\xff",  # the same, its topic alone above the bound
)


def check_malformed_is_refused():
    for data in MALFORMED:
        for step in (1, 2, len(data)):
            decoder = mqtt.Decoder(1280)
            try:
                for at in range(0, len(data), step):
                    assert decoder.feed(data[at : at + step]) == []
            except mqtt.MqttError:
                continue
            raise AssertionError(f"accepted: {data}")


def check_cut_anywhere():
    stream = (
        b"\x20\x02\x00\x00"
        + mqtt.publish("a/b", b"x" * 200, 1, 7)
        + b"\x40\x02\x00\x01"
        + mqtt.publish("c", b"", 0)
        + mqtt.publish("big", b"y" * 2000, 1, 9, True)
        + b"\xd0\x00"
    )
    whole = decode(stream, 512)
    assert [p[0] for p in whole] == [2, 3, 4, 3, 16, 13], whole
    assert whole[4] == (mqtt.OVERSIZE, 9, 3, "", b"")
    for step in (1, 2, 3, 7, 100, 511, 1000):
        decoder = mqtt.Decoder(512)
        got = []
        for at in range(0, len(stream), step):
            got += decoder.feed(stream[at : at + step])
            assert len(decoder._held) <= 512
        assert got == whole, step


def check_bound_is_exact():
    packet = mqtt.publish("a", b"x" * 123, 0)
    assert decode(packet, len(packet))[0][0] == mqtt.PUBLISH
    assert decode(packet, len(packet) - 1) == [(mqtt.OVERSIZE, 0, 0, "", b"")]


CHECKS = (
    check_connect_bytes,
    check_other_bytes,
    check_sizes_are_refused,
    check_every_packet_decodes,
    check_malformed_is_refused,
    check_cut_anywhere,
    check_bound_is_exact,
)

if __name__ == "__main__":
    for check in CHECKS:
        check()
        print(check.__name__)
