#!/usr/bin/env python3
"""The module byte by byte, against a running nginx: gateway.md 1-3, the checklist of section 11, hostile input.

    module.py [NAME...]      tests whose function name contains NAME
Environment: what `./build.sh env` prints; MODULE_SLOW=1 adds the tests that wait for the time-outs of the configuration as it is.
Tests are here, in rest.py, in groups.py and in life.py. After each test the nginx workers must be the same processes as before.
"""

import gzip
import os
import socket
import struct
import sys
import time

import groups
import life
import rest
from wire import ENV, PLACE, WAYS, pb, ws
from wire import Talk, gob_definition, gob_read, message, one_byte_at_a_time, sized, svar, text, upgrade, uvar, workers

# ---- the handshake

def test_handshake_in_single_bytes():
    user = PLACE.user()
    target = PLACE.url(user).split("/", 3)[3]
    host, port = ENV["OPENIM_WS_ADDRESS"].split(":")
    sock = socket.create_connection((host, int(port)), 10)
    one_byte_at_a_time(sock, (f"GET /{target} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n").encode())
    answer = sock.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 101"), answer
    assert "permessage" not in answer.lower()
    sock.close()


def test_first_frame_in_the_same_packet_as_the_handshake():
    user = PLACE.user()
    target = PLACE.url(user, sdkType="js").split("/", 3)[3]
    host, port = ENV["OPENIM_WS_ADDRESS"].split(":")
    sock = socket.create_connection((host, int(port)), 10)
    talk = Talk(None, user, "js", False)
    packed = talk.pack(1001, pb.encode("GetMaxSeqReq", {"userID": user}))
    frame = bytes([0x82, 0xFE]) + struct.pack(">H", len(packed)) + bytes(4) + packed
    sock.sendall((f"GET /{target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n").encode() + frame)
    data = b""
    while b'"reqIdentifier":1001' not in data:
        more = sock.recv(4096)
        assert more, f"closed after {data!r}"
        data += more
    sock.close()


# ---- frames

def test_every_way_of_encoding():
    for kind, compressed in WAYS:
        user = PLACE.user()
        talk = PLACE.open(user, kind, compressed)
        answer = talk.lives()
        assert (answer["reqIdentifier"], answer["operationID"]) == (1001, "op-module"), answer
        talk.link.close()


def test_frames_in_single_bytes():
    for kind, compressed in WAYS:
        user = PLACE.user()
        talk = PLACE.open(user, kind, compressed)

        def slowly(packed, link=talk.link):
            head = bytes([0x82, 0x80 | 126]) + struct.pack(">H", len(packed))
            key = os.urandom(4)
            one_byte_at_a_time(link.sock, head + key + bytes(b ^ key[n & 3] for n, b in enumerate(packed)))
        answer = talk.ask(1001, "GetMaxSeqReq", {"userID": user}, slowly)
        assert answer["errCode"] == 0, answer
        talk.link.close()


def test_fragments_with_a_ping_between():
    user = PLACE.user()
    talk = PLACE.open(user)

    def parts(packed):
        talk.link.send(ws.BINARY, packed[:7], fin=False)
        talk.link.send(ws.PING, b"between")
        talk.link.send(0, packed[7:9], fin=False)
        talk.link.send(0, b"", fin=False)
        talk.link.send(0, packed[9:])
    answer = talk.ask(1001, "GetMaxSeqReq", {"userID": user}, parts)
    assert answer["errCode"] == 0, answer
    pong = talk.link.wait(lambda f: f.opcode == ws.PONG, 5)
    assert pong and pong.payload == b"between"


def test_ping_is_answered_with_its_payload():
    talk = PLACE.open(PLACE.user())
    for payload in (b"", b"1795438488941622447", bytes(125)):
        talk.link.send(ws.PING, payload)
        pong = talk.link.wait(lambda f: f.opcode == ws.PONG, 5)
        assert pong and pong.payload == payload


