"""Who is in which group, as the gateways know it: sayings of workers and pushes to groups as raw bytes, requests that wait for them.
Run by module.py.

What a worker would publish is published here (proto/internal.proto, Downlink), without a publisher, so that no number is missing.
"""

import os
import signal
import socket
import time

from life import Held, gone
from wire import ENV, PLACE, WAYS, SmallNginx, one_byte_at_a_time, pb, workers, ws

QUIET = 0.3
COUNT = iter(range(1, 1 << 30))


# ---- Redis

def redis(*args):
    host, port = ENV["OPENIM_REDIS_ADDRESS"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5) as sock:
        words = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return answer(sock.makefile("rb"))


def answer(file):
    line = file.readline().rstrip()
    if line[:1] == b"*":
        return [answer(file) for _ in range(int(line[1:]))]
    if line[:1] == b"$":
        return file.read(int(line[1:]) + 2)[:-2]
    assert line[:1] != b"-", line
    return int(line[1:]) if line[:1] == b":" else line[1:]


# ---- bytes of workers

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    data = value if isinstance(value, bytes) else value.encode()
    return varint(number << 3 | 2) + varint(len(data)) + data


def groups(user, version, joined=(), left=(), full=False, conn=0):
    body = field(1, user) + field(2, version) + field(3, int(full)) + b"".join(field(4, g) for g in joined)
    return field(7, body + b"".join(field(5, g) for g in left) + field(6, conn))


def push(name, group="", users=(), skip="", flags=0, conversation="", seq=0):
    data = pb.encode("PushMessages", {"msgs": {"sg_x": {"Msgs": [{"clientMsgID": name}]}}})
    body = field(1, 2001) + field(2, "op-push") + field(3, data) + b"".join(field(4, u) for u in users) + field(7, flags)
    return field(5, body + (field(5, group) if group else b"") + (field(6, skip) if skip else b"") + field(8, conversation) + field(9, seq))


def homes(user):
    """{gateway: [connID, ...]} of a user's connections, oldest first"""
    found = {}
    for place in redis("HKEYS", f"oim:conn:{user}"):
        gateway, conn = place.decode().rsplit("/", 1)
        found[gateway] = sorted(found.get(gateway, []) + [int(conn)])
    return found


def say(*parts, gateways=None):
    """To all gateways, or to these."""
    for gateway in gateways or [g.decode() for g in redis("ZRANGEBYSCORE", "oim:gateways", int(time.time() * 1000), "+inf")]:
        redis("PUBLISH", f"openim:gw:{gateway}", field(1, 1) + b"".join(parts))


def fresh(kind="g"):
    return f"{kind}{PLACE.run}{next(COUNT)}"


class Member:
    """A user with a connection on each of some platforms, and what is pushed to it."""

    def __init__(self, ways=WAYS[:1]):
        self.name, self.version = PLACE.user(), 0
        self.talks = [PLACE.open(self.name, kind, compressed, 5 - n) for n, (kind, compressed) in enumerate(ways)]
        for talk in self.talks:
            talk.lives()            # its groups are known now

    def joined(self, group, version=None):
        say(groups(self.name, self.count(version), [group]))

    def left(self, group, version=None):
        say(groups(self.name, self.count(version), (), [group]))

    def count(self, version):
        self.version += 1
        return version or self.version

    def got(self, until):
        """Names that were pushed to all connections of the user, up to this one, which is pushed to the user now."""
        say(push(until, users=[self.name]))
        lists = []
        for talk in self.talks:
            names = []
            while not names or names[-1] != until:
                names.append(talk.pushed())
            lists.append(names[:-1])
        assert all(names == lists[0] for names in lists), lists
        return lists[0]

    def close(self):
        for talk in self.talks:
            talk.link.close()


def silent(talk):
    frame = talk.link.wait(lambda f: f.eof or f.opcode == ws.BINARY, QUIET)
    assert frame is None, frame.payload or "ended"


def background(talk, name, send=None):
    """A request that the gateway answers by itself."""
    packed = talk.pack(2004, pb.encode("SetAppBackgroundStatusReq", {"userID": talk.user, "isBackground": False}), name)
    (send or (lambda p: talk.link.send(ws.BINARY, p)))(packed)


def wakes(talk, names):
    assert [talk.reply()["msgIncr"] for _ in names] == list(names)


# ---- pushes

