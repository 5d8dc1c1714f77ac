#!/usr/bin/env python3
"""Friends beyond one request at a time: limits of /friend routes, lists of 1,000, and what holds when many clients change the same lists.

    eval "$(./build.sh env)"; tests/system/friends.py

Needs the instance of `./build.sh up`. While eight clients change the friends of five users, one follower each does what an SDK does with
get_incremental_friends; at the end every follower has the server's list, with every member, and the version log has a step for each change
that was answered with success. Ends with "N passed, N failed".
"""
import random, threading, time

from case import Api, check, finish

RUN = "f" + format(int(time.time() * 1000), "x")
USERS, CLIENTS, CHANGES = 5, 8, 800
ARGS, DENIED, MISSING = 1001, 1002, 1004
PAGE = {"pageNumber": 1, "showNumber": 10000}

api = Api()
admin = api.admin()


def register(ids):
    for i in range(0, len(ids), 500):
        code = api.post("/user/user_register", {"users": [{"userID": u, "nickname": "n" + u} for u in ids[i:i + 500]]}, admin)
        if code[0]:
            raise SystemExit(f"not ok register: {code}")


def token(user):
    return api.post("/auth/get_user_token", {"userID": user, "platformID": 5}, admin)[1]["token"]


def friend_list(user, via=api):
    return via.post("/friend/get_friend_list", {"userID": user, "pagination": PAGE}, admin)[1]["friendsInfo"] or []


class Follower:
    """A client's copy of one friend list, kept by rest.md D.4."""

    def __init__(self, user):
        self.user, self.id, self.version, self.friends, self.fulls, self.order = user, "", 0, {}, 0, []

    def sync(self, via=api):
        now = via.post("/friend/get_incremental_friends", {"userID": self.user, "versionID": self.id, "version": self.version}, admin)[1]
        changed = (now["insert"] or []) + (now["update"] or [])
        if now["full"]:
            self.fulls += 1
            self.friends = {f["friendUser"]["userID"]: f for f in friend_list(self.user, via)}
        elif changed or now["delete"]:
            self.friends.update({f["friendUser"]["userID"]: f for f in changed})
            for gone in now["delete"] or []:
                self.friends.pop(gone, None)
        else:
            return False
        self.id, self.version = now["versionID"], now["version"]
        return True


def limits():
    ids = [f"{RUN}l{n}" for n in range(1002)]
    register(ids)
    me, mine = ids[0], token(ids[0])
    long_id, own = "x" * 256, {"ownerUserID": ids[0]}

    def expect(code, path, body, by=mine):
        got = api.post("/friend/" + path, body, by)
        check(f"{path} {str(body)[:60]}", got[0] == code, got)
        return got[1]

    for path, names in {"add_friend": ("fromUserID", "toUserID"), "add_friend_response": ("fromUserID", "toUserID"),
                        "delete_friend": ("ownerUserID", "friendUserID"), "set_friend_remark": ("ownerUserID", "friendUserID"),
                        "add_black": ("ownerUserID", "blackUserID"), "remove_black": ("ownerUserID", "blackUserID")}.items():
        for name in names:
            for bad in ("", long_id):
                expect(ARGS, path, {**dict.fromkeys(names, ids[1]), name: bad, "handleResult": 1})
    expect(ARGS, "add_friend", {"fromUserID": me, "toUserID": ids[1], "reqMsg": "m" * 65536})
    expect(ARGS, "add_friend", {"fromUserID": me, "toUserID": ids[1], "ex": "m" * 65536})
    expect(ARGS, "add_friend_response", {"fromUserID": ids[1], "toUserID": me, "handleResult": 1, "handleMsg": "m" * 65536})
    expect(ARGS, "add_black", {**own, "blackUserID": ids[1], "ex": "m" * 65536})

    expect(ARGS, "import_friend", {**own, "friendUserIDs": ids[1:1002]}, admin)
    expect(DENIED, "import_friend", {**own, "friendUserIDs": ids[1:3]})
    expect(MISSING, "import_friend", {**own, "friendUserIDs": [ids[1], ids[1]]}, admin)
    expect(MISSING, "import_friend", {**own, "friendUserIDs": [ids[1], me]}, admin)
    expect(MISSING, "import_friend", {**own, "friendUserIDs": [ids[1], RUN + "none"]}, admin)
    check("a refused import leaves nothing", friend_list(me) == [])
    follower = Follower(me)
    follower.sync()
    started = follower.version
    expect(0, "import_friend", {**own, "friendUserIDs": ids[1:1001]}, admin)
    check("import of 1,000 in their order", [f["friendUser"]["userID"] for f in friend_list(me)] == ids[1:1001])
    now = expect(0, "get_incremental_friends", {"userID": me, "versionID": follower.id, "version": follower.version})
    check("one step for all, more than a client is told one by one", (now["version"], now["full"]) == (started + 1, True), now["version"])
    check("the other side, too", [f["friendUser"]["userID"] for f in friend_list(ids[700])] == [me])
    expect(0, "import_friend", {**own, "friendUserIDs": ids[1:1001]}, admin)
    now = expect(0, "get_incremental_friends", {"userID": me, "versionID": follower.id, "version": started + 1})
    check("an import of friends is no step", (now["version"], now["full"]) == (started + 1, False), now["version"])

    expect(0, "update_friends", {**own, "friendUserIDs": ids[1:1001], "remark": "é" * 255, "isPinned": True})
    check("1,000 changed", all(f["remark"] == "é" * 255 and f["isPinned"] for f in friend_list(me)))
    expect(ARGS, "update_friends", {**own, "friendUserIDs": ids[1:3], "remark": "é" * 256})
    expect(ARGS, "update_friends", {**own, "friendUserIDs": ids[1:3], "ex": "e" * 65536})
    expect(ARGS, "update_friends", {**own, "friendUserIDs": ids[1:1002], "remark": "r"})
    expect(ARGS, "set_friend_remark", {**own, "friendUserID": ids[1], "remark": "é" * 256})
    expect(ARGS, "get_specified_friends_info", {**own, "userIDList": ids[1:1002]})
    expect(ARGS, "get_specified_friends_info", {**own, "userIDList": [ids[1], ids[1]]})
    expect(0, "add_black", {**own, "blackUserID": ids[1001], "ex": "b"})
    infos = expect(0, "get_specified_friends_info", {**own, "userIDList": [ids[1001], RUN + "none", *ids[2:900]]})["infos"]
    check("in the order of the question, without who does not exist", [i["userInfo"]["userID"] for i in infos] == [ids[1001], *ids[2:900]])
    check("blocked, no friend", infos[0]["friendInfo"] is None and infos[0]["blackInfo"]["ex"] == "b", infos[0])
    check("a friend, not blocked", infos[1]["blackInfo"] is None and infos[1]["friendInfo"]["remark"] == "é" * 255, infos[1])
    check("times in ms, no nested users", infos[1]["friendInfo"]["createTime"] > 1e12 and infos[0]["blackInfo"]["createTime"] > 1e12 and
          infos[1]["friendInfo"]["friendUser"] is None and infos[0]["blackInfo"]["blackUserInfo"] is None, infos[1])
    some = expect(0, "get_specified_blacks", {**own, "userIDList": [*ids[1:500], ids[1001]]})
    check("blacks among many", [b["blackUserInfo"]["userID"] for b in some["blacks"]] == [ids[1001]] and some["total"] == 1, some)
    expect(ARGS, "get_specified_blacks", {**own, "userIDList": [ids[1], ids[1]]})
    expect(ARGS, "get_designated_friends", {**own, "friendUserIDs": [f"{RUN}{n}" for n in range(10001)]})