def test_text_ping():
    talk = PLACE.open(PLACE.user())
    for sent, wanted in ((b'{"type":"ping"}', b'{"type":"pong","body":null}'), (b'{"type":"ping","body":"17"}', b'{"type":"pong","body":"17"}'),
                         (b'{"body":{"a":[1,2.5e3,null]},"type":"ping"}', b'{"type":"pong","body":{"a":[1,2.5e3,null]}}')):
        talk.link.send(ws.TEXT, sent)
        pong = talk.link.wait(lambda f: f.opcode == ws.TEXT, 5)
        assert pong and pong.payload == wanted, pong and pong.payload
    talk.link.send(ws.TEXT, b'{"type":"pong"}')
    talk.lives()


def test_protocol_violations_close_with_1002():
    def send(name, talk):
        if name == "unmasked":
            talk.link.send(ws.BINARY, b"x", mask=False)
        elif name == "rsv1":
            talk.link.send(ws.BINARY, b"x", rsv=4)
        elif name == "opcode 3":
            talk.link.send(3, b"x")
        elif name == "opcode 11":
            talk.link.send(11, b"x")
        elif name == "fragmented ping":
            talk.link.send(ws.PING, b"x", fin=False)
        elif name == "long ping":
            talk.link.send(ws.PING, bytes(126))
        elif name == "continuation of nothing":
            talk.link.send(0, b"x")
        elif name == "new message inside a message":
            talk.link.send(ws.BINARY, b"x", fin=False)
            talk.link.send(ws.BINARY, b"x")
    for name in ("unmasked", "rsv1", "opcode 3", "opcode 11", "fragmented ping", "long ping", "continuation of nothing",
                 "new message inside a message"):
        talk = PLACE.open(PLACE.user())
        send(name, talk)
        try:
            talk.dropped(1002)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def test_size_limit():
    user = PLACE.user()
    talk = PLACE.open(user)
    fill = 51200 - len(talk.pack(1001, pb.encode("GetMaxSeqReq", {"userID": user}), operation=""))
    packed = talk.pack(1001, pb.encode("GetMaxSeqReq", {"userID": user}), operation="o" * fill)
    assert len(packed) == 51200
    talk.link.send(ws.BINARY, packed)
    assert talk.reply()["errCode"] == 0
    talk.link.send(ws.BINARY, packed + b" ")
    talk.dropped(1009)
    talk = PLACE.open(user)
    for _ in range(6):
        talk.link.send(ws.BINARY if _ == 0 else 0, bytes(10000), fin=False)
    talk.dropped(1009)
    talk = PLACE.open(user)
    head = bytes([0x82, 0xFF]) + struct.pack(">Q", 1 << 62) + bytes(4)
    talk.link.sock.sendall(head)
    talk.dropped(1009)


def test_close_is_echoed():
    talk = PLACE.open(PLACE.user())
    talk.link.send(ws.CLOSE, struct.pack(">H", 3001) + b"reason")
    talk.dropped(3001)


# ---- envelopes

def dropped_by(payload, kind="js", compressed=False, opcode=ws.BINARY):
    talk = PLACE.open(PLACE.user(), kind, compressed)
    talk.link.send(opcode, payload(talk) if callable(payload) else payload)
    talk.dropped()


def test_bad_json_drops():
    for bad in (b"", b"{", b"[]", b"null1", b'{"reqIdentifier":"1001"}', b'{"reqIdentifier":1.5}', b'{"reqIdentifier":99999999999}',
                b'{"data":"*"}', b'{"sendID":1}', b"[" * 40000, b'{"a":' * 8000 + b"1" + b"}" * 8000, b'{"sendID":"' + b"\xff" * 100,
                b'{"operationID":"\\ud800\\"'):
        dropped_by(bad)


