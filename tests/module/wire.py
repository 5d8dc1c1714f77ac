"""Bytes on a socket, for tests that must be wrong on purpose: gob and JSON envelopes, gzip, single frames, one-byte writes.

The instance under test (PLACE, workers()) is the one of `./build.sh env`.
"""

import base64
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlencode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "contract"))
from rd import pb, ws  # noqa: E402
from rd.client import Client  # noqa: E402

REPLY = 10


def uvar(n):
    if n < 128:
        return bytes([n])
    data = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([256 - len(data)]) + data


def svar(n):
    return uvar(n << 1 if n >= 0 else ~n << 1 | 1)


def text(s):
    data = s if isinstance(s, bytes) else s.encode()
    return uvar(len(data)) + data


def sized(body):
    return uvar(len(body)) + body


REQUEST = (("ReqIdentifier", 2), ("Token", 6), ("SendID", 6), ("OperationID", 6), ("MsgIncr", 6), ("Data", 5))


def gob_definition(identity=64, fields=REQUEST, name="GeneralWsReq"):
    common = b"\x01" + text(name) + b"\x01" + svar(identity) + b"\x00"
    listed = b"".join(b"\x01" + text(n) + b"\x01" + svar(t) + b"\x00" for n, t in fields)
    return sized(svar(-identity) + b"\x03" + b"\x01" + common + b"\x01" + uvar(len(fields)) + listed + b"\x00" + b"\x00")


def gob(request, user, operation, increment, data, identity=64):
    body, last = svar(identity), 0
    for place, value in ((1, svar(request) if request else b""), (3, text(user) if user else b""), (4, text(operation) if operation else b""),
                         (5, text(increment) if increment else b""), (6, text(data) if data else b"")):
        if value:
            body += uvar(place - last) + value
            last = place
    return gob_definition(identity) + sized(body + b"\x00")


def gob_read(data):
    """Fields of a Resp: the definition message is skipped, the value's fields are taken by their fixed places."""
    def take(at):
        if data[at] < 128:
            return data[at], at + 1
        n = 256 - data[at]
        return int.from_bytes(data[at + 1:at + 1 + n], "big"), at + 1 + n

    size, at = take(0)
    at += size
    _, at = take(at)
    _, at = take(at)
    out, field = {}, 0
    names = ("", "reqIdentifier", "msgIncr", "operationID", "errCode", "errMsg", "data")
    while True:
        delta, at = take(at)
        if not delta:
            return out
        field += delta
        value, at = take(at)
        if names[field] in ("reqIdentifier", "errCode"):
            out[names[field]] = ~(value >> 1) if value & 1 else value >> 1
        else:
            out[names[field]], at = data[at:at + value], at + value


class Place:
    def __init__(self, api, url, secret, admin):
        self.ws, self.client = url, Client(api, secret, admin, timeout=REPLY)
        self.run, self.count = format(int(time.time() * 1000), "x"), 0

    def user(self):
        self.count += 1
        name = f"m{self.run}{self.count}"
        try:
            self.client.register([{"userID": name, "nickname": name}])
        except RuntimeError as error:
            if "1102" not in str(error):    # ours, sent again by the client on a connection that a reload closed
                raise
        return name

    def url(self, user, platform=5, **more):
        if "token" not in more:
            more["token"] = self.client.user_token(user, platform)
        query = {"sendID": user, "platformID": platform, "operationID": "module", "isBackground": "false"}
        query.update(more)
        return f"{self.ws}/?{urlencode(query)}"

    def open(self, user, kind="js", compressed=False, platform=5, **more):
        """kind js (JSON) or go (gob); more: of the query"""
        if kind == "js":
            more["sdkType"] = kind
        if compressed:
            more["compression"] = "gzip"
        status, _, body, link = ws.connect(self.url(user, platform, **more))
        if status != 101:
            raise AssertionError(f"no upgrade: {status} {body!r}")
        return Talk(link, user, kind, compressed)