def requests():
    ids = [f"{RUN}r{n}" for n in range(8)]
    register(ids)
    tokens = {u: token(u) for u in ids}
    to, senders = ids[0], ids[1:]
    for u in senders:
        api.post("/friend/add_friend", {"fromUserID": u, "toUserID": to, "reqMsg": u}, tokens[u])
    for n, u in enumerate(senders[:4]):
        api.post("/friend/add_friend_response", {"fromUserID": u, "toUserID": to, "handleResult": 1 if n % 2 else -1}, tokens[to])

    def pages(size, results=()):
        out, page = [], 1
        while True:
            got = api.post("/friend/get_friend_apply_list", {"userID": to, "handleResults": list(results),
                           "pagination": {"pageNumber": page, "showNumber": size}}, tokens[to])[1]
            rows = got["FriendRequests"] or []
            out += [r["fromUserID"] for r in rows]
            page += 1
            if len(rows) < size:
                return out, got["total"]

    check("newest first, page by page", pages(3) == (senders[::-1], 7), pages(3))
    check("pending ones", pages(2, [0]) == (senders[:3:-1], 3), pages(2, [0]))
    check("refused and agreed ones", pages(2, [-1, 1, 1]) == (senders[3::-1], 4), pages(2, [-1, 1, 1]))
    check("results that do not exist", pages(2, [7, -9]) == ([], 0), pages(2, [7]))
    count = api.post("/friend/get_self_unhandled_apply_count", {"userID": to, "time": 0}, tokens[to])[1]["count"]
    check("as many are unhandled", count == 3, count)
    # two who asked each other: one answer settles both
    a, b = senders[4], senders[5]
    api.post("/friend/add_friend", {"fromUserID": a, "toUserID": b}, tokens[a])
    api.post("/friend/add_friend", {"fromUserID": b, "toUserID": a}, tokens[b])
    api.post("/friend/add_friend_response", {"fromUserID": a, "toUserID": b, "handleResult": 1}, tokens[b])
    both = api.post("/friend/get_designated_friend_apply", {"fromUserID": a, "toUserID": b}, tokens[a])[1]["friendRequests"]
    check("both requests are settled", [r["handleResult"] for r in both] == [1, 1], both)