def test_bad_gob_drops():
    definition = gob_definition()
    value = sized(svar(64) + b"\x01" + svar(1001) + b"\x00")
    for bad in (b"", b"\x00", definition, definition[:-3], definition + value[:-1], value, definition + definition + value,
                sized(svar(65)) + value, b"\xf8" + b"\xff" * 8, b"\x80", uvar(1 << 31), sized(svar(-64) + b"\x03" + uvar(1 << 30)),
                definition + sized(svar(64) + b"\x07" + b"\x00"), definition + sized(svar(64) + b"\x03" + uvar(1 << 40)),
                definition + sized(svar(64) + b"\x01" + svar(1 << 40) + b"\x00"),
                b"".join(gob_definition(64 + n) for n in range(200)) + value,
                gob_definition(64, (("X", 64),)) + sized(svar(64) + b"\x01" * 400),
                gob_definition(64, (("ReqIdentifier", 6),)) + sized(svar(64) + b"\x01" + text("1001") + b"\x00")):
        dropped_by(bad, "go")


def test_gob_with_unknown_and_shuffled_fields_is_read():
    user = PLACE.user()
    talk = PLACE.open(user, "go")
    fields = (("Data", 5), ("Extra", 6), ("ReqIdentifier", 2), ("More", 1), ("SendID", 6), ("Float", 4), ("MsgIncr", 6))
    body = pb.encode("GetMaxSeqReq", {"userID": user})
    value = svar(300) + b"\x01" + text(body) + b"\x01" + text("skip") + b"\x01" + svar(1001) + b"\x01\x01\x01" + text(user) + b"\x01" + \
        uvar(0xfe3f) + b"\x01" + text("inc") + b"\x00"
    talk.link.send(ws.BINARY, gob_definition(300, fields) + sized(value))
    answer = talk.reply("inc")
    assert (answer["errCode"], answer["operationID"]) == (0, ""), answer


def test_gzip():
    dropped_by(lambda t: t.pack(1001, b"")[5:], "js", True)
    dropped_by(lambda t: b"{}", "js", True)
    dropped_by(lambda t: gzip.compress(b"{}")[:-4], "js", True)
    dropped_by(lambda t: gzip.compress(bytes(40 << 20)), "js", True)            # 40 KB that become 40 MB
    dropped_by(lambda t: gzip.compress(bytes(40 << 20)), "go", True)
    user = PLACE.user()
    talk = PLACE.open(user, "go", True)
    plain = gzip.decompress(talk.pack(1001, pb.encode("GetMaxSeqReq", {"userID": user})))
    talk.link.send(ws.BINARY, gzip.compress(plain[:20]) + gzip.compress(plain[20:]))
    assert talk.reply()["errCode"] == 0


def test_foreign_sender_and_unknown_requests_drop():
    for kind in ("js", "go"):
        dropped_by(lambda t: t.pack(1001, b"", user="somebody"), kind)
        for request in (0, -1, 1000, 1008, 2001, 2002, 3001, 2**31 - 1, -2**31):
            dropped_by(lambda t, r=request: t.pack(r, b""), kind)


def test_text_that_is_no_ping_drops():
    for bad in (b"", b"{", b"[]", b'"ping"', b'{"type":"pang"}', b'{"type":1}', b"\xff", b'{"type":"ping","body":}'):
        dropped_by(bad, opcode=ws.TEXT)


def test_broken_protobuf_is_an_error_reply():
    user = PLACE.user()
    talk = PLACE.open(user)
    for request in (1001, 1002, 1003, 1005, 1006, 1007, 2004, 2005):
        for bad in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b", b"\x0a\x05ab"):
            answer = talk.ask(request, None, bad)
            assert answer["errCode"] == 500 and not answer["data"], (request, bad, answer)
    talk.lives()


def test_invalid_utf8_in_a_message_is_an_error_reply():
    user, peer = PLACE.user(), PLACE.user()
    talk = PLACE.open(user)
    good = pb.encode("MsgData", message(user, peer, "utf8"))
    answer = talk.ask(1003, None, good + b"\xba\x01\x02\xff\xfe")       # field 23, ex
    assert answer["errCode"] == 500, answer
    talk.lives()


