"""Users that keep writing to each other whatever happens to the servers, and remember what they were promised.

A Chat is a user with one connection and one message outstanding, like an SDK: it sends the next message when the last one is
acknowledged, sends the same one again (same clientMsgID) after an error, a time-out or a lost connection, connects again
when it is cut, and gets a new token when its old one is gone. `acked` holds every promise: clientMsgID -> (serverMsgID, sendTime).
As an SDK it also asks for the newest seqs when it has connected and from then on relies on pushes until it is cut. Told to stop, it
finishes its message and listens until it is told to leave. Read check.py next.
"""

import base64
import json
import os
import sys
import threading
import time
from urllib.parse import urlencode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "contract"))
from rd import pb, ws  # noqa: E402
from rd.client import Client  # noqa: E402

REPLY = 10      # seconds, as the SDKs wait
PLATFORM = 5


def conversation(a, b):
    return "si_" + "_".join(sorted((a, b)))


class Lost(Exception):
    """The connection is gone or never came up."""


class Link:
    """One WebSocket with JSON envelopes: ask() for requests; pushes go to the callback."""

    def __init__(self, url, user, token, pushed=None):
        query = urlencode({"sendID": user, "token": token, "platformID": PLATFORM, "operationID": "fault",
                           "isBackground": "false", "isMsgResp": "true", "sdkType": "js"})
        self.user, self.pushed, self.count, self.base, self.seqs = user, pushed, 0, {}, {}
        self.twice, self.late = 0, 0
        try:
            status, _, _, self.connection = ws.connect(f"{url}/?{query}", timeout=REPLY)
        except OSError as error:
            raise Lost(str(error)) from error
        if status != 101:
            raise Lost(f"HTTP {status}")
        first = self.connection.wait(lambda f: f.eof or f.opcode == ws.TEXT, REPLY)
        if first is None or first.eof:
            self.connection.close()
            raise Lost("no connect result")
        self.result = json.loads(first.payload)["errCode"]
        if self.result:
            self.connection.close()
            raise Lost(f"refused with {self.result}")

    def ask(self, request, message, data, reply):
        self.count += 1
        increment = f"{self.user}_{self.count}"
        envelope = {"reqIdentifier": request, "sendID": self.user, "operationID": f"op{increment}", "msgIncr": increment,
                    "data": base64.b64encode(pb.encode(message, data)).decode()}
        self.connection.send(ws.BINARY, json.dumps(envelope).encode())
        deadline = time.monotonic() + REPLY
        while True:
            for frame in self.take(deadline - time.monotonic()):
                answer = json.loads(frame.payload)
                if answer["msgIncr"] == increment:
                    return answer["errCode"], pb.decode(reply, base64.b64decode(answer["data"] or "")), answer["errMsg"]
                self._push(answer)
            if time.monotonic() >= deadline:
                raise Lost("no answer")

    def synchronise(self):
        """What this connection need not be pushed any more."""
        code, reply, text = self.ask(1001, "GetMaxSeqReq", {"userID": self.user}, "GetMaxSeqResp")
        if code:
            raise Lost(f"1001: {code} {text}")
        self.base = reply.get("maxSeqs", {})

    def missing(self, name, newest):
        """Seqs of a conversation that this connection should have been pushed and was not."""
        return sorted(set(range(self.base.get(name, 0) + 1, newest + 1)) - self.seqs.get(name, set()))

    def drain(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for frame in self.take(deadline - time.monotonic()):
                self._push(json.loads(frame.payload))

    def take(self, timeout):
        """Waits for frames and gives all binary ones that are there; Lost at the end of the stream."""
        link = self.connection
        with link.lock:
            if not link.frames:
                link.lock.wait(max(timeout, 0))
            frames, link.frames = link.frames, []
        if any(f.eof for f in frames):
            raise Lost("cut")
        return [f for f in frames if f.opcode == ws.BINARY]

    def _push(self, envelope):
        if self.pushed and envelope["reqIdentifier"] == 2001 and envelope["data"]:
            for name, batch in pb.decode("PushMessages", base64.b64decode(envelope["data"])).get("msgs", {}).items():
                for message in batch.get("Msgs", []):
                    self._mark(self.seqs.setdefault(name, set()), message.get("seq", 0))
                    self.pushed(name, message)

    def _mark(self, seqs, seq):
        self.twice += seq in seqs
        self.late += bool(seqs) and seq < max(seqs)
        seqs.add(seq)

    def close(self):
        self.connection.close()


class Chat(threading.Thread):
    def __init__(self, place, user, peer, interval):
        super().__init__(daemon=True)
        self.place, self.user, self.peer, self.interval = place, user, peer, interval
        self.acked, self.order, self.pushes, self.errors = {}, [], {}, {}
        self.last_ack, self.unfinished = 0, None
        self.stop, self.silent, self.leave = threading.Event(), threading.Event(), threading.Event()
        self.token, self.link, self.links = None, None, []

    def run(self):
        number, due = 0, time.monotonic()
        while not self.stop.is_set():
            due = max(due + self.interval, time.monotonic() - 1)
            time.sleep(max(due - time.monotonic(), 0))
            number += 1
            self.say(f"{self.user}-{number}")
        self.silent.set()
        while self.link and not self.leave.is_set():
            try:
                self.link.drain(0.2)
            except Lost:
                self.drop()
        self.drop()

    def say(self, name):
        """Until it is acknowledged; after stop, for at most two minutes more."""
        self.unfinished = name
        message = {"sendID": self.user, "recvID": self.peer, "clientMsgID": name, "senderPlatformID": PLATFORM, "sessionType": 1,
                   "msgFrom": 100, "contentType": 101, "content": json.dumps({"content": name}).encode(),
                   "createTime": int(time.time() * 1000), "status": 1}
        give_up = None
        while True:
            if self.stop.is_set():
                give_up = give_up or time.monotonic() + 120
                if time.monotonic() > give_up:
                    return
            try:
                self.connect()
                code, reply, text = self.link.ask(1003, "MsgData", message, "SendMsgResp")
            except Lost as error:
                self.note(str(error))
                self.drop()
                continue
            if code:
                self.note(f"{code} {text}")
                time.sleep(0.2)
                continue
            self.acked[name] = (reply["serverMsgID"], reply["sendTime"])
            self.order.append(name)
            self.last_ack, self.unfinished = time.monotonic(), None
            return

    def connect(self):
        if self.link:
            return
        try:
            if self.token is None:
                self.token = self.place.token(self.user)
            self.link = Link(self.place.ws, self.user, self.token, self.pushed)
            self.links.append(self.link)
            self.link.synchronise()
        except Lost as error:
            self.drop()
            if "refused with 150" in str(error):
                self.token = None               # Redis lost it
            time.sleep(0.3)
            raise
        except (OSError, RuntimeError) as error:
            time.sleep(0.3)
            raise Lost(f"token: {type(error).__name__}") from error

    def drop(self):
        if self.link:
            self.link.close()
            self.link = None

    def pushed(self, name, message):
        if message.get("seq"):
            self.pushes.setdefault(name, []).append((message["seq"], message["clientMsgID"]))

    def note(self, what):
        self.errors[what] = self.errors.get(what, 0) + 1


class Place:
    """Where the servers are, and what only an administrator can do."""

    def __init__(self, api, url, secret, admin):
        self.api, self.secret, self.admin = api, secret, admin
        self.ws, self.lock = url, threading.Lock()
        self.client = Client(api, secret, admin, timeout=REPLY)

    def register(self, users):
        with self.lock:
            self.client.register([{"userID": u, "nickname": u} for u in users])

    def token(self, user):
        with self.lock:
            return self.client.user_token(user, PLATFORM)