def test_group_push_reaches_each_connection_of_the_members_once():
    members, stranger, skipped = [Member(WAYS), Member(WAYS[2:]), Member()], Member(), Member()
    group = fresh()
    for member in members + [skipped]:
        member.joined(group)
    say(push("named and member", group, [members[0].name, stranger.name, members[0].name], skipped.name))
    say(push("members", group))
    say(push("another", fresh()))
    for member, wanted in [(m, ["named and member", "members"]) for m in members] + [(skipped, ["members"]), (stranger, ["named and member"])]:
        assert member.got("end") == wanted, wanted
        member.close()


def test_group_push_after_connections_came_and_went():
    stays, goes = Member(), Member(WAYS[:2])
    group = fresh()
    stays.joined(group)
    goes.joined(group)
    again = PLACE.open(goes.name, "go", True, 8)
    again.lives()                   # its answer is full, of a version that is older: it changes nothing
    goes.joined(group)              # it may be the first of this user on its gateway
    say(push("one", group))
    assert again.pushed() == "one" and goes.got("end") == ["one"]
    again.link.close()
    goes.close()
    say(push("two", group))
    assert stays.got("end") == ["one", "two"]
    stays.left(group)
    say(push("three", group))
    assert stays.got("end") == []
    stays.close()


def test_last_push_of_a_group():
    member, group = Member(), fresh()
    member.joined(group)
    say(push("last", group, flags=2), push("none", group))
    assert member.got("end") == ["last"]
    member.joined(group)
    say(push("new", group, conversation=group, seq=7))
    say(push("new", group, conversation=group, seq=7, flags=3))          # had that, and nevertheless it ends
    say(push("none", group))
    assert member.got("end") == ["new"]
    member.close()


def test_a_late_push_comes_somewhat_later():
    member = Member()
    say(push("late", users=[member.name], flags=4), push("now", users=[member.name]))
    assert [member.talks[0].pushed() for _ in range(2)] == ["now", "late"]
    say(push("late", users=[member.name], flags=4), push("now", users=[member.name]))
    member.close()                  # nobody is there any more when it is time
    member = Member()
    assert member.got("end") == []
    member.close()


# ---- versions

def test_of_two_sayings_the_higher_version_counts():
    member, group, other = Member(), fresh(), fresh()

    def is_in(*wanted):
        say(*(push(g, g) for g in (group, other)))
        assert sorted(member.got("end")) == sorted(wanted)

    member.joined(group, 5)
    is_in(group)
    member.left(group, 5)           # one version says one thing
    member.left(group, 4)
    is_in(group)
    member.left(group, 7)
    member.joined(group, 6)         # late
    is_in()
    member.left(other, 9)           # before it was said that it joined
    member.joined(other, 8)
    is_in()
    say(groups(member.name, 8, [group, other, group], full=True))
    is_in(group)                    # group: 8 > 7, other: 9 > 8
    member.left(group, 8)           # that is in the list already
    member.joined(other, 10)
    is_in(group, other)
    say(groups(member.name, 9, [], full=True))
    is_in(other)
    member.joined(group, 9)
    say(groups(member.name, 8, [group], full=True))
    is_in(other)
    member.joined(group, 1 << 62)
    member.left(group, (1 << 64) - 1)
    is_in(other)
    member.close()


def test_many_groups_and_many_changes():
    member, names = Member(), [fresh() for _ in range(3000)]
    say(groups(member.name, 1, names, full=True))
    say(*(push(n, n) for n in names[::100]))
    assert member.got("end") == names[::100]
    for n, name in enumerate(names):
        say(groups(member.name, n + 2, (), [name]))
        if n % 300 == 0:
            say(groups(member.name, n + 1, [name]))
    say(*(push(n, n) for n in names[::100]))
    assert member.got("end") == []
    say(groups(member.name, 5000, names[:2], full=True))
    say(*(push(n, n) for n in names[:9]))
    assert member.got("end") == names[:2]
    member.close()


def test_sayings_that_cannot_be_read_send_clients_away():
    for bad in (field(7, b"\x0a\xff"), field(7, b"\x0b"), field(7, field(1, "u") + b"\x10" + b"\xff" * 11)):
        member = Member()
        say(bad)
        end = member.talks[0].link.ending(10)
        assert end and end["code"] == 1001, end
    member = Member()
    say(field(7, b""), groups("nobody", 3, ["g"]), groups(member.name, 0, [""]), groups(member.name, 1, ["", "a\0b"], full=True), field(9, b"x"))
    assert member.got("end") == []
    member.close()


# ---- requests wait until the groups are known

def first(user, platform=5, kind="js", compressed=False, **more):
    """Its token is made while logic still answers."""
    token = PLACE.client.user_token(user, platform)
    return lambda: PLACE.open(user, kind, compressed, platform, token=token, **more)