class Talk:
    def __init__(self, link, user, kind, compressed):
        self.link, self.user, self.kind, self.compressed, self.count = link, user, kind, compressed, 0

    def pack(self, request, data, increment="i1", user=None, operation="op-module"):
        user = self.user if user is None else user
        if self.kind == "js":
            out = json.dumps({"reqIdentifier": request, "sendID": user, "operationID": operation, "msgIncr": increment,
                              "data": base64.b64encode(data).decode()}).encode()
        else:
            out = gob(request, user, operation, increment, data)
        return gzip.compress(out) if self.compressed else out

    def unpack(self, frame):
        data = frame.payload
        if self.compressed:
            data = gzip.decompress(data)
        if self.kind == "js":
            out = json.loads(data)
            out["data"] = base64.b64decode(out["data"] or "")
            return out
        out = gob_read(data)
        for name in ("msgIncr", "operationID", "errMsg"):
            out[name] = out.get(name, b"").decode()
        return {"errCode": 0, "data": b"", "reqIdentifier": 0, **out}

    def ask(self, request, message, data, send=None):
        """The reply to a request; pushes that come before it are passed over."""
        self.count += 1
        increment = f"{self.user}_{self.count}"
        packed = self.pack(request, pb.encode(message, data) if message else data, increment)
        (send or (lambda p: self.link.send(ws.BINARY, p)))(packed)
        return self.reply(increment)

    def reply(self, increment=None):
        while True:
            frame = self.link.wait(lambda f: f.eof or f.opcode == ws.BINARY, REPLY)
            if frame is None or frame.eof:
                raise AssertionError("no reply" if frame is None else "connection ended instead of a reply")
            answer = self.unpack(frame)
            if increment is None or answer["msgIncr"] == increment:
                return answer

    def lives(self):
        answer = self.ask(1001, "GetMaxSeqReq", {"userID": self.user})
        assert answer["errCode"] == 0, answer
        return answer

    def dropped(self, code="any"):
        """The server ends the connection; code: the close code that must come with it, None = no Close frame needed."""
        end = self.link.ending(REPLY)
        assert end is not None, "connection stays open"
        assert code in ("any", end["code"]), f"close code {end['code']}, expected {code}"

    def background(self, flag):
        answer = self.ask(2004, "SetAppBackgroundStatusReq", {"userID": self.user, "isBackground": flag})
        assert answer["errCode"] == 0 and not answer["data"], answer

    def pushed(self):
        """clientMsgID of the next message that is pushed"""
        while True:
            answer = self.reply("")
            if answer["reqIdentifier"] == 2001:
                push = pb.decode("PushMessages", answer["data"])
                if push.get("msgs"):
                    return next(iter(push["msgs"].values()))["Msgs"][0]["clientMsgID"]


ENV = os.environ
PLACE = Place("http://" + ENV["OPENIM_REST_ADDRESS"], "ws://" + ENV["OPENIM_WS_ADDRESS"], ENV.get("OPENIM_SECRET", "openIM123"),
              ENV.get("OPENIM_ADMIN", "imAdmin"))
WAYS = [("js", False), ("js", True), ("go", False), ("go", True)]


def workers():
    """The pid of nginx, and those of its worker processes."""
    with open(os.path.join(ENV["VAR"], "run", "nginx.pid"), encoding="ascii") as file:
        pid = int(file.readline())
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return pid, set(file.read().split())


def message(user, peer, name, content=b'{"content":"x"}'):
    return {"sendID": user, "recvID": peer, "clientMsgID": name, "senderPlatformID": 5, "sessionType": 1, "msgFrom": 100,
            "contentType": 101, "content": content, "createTime": int(time.time() * 1000), "status": 1}


def one_byte_at_a_time(sock, data, pause=0.0005):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in data:
        sock.sendall(bytes([byte]))
        time.sleep(pause)


def upgrade(url, sock=None):
    """The bare socket of a connection that nobody reads from, after its 101, and what came behind that."""
    host, target = url.split("/", 3)[2:]
    sock = sock or socket.socket()
    sock.settimeout(REPLY)
    sock.connect((host.split(":")[0], int(host.split(":")[1])))
    sock.sendall((f"GET /{target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n").encode())
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        assert more, f"closed after {data!r}"
        data += more
    assert data.startswith(b"HTTP/1.1 101"), data
    return sock, data.split(b"\r\n\r\n", 1)[1]


class SmallNginx:
    """A second nginx of the same build on free ports, with the same configuration but for `settings` (http level)."""

    def __init__(self, settings):
        self.var, self.settings = ENV["VAR"], settings
        self.log = os.path.join(self.var, "log", "nginx-small.log")

    def __enter__(self):
        with open(os.path.join(self.var, "nginx", "nginx.conf"), encoding="utf-8") as file:
            conf = file.read()
        ports = []
        for name in ("OPENIM_WS_ADDRESS", "OPENIM_REST_ADDRESS"):
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                ports.append(sock.getsockname()[1])
            conf = conf.replace(f"listen      {ENV[name]};", f"listen 127.0.0.1:{ports[-1]};")
        conf = re.sub(r"(?m)^worker_processes .*", "worker_processes 1;", conf)
        conf = re.sub(r"(?m)^pid .*", f"pid {self.var}/run/nginx-small.pid;", conf)
        conf = re.sub(r"(?m)^error_log .*", f"error_log {self.log} warn;", conf)
        conf = re.sub(r"(?m)^http \{", "http {\n" + self.settings, conf)
        path = os.path.join(self.var, "nginx", "small.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(conf)
        program = os.path.join(ENV["BUILD"], "bin", "nginx")
        environment = {**ENV, "ASAN_OPTIONS": "detect_odr_violation=0", "LSAN_OPTIONS": "suppressions=" + os.path.join(
            os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "dev", "lsan.supp")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([program if os.path.exists(program) else "/usr/sbin/nginx", "-p", os.path.dirname(path), "-c",
                                             path, "-g", "daemon off;"], env=environment, stderr=log)
        self.place = Place(f"http://127.0.0.1:{ports[1]}", f"ws://127.0.0.1:{ports[0]}", PLACE.client.secret, PLACE.client.admin)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.place.client.new_admin_token()
                return self.place
            except (OSError, RuntimeError) as error:
                if time.monotonic() > deadline:
                    self.__exit__()
                    raise AssertionError(f"second nginx: {error}") from error
                time.sleep(0.1)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            self.process.wait()
            raise AssertionError("second nginx does not end") from error