def test_operation_id_that_is_no_utf8_is_echoed():
    for place, bad in enumerate((b"\xff\xfe", b"op\xed\xa0\x80", b"\xc0\x80")):
        user, peer = PLACE.user(), PLACE.user()
        talk = PLACE.open(user, "go")
        for request, data in ((1001, pb.encode("GetMaxSeqReq", {"userID": user})),
                              (1003, pb.encode("MsgData", message(user, peer, f"{user}{place}"))), (2005, b""), (1004, b"")):
            talk.link.send(ws.BINARY, talk.pack(request, data, b"i\xff", operation=bad))
            while True:
                frame = talk.link.wait(lambda f: f.eof or f.opcode == ws.BINARY, 5)
                assert frame and not frame.eof, (request, bad)
                answer = gob_read(frame.payload)
                if answer["reqIdentifier"] == request:
                    break
            assert (answer["msgIncr"], answer["operationID"]) == (b"i\xff", bad), answer
            assert answer.get("errCode", 0) == (1001 if request == 1004 else 0), answer


# ---- requests

def test_requests_on_one_connection_are_answered_in_order():
    user, peer = PLACE.user(), PLACE.user()
    talk = PLACE.open(user)
    for n in range(30):
        if n % 3:
            data = pb.encode("MsgData", message(user, peer, f"{user}-{n}"))
            talk.link.send(ws.BINARY, talk.pack(1003, data, f"i{n}"))
        else:
            talk.link.send(ws.BINARY, talk.pack(1001, pb.encode("GetMaxSeqReq", {"userID": user}), f"i{n}"))
    got = []
    while len(got) < 30:
        answer = talk.reply()
        if answer["reqIdentifier"] != 2001:
            assert answer["errCode"] == 0, answer
            got.append(answer["msgIncr"])
    assert got == [f"i{n}" for n in range(30)], got


def test_content_is_kept_byte_for_byte():
    user, peer = PLACE.user(), PLACE.user()
    for kind, compressed in WAYS:
        talk, other = PLACE.open(user, kind, compressed, 1), PLACE.open(peer, kind, compressed, 2)
        content = bytes(range(256)) * 40
        name = f"{user}{kind}{compressed}"
        answer = talk.ask(1003, "MsgData", message(user, peer, name, content))
        assert answer["errCode"] == 0, answer
        for side in (other, talk):
            while True:
                push = side.reply("")
                pushed = pb.decode("PushMessages", push["data"])["msgs"]
                got = next(iter(pushed.values()))["Msgs"][0]
                if got["clientMsgID"] == name:
                    break
            assert pb.base64.b64decode(got["content"]) == content
        talk.link.close()
        other.link.close()


def test_a_slow_reader_is_closed_and_costs_nobody_else():
    slow, user = PLACE.user(), PLACE.user()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    upgrade(PLACE.url(slow, sdkType="js"), sock)
    talk = PLACE.open(user)
    for n in range(400):
        answer = talk.ask(1003, "MsgData", message(user, slow, f"{user}{n}", bytes(30000)))
        assert answer["errCode"] == 0, answer
    sock.settimeout(15)
    try:
        while sock.recv(1 << 20):
            pass
    except ConnectionResetError:
        pass
    sock.close()
    talk.lives()


def settled():
    """Waits for the workers of before a reload to end: then an end of one is a crash."""
    since, last = time.monotonic(), None
    deadline = since + 20
    while time.monotonic() < min(since + 1.5, deadline):
        now = workers()[1]
        if now != last:
            since, last = time.monotonic(), now
        time.sleep(0.05)


def main():
    settled()
    found = {**globals(), **vars(rest), **vars(groups), **vars(life)}
    tests = [(n, f) for n, f in found.items() if n.startswith("test_") and (len(sys.argv) < 2 or any(a in n for a in sys.argv[1:]))]
    passed = failed = 0
    for number, (name, test) in enumerate(tests, 1):
        before, problem = workers()[1], None
        try:
            test()
            if test not in life.NEW_WORKERS | groups.NEW_WORKERS and workers()[1] != before:
                problem = "an nginx worker ended"
        except Exception as error:  # pylint: disable=broad-except
            problem = f"{type(error).__name__}: {error}"
        passed, failed = passed + (not problem), failed + bool(problem)
        print(f"{'not ok' if problem else 'ok'} {number} {name[5:].replace('_', ' ')}" + (f": {problem}" if problem else ""), flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