def full_for(user, n=-1, version=0):
    (gateway, conns), = homes(user).items()
    say(groups(user, version, [], full=True, conn=conns[n]), gateways=[gateway])


def test_requests_wait_until_the_groups_are_known():
    for kind, compressed in WAYS:
        user = PLACE.user()
        opening = first(user, 5, kind, compressed)
        with Held():
            talk = opening()
            background(talk, "one")
            background(talk, "two", lambda p: one_byte_at_a_time(talk.link.sock, bytes([0x82, 0xFE]) + len(p).to_bytes(2, "big") + bytes(4) + p))
            silent(talk)
            talk.link.send(ws.PING, b"alive")
            assert talk.link.wait(lambda f: f.opcode == ws.PONG, 2)
            talk.link.send(ws.TEXT, b'{"type":"ping"}')
            assert talk.link.wait(lambda f: f.opcode == ws.TEXT, 2)
            say(groups("somebody", 1, [], full=True, conn=1 << 60), groups(user, 1, ["g"]))
            silent(talk)
            full_for(user)
            wakes(talk, ("one", "two"))
            background(talk, "three")
            wakes(talk, ("three",))
        talk.lives()
        talk.link.close()


def test_more_than_may_wait_is_not_read():
    user = PLACE.user()
    opening, names = first(user), [f"n{n}" for n in range(100)]
    with Held():
        talk = opening()
        for name in names:
            background(talk, name)
        silent(talk)
        full_for(user)
        wakes(talk, names)
    talk.link.close()


def test_a_second_connection_need_not_wait():
    with SmallNginx("") as place:
        user = place.user()
        token = place.client.user_token(user, 2)
        talk = place.open(user)
        talk.lives()
        with Held():
            second = place.open(user, platform=2, token=token)
            background(second, "at once")
            wakes(second, ("at once",))
        second.lives()
        talk.link.close()
        second.link.close()


def test_what_is_not_known_in_time_ends_the_connection():
    with SmallNginx("openim_request_timeout 2s;") as place:
        user = place.user()
        token = place.client.user_token(user, 5)
        with Held():
            talk = place.open(user, token=token)
            begin = time.monotonic()
            background(talk, "never")
            end = talk.link.ending(6)
            took = time.monotonic() - begin
        assert end and end["code"] == 1001 and 1.8 < took < 4, (end, took)
        assert not [f for f in talk.link.frames if f.opcode == ws.BINARY]
        talk = place.open(user)
        talk.lives()
        talk.link.close()


def test_after_a_lost_record_new_connections_wait():
    with SmallNginx("") as place:
        user = place.user()
        tokens = [place.client.user_token(user, platform) for platform in (2, 3)]
        talk = place.open(user)
        talk.lives()
        (gateway, _), = homes(user).items()
        with Held():
            say(field(2, fresh("publisher")) + field(3, 2), gateways=[gateway])       # its first record is lost
            say(push("seen", users=[user]), gateways=[gateway])
            until(talk, "seen")
            second = place.open(user, platform=2, token=tokens[0])
            background(second, "later")
            background(talk, "at once")
            wakes(talk, ("at once",))
            full_for(user, 0)                                                        # said for the one that was here before
            silent(second)
            full_for(user)
            wakes(second, ("later",))
            third = place.open(user, platform=3, token=tokens[1])
            background(third, "known")
            wakes(third, ("known",))
        end = talk.link.ending(10)
        assert end and end["code"] == 1001, end
        second.lives()
        third.lives()


# ---- with the workers

def made(owner, members):
    data = PLACE.client.call("/group/create_group", {"memberUserIDs": members, "ownerUserID": owner, "groupInfo": {"groupName": "m", "groupType": 2}},
                             PLACE.client.admin_token())
    return data["groupInfo"]["groupID"]


def message(sender, group, name):
    return {"sendID": sender, "groupID": group, "clientMsgID": name, "senderPlatformID": 5, "sessionType": 3, "msgFrom": 100, "contentType": 101,
            "content": b'{"content":"x"}', "createTime": int(time.time() * 1000), "status": 1}


def until(talk, name):
    while talk.pushed() != name:
        pass


def marked(user, group):
    data = PLACE.client.call("/conversation/get_conversation", {"ownerUserID": user, "conversationID": "sg_" + group}, PLACE.client.admin_token())
    return data["conversation"]["groupAtType"]


def soon(wanted, found):
    deadline = time.monotonic() + 10
    while found() != wanted:
        assert time.monotonic() < deadline, (wanted, found())
        time.sleep(0.02)


