#!/usr/bin/env python3
"""Who may write to whom (messages.md 3 and 16), through the gateway of the instance that `./build.sh up` started.

Relations, options and the state of groups are put straight into MySQL and told on the channel oim:cache, as the routes do; so this needs no
route but registration, tokens and create_group. Environment: what `./build.sh env` prints. Closing line: "N passed, N failed".
"""

import base64
import json
import os
import subprocess
import sys
import time
import uuid
from urllib.parse import urlencode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "contract"))

from rd import pb, ws  # noqa: E402
from rd.client import Client  # noqa: E402
from rd.wsteps import Link  # noqa: E402

ENV = os.environ
WS = "ws://" + ENV["OPENIM_WS_ADDRESS"]
P = "v" + uuid.uuid4().hex[:8]
passed = failed = 0


def sql(text):
    host, port = ENV["OPENIM_MYSQL_ADDRESS"].rsplit(":", 1)
    run = subprocess.run(["mysql", "-h", host, "-P", port, "-u", ENV["OPENIM_MYSQL_USER"], "-p" + ENV["OPENIM_MYSQL_PASSWORD"], "-N", "-e", text,
                          ENV["OPENIM_MYSQL_DATABASE"]], check=True, capture_output=True, text=True)
    return run.stdout.split("\n")[:-1]


def redis(*words):
    host, port = ENV["OPENIM_REDIS_ADDRESS"].rsplit(":", 1)
    return subprocess.run(["redis-cli", "-h", host, "-p", port, *words], check=True, capture_output=True, text=True).stdout.strip()


def changed(kind, who):
    redis("PUBLISH", "oim:cache", f"{kind}:{P}{who}")
    time.sleep(0.05)


class Person:
    def __init__(self, client, name, sender=None):
        self.id = sender or P + name
        token = client.user_token(self.id, 5) if sender is None else client.admin_token()
        query = {"sendID": self.id, "token": token, "platformID": 5 if sender is None else 10, "operationID": P, "isBackground": "false",
                 "isMsgResp": "true", "sdkType": "js"}
        _, _, _, connection = ws.connect(WS + "/?" + urlencode(query))
        self.link = Link(connection, self.id)
        self.n = 0

    def send(self, to, **fields):
        """The answer's errCode and the message as it was sent; raw: bytes of the payload."""
        self.n += 1
        message = {"sendID": self.id, "recvID": P + to if to else "", "clientMsgID": f"{self.id}-{self.n}-{uuid.uuid4().hex[:6]}", "senderPlatformID": 5,
                   "sessionType": 1, "msgFrom": 100, "contentType": 101, "content": b'{"content":"x"}', "createTime": int(time.time() * 1000),
                   "status": 1}
        raw = fields.pop("raw", None)
        message.update(fields)
        increment = f"{self.id}-{self.n}"
        data = raw(message) if raw else pb.encode("MsgData", message)
        self.link.connection.send(ws.BINARY, json.dumps({
            "reqIdentifier": 1003, "sendID": self.id, "operationID": increment, "msgIncr": increment,
            "data": base64.b64encode(data).decode()}).encode())
        event = self.link.wait(lambda e: e["id"] == 1003 and e["envelope"].get("msgIncr") == increment, 10)
        if event is None:
            return None, message, None
        envelope = event["envelope"]
        answer = pb.decode("SendMsgResp", base64.b64decode(envelope["data"])) if envelope.get("data") else None
        return envelope["errCode"], message, answer

    def got(self, client_msg_id, seconds=3):
        return self.link.wait(lambda e: e["id"] == 2001 and e["message"].get("clientMsgID") == client_msg_id, seconds)


def check(what, expected, got):
    global passed, failed
    if got == expected or callable(expected) and expected(got):
        passed += 1
        print("ok", what)
    else:
        failed += 1
        print(f"not ok {what}: got {got!r}" + ("" if callable(expected) else f", expected {expected!r}"))


def now():
    return int(time.time() * 1000)


def conversation(*names):
    return "si_" + "_".join(sorted(P + n for n in names))