def together(calls):
    """Runs them at once; their codes."""
    codes, start = [], threading.Barrier(len(calls))

    def one(call):
        via = Api()
        start.wait()
        codes.append(via.post(*call)[0])

    threads = [threading.Thread(target=one, args=(c,)) for c in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return sorted(codes)


def at_once():
    a, b = f"{RUN}oa", f"{RUN}ob"
    register([a, b])
    ta, tb = token(a), token(b)
    for n in range(10):
        api.post("/friend/add_friend", {"fromUserID": a, "toUserID": b}, ta)
        api.post("/friend/add_friend", {"fromUserID": b, "toUserID": a}, tb)
        codes = together([("/friend/add_friend_response", {"fromUserID": a, "toUserID": b, "handleResult": 1}, tb)] * 3 +
                         [("/friend/add_friend_response", {"fromUserID": b, "toUserID": a, "handleResult": 1}, ta)] * 3)
        check(f"one of six answers counts ({n})", codes == [0] + [ARGS] * 5, codes)
        check(f"and makes both friends ({n})", len(friend_list(a)) == len(friend_list(b)) == 1)
        codes = together([("/friend/delete_friend", {"ownerUserID": a, "friendUserID": b}, ta),
                          ("/friend/delete_friend", {"ownerUserID": b, "friendUserID": a}, tb)] * 2)
        check(f"deleted from both sides ({n})", codes == [0] * 4 and friend_list(a) == friend_list(b) == [], codes)
    codes = together([("/friend/import_friend", {"ownerUserID": x, "friendUserIDs": [y]}, admin) for x, y in [(a, b), (b, a)] * 3])
    check("imported from both sides", codes == [0] * 6 and len(friend_list(a)) == len(friend_list(b)) == 1, codes)
    codes = together([("/friend/add_black", {"ownerUserID": a, "blackUserID": b, "ex": "x"}, ta)] * 6)
    check("blocked once", codes == [0] * 6, codes)
    blacks = api.post("/friend/get_black_list", {"userID": a, "pagination": PAGE}, ta)[1]
    check("one entry", blacks["total"] == len(blacks["blacks"]) == 1, blacks)


def crowd():
    ids = [f"{RUN}c{n}" for n in range(USERS)]
    register(ids)
    followers = [Follower(u) for u in ids]
    for f in followers:
        f.sync()
    first, steps, lock, over = {f.user: f.version for f in followers}, dict.fromkeys(ids, 0), threading.Lock(), threading.Event()
    codes = {}

    def change(via, rnd):
        a, b = rnd.sample(ids, 2)
        kind = rnd.choice(["ask", "answer", "answer", "delete", "remark", "update", "update", "pin"])
        owner, body = {"ownerUserID": a}, {"fromUserID": a, "toUserID": b}
        if kind == "ask":
            return 0, a, via.post("/friend/add_friend", body, admin)
        if kind == "answer":                # gives a step to who gains: counted from the rows below
            return None, a, via.post("/friend/add_friend_response", {**body, "handleResult": 1}, admin)
        if kind == "delete":
            return 1, a, via.post("/friend/delete_friend", {**owner, "friendUserID": b}, admin)
        if kind == "remark":
            return 1, a, via.post("/friend/set_friend_remark", {**owner, "friendUserID": b, "remark": f"r{rnd.random()}"}, admin)
        what = {"isPinned": rnd.random() < 0.5} if kind == "pin" else {"ex": f"e{rnd.random()}"}
        return 1, a, via.post("/friend/update_friends", {**owner, "friendUserIDs": rnd.sample(ids, 3), **what}, admin)

    def worker(n):
        via, rnd = Api(), random.Random(f"{RUN}{n}")
        for _ in range(CHANGES // CLIENTS):
            step, owner, answer = change(via, rnd)
            with lock:
                codes[answer[0]] = codes.get(answer[0], 0) + 1
                if step and answer[0] == 0:
                    steps[owner] += step

    def follow(f):
        via = Api()
        while not over.is_set():
            f.sync(via)

    workers = [threading.Thread(target=worker, args=(n,)) for n in range(CLIENTS)]
    watchers = [threading.Thread(target=follow, args=(f,)) for f in followers]
    for t in workers + watchers:
        t.start()
    for t in workers:
        t.join()
    over.set()
    for t in watchers:
        t.join()
    check("all changes are answered", set(codes) <= {0, ARGS, MISSING, 1304}, codes)
    for f in followers:
        f.sync()
        want = friend_list(f.user)
        check(f"{f.user}: the follower's list", f.friends == {x["friendUser"]["userID"]: x for x in want}, (f.friends, want))
        check(f"{f.user}: followed, not started over", f.fulls == 1, f.fulls)
        check(f"{f.user}: a step for each change", f.version >= first[f.user] + steps[f.user] > first[f.user], (f.version, first[f.user], steps[f.user]))
        full = api.post("/friend/get_full_friend_user_ids", {"userID": f.user, "idHash": 0}, admin)[1]
        check(f"{f.user}: ids in the order of the list", (full["userIDs"] or []) == [x["friendUser"]["userID"] for x in want], full)
    print(f"# {sum(codes.values())} changes, codes {codes}")


for part in (limits, requests, at_once, crowd):
    part()
finish()