def test_who_is_named_in_a_message_is_marked():
    owner, one, two = Member(), Member(), Member()
    group = made(owner.name, [one.name, two.name])
    for named, marks in (([one.name, "stranger"], [1, 0]), (["AtAllTag"], [2, 2]), (["AtAllTag", one.name, one.name], [3, 2])):
        answered = owner.talks[0].ask(1003, "MsgData", {**message(owner.name, group, fresh("at")), "contentType": 106, "atUserIDList": named})
        assert answered["errCode"] == 0
        soon(marks, lambda: [marked(m.name, group) for m in (one, two)])
        assert marked(owner.name, group) == 0
    for member in (owner, one, two):
        member.close()


class Heard:
    """(list, contentType, stored) of all that was pushed to a member in a group, without what a client wrote."""

    def __init__(self, member, group):
        self.member, self.names, self.got = member, ("sg_" + group, "n_" + group), []

    def __call__(self):
        end = fresh("end")
        say(push(end, users=[self.member.name]))
        while True:
            for kind, lists in pb.decode("PushMessages", self.member.talks[0].reply("")["data"]).items():
                for conversation, data in lists.items():
                    if data["Msgs"][0]["clientMsgID"] == end:
                        return self.got
                    if conversation in self.names:
                        self.got += [(kind, m["contentType"], m.get("seq", 0) > 0) for m in data["Msgs"]]


def test_who_leaves_hears_of_it_once_and_a_group_ends():
    owner, leaver, kicked = everybody = Member(), Member(), Member()
    group, client = made(owner.name, [leaver.name, kicked.name]), PLACE.client
    by = {m.name: client.user_token(m.name, 5) for m in (owner, leaver)}
    heard = {m.name: Heard(m, group) for m in everybody}

    def both(*kinds):               # the notice before its copy in the chat (sdk-clients.md 11.5)
        return [item for kind in kinds for item in (("notificationMsgs", kind, False), ("msgs", kind, True))]

    def all_heard(kinds):
        for member, wanted in zip(everybody, kinds):
            soon(both(*wanted), heard[member.name])

    all_heard(((1501,), (1501,), (1501,)))
    client.call("/group/quit_group", {"groupID": group, "userID": leaver.name}, by[leaver.name])
    all_heard(((1501, 1504), (1501, 1504), (1501, 1504)))
    client.call("/group/kick_group", {"groupID": group, "kickedUserIDs": [kicked.name], "reason": ""}, by[owner.name])
    all_heard(((1501, 1504, 1508), (1501, 1504), (1501, 1504, 1508)))
    client.call("/group/dismiss_group", {"groupID": group, "deleteMember": False}, by[owner.name])
    all_heard(((1501, 1504, 1508, 1511), (1501, 1504), (1501, 1504, 1508)))
    say(push("none", group))
    assert [m.got("end") for m in everybody] == [[], [], []]
    assert owner.talks[0].ask(1003, "MsgData", message(owner.name, group, fresh()))["errCode"] == 1204
    for member in everybody:
        member.close()


def test_reload_both_generations_know_the_groups():
    owner, early, late = Member(WAYS[:2]), Member(WAYS[2:]), PLACE.user()
    group = made(owner.name, [early.name])
    assert owner.talks[0].ask(1003, "MsgData", message(owner.name, group, "before"))["errCode"] == 0
    pid, old = workers()
    os.kill(pid, signal.SIGHUP)
    deadline = time.monotonic() + 10
    while workers()[1] <= old and time.monotonic() < deadline:
        time.sleep(0.05)
    fresh_talk = PLACE.open(early.name, platform=8)
    PLACE.client.call("/group/invite_user_to_group", {"groupID": group, "invitedUserIDs": [late], "reason": ""}, PLACE.client.admin_token())
    joined = PLACE.open(late)
    fresh_talk.lives()
    joined.lives()
    assert owner.talks[1].ask(1003, "MsgData", message(owner.name, group, "between"))["errCode"] == 0
    for talk in owner.talks + early.talks + [fresh_talk, joined]:
        until(talk, "between")
    PLACE.client.call("/group/kick_group", {"groupID": group, "kickedUserIDs": [late], "reason": ""}, PLACE.client.admin_token())
    assert owner.talks[1].ask(1003, "MsgData", message(owner.name, group, "after"))["errCode"] == 0
    until(fresh_talk, "after")
    say(push("end", users=[late]))
    names = []
    while not names or names[-1] != "end":
        names.append(joined.pushed())
    assert "after" not in names, names
    gone(old, 20)


NEW_WORKERS = {test_reload_both_generations_know_the_groups}