def relations(a, b):
    check("strangers may write", 0, a.send("b")[0])
    sql(f"INSERT INTO blacks (owner_user_id, block_user_id, create_time, ex) VALUES ('{P}b', '{P}a', {now()}, '')")
    changed("black", "b")
    before = redis("HGET", "oim:seq:" + conversation("a", "b"), "max")
    check("who is blocked may not", 1302, a.send("b")[0])
    check("and takes no seq", before, redis("HGET", "oim:seq:" + conversation("a", "b"), "max"))
    check("the other direction is open", 0, b.send("a")[0])
    sql(f"DELETE FROM blacks WHERE owner_user_id = '{P}b'; UPDATE users SET app_manger_level = 2 WHERE user_id = '{P}a'")
    sql(f"INSERT INTO blacks (owner_user_id, block_user_id, create_time, ex) VALUES ('{P}b', '{P}a', {now()}, '')")
    changed("black", "b")
    changed("user", "a")
    check("a level of 2 goes before a block", 0, a.send("b")[0])
    sql(f"DELETE FROM blacks WHERE owner_user_id = '{P}b'; UPDATE users SET app_manger_level = 0 WHERE user_id = '{P}a'")
    changed("black", "b")
    changed("user", "a")
    check("nobody there", 1004, a.send("nobody")[0])


def options(a, b):
    sql(f"UPDATE users SET global_recv_msg_opt = 1 WHERE user_id = '{P}b'")
    changed("user", "b")
    check("who takes nothing", 1001, a.send("b")[0])
    sql(f"UPDATE users SET global_recv_msg_opt = 2 WHERE user_id = '{P}b'")
    changed("user", "b")
    code, message, _ = a.send("b")
    event = b.got(message["clientMsgID"])
    check("taken without offline push", (0, False), (code, (event or {}).get("message", {}).get("options", {}).get("offlinePush")))
    sql(f"UPDATE users SET global_recv_msg_opt = 0 WHERE user_id = '{P}b';"
        f"UPDATE conversations SET recv_msg_opt = 1 WHERE owner_user_id = '{P}b' AND conversation_id = '{conversation('a', 'b')}'")
    changed("user", "b")
    redis("PUBLISH", "oim:cache", f"conv:{P}b:{conversation('a', 'b')}")
    time.sleep(0.05)
    check("a conversation that takes nothing", 1001, a.send("b")[0])
    sql(f"UPDATE conversations SET recv_msg_opt = 0 WHERE owner_user_id = '{P}b'")
    changed("conv", "b")
    check("and takes again", 0, a.send("b")[0])


def group(client, a, b, x):
    g = P + "g"
    client.call("/group/create_group", {"groupInfo": {"groupID": g, "groupName": g, "groupType": 2}, "ownerUserID": a.id, "memberUserIDs": [b.id],
                                        "sendMessage": False}, client.admin_token())
    there = {"sessionType": 3, "groupID": g}
    check("unknown group", 1004, a.send("", sessionType=3, groupID=P + "none")[0])
    code, message, _ = a.send("", **there)
    event = b.got(message["clientMsgID"])
    check("a member writes, all members hear", (0, "sg_" + g, 1), (code, event and event["conversation"], event and event["message"].get("seq")))
    check("so does the sender", 1, ((a.got(message["clientMsgID"]) or {}).get("message") or {}).get("seq"))
    check("every member has a row", ["2"], sql(f"SELECT COUNT(*) FROM conversations WHERE conversation_id = 'sg_{g}'"))
    check("a stranger does not", 1203, x.send("", **there)[0])
    check("and a member after a stranger", 0, b.send("", **there)[0])
    sql(f"UPDATE group_members SET mute_end_time = {now() + 600000} WHERE group_id = '{g}'")
    changed("group", "g")
    check("a muted member", 1402, b.send("", **there)[0])
    check("a muted owner", 0, a.send("", **there)[0])
    sql(f"UPDATE group_members SET mute_end_time = {now() - 1000} WHERE group_id = '{g}'")
    changed("group", "g")
    check("when the mute is over", 0, b.send("", **there)[0])
    sql(f"UPDATE chat_groups SET status = 3 WHERE group_id = '{g}'")
    changed("group", "g")
    check("a muted group, member", 1403, b.send("", **there)[0])
    check("a muted group, owner", 0, a.send("", **there)[0])
    sql(f"UPDATE group_members SET role_level = 60 WHERE group_id = '{g}' AND user_id = '{P}b'")
    changed("group", "g")
    check("a muted group, admin", 0, b.send("", **there)[0])
    check("a system type to a group", lambda c: c not in (0, None), x.send("", contentType=1501, **there)[0])
    sql(f"UPDATE chat_groups SET status = 2 WHERE group_id = '{g}'")
    changed("group", "g")
    check("a dismissed group", 1204, a.send("", **there)[0])


def hostile(a, b):
    code, message, _ = a.send("b", options={"isNotNotification": False})
    event = b.got(message["clientMsgID"])
    check("isNotNotification of a client", (0, "msgs", conversation("a", "b")), (code, event and event["list"], event and event["conversation"]))
    code, message, _ = a.send("b", seq=99, options={"history": False})
    event = b.got(message["clientMsgID"])
    check("seq of a client", (0, 0), (code, event and event["message"].get("seq", 0)))
    code, message, _ = a.send("b", status=4)
    event = b.got(message["clientMsgID"])
    check("status of a client", (0, 2), (code, event and event["message"].get("status")))
    check("a system type", 1002, a.send("b", contentType=1201)[0])
    check("sessionType 4", 1002, a.send("b", contentType=1400, sessionType=4)[0])
    check("sessionType 2", 1001, a.send("b", sessionType=2)[0])
    check("no content", 1001, a.send("b", content=b"")[0])
    check("in another's name", 1002, a.send("b", sendID=P + "b")[0])
    check("a NUL behind the id", lambda c: c not in (0, None), a.send("b", sendID=a.id + "\0x")[0])
    check("a NUL behind the receiver's id", lambda c: c not in (0, None), a.send("b", recvID=b.id + "\0x")[0])
    check("text that is no UTF-8", 500, a.send("b", raw=lambda m: pb.encode("MsgData", m) + b"\xba\x01\x02\xff\xfe")[0])
    check("an id of 300 bytes", 1001, a.send("b", clientMsgID="c" * 300)[0])
    code, message, _ = a.send("b", contentType=113)
    event = b.got(message["clientMsgID"])
    check("typing without options", (0, 0, False), (code, event and event["message"].get("seq", 0), event and event["message"]["options"].get("history")))
    check("is not pushed to its sender", None, a.got(message["clientMsgID"], 0.5))


def repeats(a, b):
    _, message, first = a.send("b", clientMsgID=P + "again")
    _, _, second = a.send("b", clientMsgID=P + "again")
    check("a repeat gets the first answer", first, second)
    _, _, other = b.send("a", clientMsgID=P + "again")
    check("another sender's id is another message", lambda o: o and o["serverMsgID"] != first["serverMsgID"], other)
    code, message, _ = a.send("a")
    check("to oneself", (0, "si_" + a.id + "_" + a.id, 1),
          (code, *[(e or {}).get(k) if k == "conversation" else (e or {}).get("message", {}).get("seq") for e in [a.got(message["clientMsgID"])]
                   for k in ("conversation", "seq")]))
    check("one row of oneself", ["1"], sql(f"SELECT COUNT(*) FROM conversations WHERE conversation_id = 'si_{a.id}_{a.id}'"))


def main():
    client = Client("http://" + ENV["OPENIM_REST_ADDRESS"], ENV.get("OPENIM_SECRET", "openIM123"), "imAdmin")
    client.register([{"userID": P + n, "nickname": "nick-" + n, "faceURL": ""} for n in "abx"])
    a, b, x = (Person(client, n) for n in "abx")
    for part in (relations, options, hostile, repeats):
        part(a, b)
    group(client, a, b, x)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
