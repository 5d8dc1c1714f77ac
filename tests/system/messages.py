#!/usr/bin/env python3
"""What happens to messages after they are stored, beyond one recorded request at a time (messages.md 7 to 9, 13).

    eval "$(./build.sh env)"; tests/system/messages.py

Needs the instance of `./build.sh up`. Placeholders, quotes, last messages, who may do what, search, batches; then clients change and
read the same conversations while the copies of the marks are deleted from Redis under them: what one answer said, every later
answer says. Ends with "N passed, N failed".
"""
import base64, hashlib, json, os, random, socket, subprocess, threading, time

from case import Api, check, finish, mariadb

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RUN = "m" + format(int(time.time() * 1000), "x")
ARGS, DENIED, MISSING, REVOKED_ALREADY = 1001, 1002, 1004, 1404
GONE = 4        # status of what is deleted
REVOKED = 2101  # contentType of what is revoked
CLIENTS, READERS, CHANGES, LONG = 4, 6, 100, 600
SEARCHES, QUEUE = 80, 64    # at once; those that wait at most (workers/logic/rpc_search.c)

class Redis:
    """DEL, and nothing else."""

    def __init__(self):
        host, port = os.environ["OPENIM_REDIS_ADDRESS"].rsplit(":", 1)
        self.link = socket.create_connection((host, int(port)))

    def delete(self, *keys):
        parts = [b"DEL", *(k.encode() for k in keys)]
        self.link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self.link.recv(64)


api, redis = Api(), Redis()
admin = api.admin()
tokens = {}


def user(name, nick=None):
    uid = RUN + name
    code = api.post("/user/user_register", {"users": [{"userID": uid, "nickname": nick or "n" + name}]}, admin)
    if code[0]:
        raise SystemExit(f"not ok register: {code}")
    tokens[uid] = api.post("/auth/get_user_token", {"userID": uid, "platformID": 5}, admin)[1]["token"]
    return uid


def si(a, b):
    return "si_" + "_".join(sorted((a, b)))


def send(a, b, text, via=api, **more):
    code, data, why = via.post("/msg/send_msg", {"sendID": a, "recvID": b, "sessionType": 1, "contentType": 101,
                                                 "content": {"content": text}, "senderPlatformID": 1, **more}, admin)
    if code:
        raise SystemExit(f"not ok send: {code} {why}")
    return data


def pull(who, conv, begin, end, via=api, num=1000):
    data = via.post("/msg/pull_msg_by_seq", {"userID": who, "seqRanges": [{"conversationID": conv, "begin": begin, "end": end, "num": num}]}, tokens[who])[1]
    data = {**data.get("msgs", {}), **data.get("notificationMsgs", {})}
    return {m["seq"]: m for m in data[conv]["Msgs"]} if conv in data else {}


def content(m):
    return json.loads(base64.b64decode(m["content"])) if m["content"] else None


def reach(who, conv, seq):
    until = time.time() + 10
    while time.time() < until:
        if api.post("/msg/newest_seq", {"userID": who}, tokens[who])[1].get("maxSeqs", {}).get(conv, 0) >= seq:
            return
    raise SystemExit(f"not ok {conv} does not reach {seq}")


def as_user(who, path, via=api, **body):
    return via.post(path, {"userID": who, **body}, tokens[who])[0]


OTHER, SELF = {"IsSyncOther": True}, {"IsSyncSelf": True}


def deleting():
    a, b = user("da"), user("db")
    conv = si(a, b)
    for i in range(1, 8):
        send(a, b, f"t{i}")
    reach(a, conv, 7)
    check("hide", as_user(a, "/msg/delete_msgs", conversationID=conv, seqs=[5]) == 0)
    mine, theirs = pull(a, conv, 1, 7), pull(b, conv, 1, 7)
    check("hidden: status and content", mine[5]["status"] == GONE and content(mine[5]) is None and mine[5]["serverMsgID"], mine[5])
    check("hidden from one only", theirs[5]["status"] < GONE and content(theirs[5]) == {"content": "t5"}, theirs[5])
    check("delete for both", as_user(b, "/msg/delete_msgs", conversationID=conv, seqs=[4, 3], deleteSyncOpt=OTHER) == 0)
    for who in (a, b):
        got = pull(who, conv, 1, 7)
        check("placeholders", sorted(got) == list(range(1, 8)) and all(got[s]["status"] == GONE and not got[s]["content"] and not got[s]["sendID"] and
              got[s]["sendTime"] == got[2]["sendTime"] for s in (3, 4)), got)
    n = "n_" + "_".join(sorted((a, b)))
    reach(a, n, 1)
    tips = json.loads(content(pull(a, n, 1, 9)[1])["detail"])
    check("2102 between both", tips == {"userID": b, "conversationID": conv, "seqs": [4, 3]}, tips)
    check("2102 to oneself", as_user(a, "/msg/delete_msgs", conversationID=conv, seqs=[6], deleteSyncOpt=SELF) == 0)
    own = f"n_{a}_{a}"
    reach(a, own, 1)
    check("2102 to oneself, stored", pull(a, own, 1, 9)[1]["contentType"] == 2102)
    check("seqs that are not there", as_user(a, "/msg/delete_msgs", conversationID=conv, seqs=[99, 10 ** 15], deleteSyncOpt=OTHER) == 0)
    check("seq 0", as_user(a, "/msg/delete_msgs", conversationID=conv, seqs=[0]) == ARGS)
    check("operator", api.post("/msg/delete_msg_phsical_by_seq", {"conversationID": conv, "seqs": [7]}, admin)[0] == 0)
    code, data, _ = api.post("/jssdk/get_conversations", {"conversationIDs": [conv]}, tokens[a])
    check("last message is the newest that is seen", data["conversations"][0]["lastMsg"]["seq"] == 2, data)
    code, data, _ = api.post("/jssdk/get_conversations", {"conversationIDs": [conv]}, tokens[b])
    check("and it differs per user", data["conversations"][0]["lastMsg"]["seq"] == 6, data)
    x = user("dx")
    for path, body, want in (("/msg/delete_msgs", {"seqs": [1], "deleteSyncOpt": OTHER}, MISSING), ("/msg/delete_msgs", {"seqs": [1]}, 0),
                             ("/msg/mark_msgs_as_read", {"seqs": [1]}, MISSING), ("/msg/mark_conversation_as_read", {"hasReadSeq": 1}, MISSING),
                             ("/msg/set_conversation_has_read_seq", {"hasReadSeq": 1}, MISSING), ("/msg/revoke_msg", {"seq": 1}, DENIED)):
        code = as_user(x, path, conversationID=conv, **body)
        check(f"{path} by a stranger", code == want, code)
    check("nothing changed by a stranger", pull(a, conv, 1, 1)[1]["status"] < GONE)
    check("nothing pulled by a stranger", pull(x, conv, 1, 9) == {} and pull(x, n, 1, 9) == {})


def quoting():
    a, b = user("qa", "anna"), user("qb")
    conv = si(a, b)
    send(a, b, "said")
    quote = {"seq": 1, "sendID": a, "senderNickname": "anna", "sessionType": 1, "contentType": 101, "clientMsgID": "c1", "textElem": {"content": "said"}}
    send(b, a, "", contentType=114, content={"text": "re", "quoteMessage": quote})
    send(b, a, "", contentType=114, content={"text": "re", "quoteMessage": {**quote, "seq": 0}})
    reach(a, conv, 3)
    check("a quote as it was sent", content(pull(a, conv, 1, 3)[2])["quoteMessage"] == quote)
    check("read before", as_user(b, "/msg/mark_conversation_as_read", conversationID=conv, hasReadSeq=1) == 0)
    check("revoke", as_user(a, "/msg/revoke_msg", conversationID=conv, seq=1) == 0)
    got = pull(b, conv, 1, 3)
    detail = json.loads(content(got[1])["detail"])
    check("revoked", got[1]["contentType"] == REVOKED and detail["revokerID"] == a and detail["revokerNickname"] == "anna" and detail["seq"] == 1, got[1])
    q = content(got[2])["quoteMessage"]
    check("the quote of it", q["contentType"] == REVOKED and "textElem" not in q and "said" not in json.dumps(q) and q["seq"] == 1, q)
    check("a quote without seq stays", content(got[3])["quoteMessage"] == {**quote, "seq": 0}, got[3])
    check("hidden and revoked", as_user(b, "/msg/delete_msgs", conversationID=conv, seqs=[1]) == 0)
    got = pull(b, conv, 1, 1)[1]
    check("hidden and revoked shows both", got["status"] == GONE and got["contentType"] == REVOKED, got)
    check("one that is deleted", as_user(a, "/msg/delete_msgs", conversationID=conv, seqs=[2], deleteSyncOpt=OTHER) == 0
          and as_user(b, "/msg/revoke_msg", conversationID=conv, seq=2) == MISSING)
    code = api.post("/msg/revoke_msg", {"userID": "imAdmin", "conversationID": conv, "seq": 3}, admin)
    check("by an administrator", code[0] == 0, code)
    n = "n_" + "_".join(sorted((a, b)))
    reach(a, n, 4)
    last = pull(a, n, 1, 9)[4]
    tips = json.loads(content(last)["detail"])
    check("told to both sides", (last["sendID"], last["recvID"]) == (b, a) and tips["isAdminRevoke"] and tips["revokerUserID"] == "imAdmin", last)


def reading():
    a, b = user("ra"), user("rb")
    conv = si(a, b)
    for i in range(1, LONG + 1):
        send(a, b, f"t{i}")
    send(b, a, "answer")
    reach(b, conv, LONG + 1)
    state = lambda who: api.post("/msg/get_conversations_has_read_and_max_seq", {"userID": who, "conversationIDs": [conv]}, tokens[who])[1]["seqs"][conv]
    check("answering reads", state(b)["hasReadSeq"] == LONG + 1, state(b))
    check("but not each message", not any(m["isRead"] for m in pull(a, conv, 1, LONG + 1).values()))
    check("given ones", as_user(b, "/msg/mark_conversation_as_read", conversationID=conv, hasReadSeq=LONG, seqs=[1, 512, 513, LONG]) == 0)
    read = [s for s, m in pull(a, conv, 1, LONG + 1).items() if m["isRead"]]
    check("across blocks", read == [1, 512, 513, LONG], read)
    check("one's own are nobody's", as_user(b, "/msg/mark_msgs_as_read", conversationID=conv, seqs=[LONG, LONG + 1]) == 0)
    check("own", not pull(a, conv, LONG + 1, LONG + 1)[LONG + 1]["isRead"])
    check("beyond the end", as_user(a, "/msg/mark_conversation_as_read", conversationID=conv, hasReadSeq=10 ** 12) == 0 and state(a)["hasReadSeq"] == LONG + 1)
    send(b, a, "later")
    reach(a, conv, LONG + 2)
    check("what comes later is unread", state(a)["hasReadSeq"] == LONG + 1, state(a))
    check("all", as_user(b, "/msg/mark_conversation_as_read", conversationID=conv, hasReadSeq=LONG + 2, seqs=list(range(1, LONG + 1))) == 0)
    check("all read", all(m["isRead"] for s, m in pull(a, conv, 1, LONG).items()))
    redis.delete(f"oim:read:{a}", f"oim:read:{b}", f"oim:marks:{conv}:0", f"oim:marks:{conv}:1")
    check("Redis lost", state(a)["hasReadSeq"] >= LONG + 1 and all(m["isRead"] for s, m in pull(a, conv, 1, LONG).items()), state(a))
    x = f"n_{min(a, b)}_{max(a, b)}"
    notes = [json.loads(content(m)["detail"]) for m in pull(a, x, 1, 99).values()]
    check("receipts are stored", len(notes) >= 3 and all(t["conversationID"] == conv for t in notes), len(notes))
    check("clear", as_user(a, "/msg/clear_conversation_msg", conversationIDs=[conv]) == 0 and pull(a, conv, 1, 999) == {})
    code, data, _ = api.post("/jssdk/get_conversations", {"conversationIDs": [conv]}, tokens[a])
    check("cleared: no last message", [c["lastMsg"] for c in data.get("conversations") or []] == [None], data)


def sending():
    a, others = user("sa", "sender"), [user(f"s{i}") for i in range(6)]
    api.post("/friend/add_black", {"ownerUserID": others[1], "blackUserID": a}, tokens[others[1]])
    api.post("/user/set_global_msg_recv_opt", {"userID": others[2], "globalRecvMsgOpt": 1}, tokens[others[2]])
    for i in (3, 4):
        send(a, others[i], "before")
        reach(others[i], si(a, others[i]), 1)
        api.post("/conversation/set_conversations", {"userIDs": [others[i]], "conversation": {"conversationID": si(a, others[i]), "conversationType": 1,
                 "userID": a, "recvMsgOpt": i - 2}}, tokens[others[i]])
    body = {"sendID": a, "contentType": 101, "content": {"content": "all"}, "sessionType": 1, "senderPlatformID": 1}
    code, data, why = api.post("/msg/batch_send_msg", {**body, "recvIDs": [RUN + "nobody", *others, others[0]]}, admin)
    got = [r["recvID"] for r in data["results"]]
    check("batch: who got it", got == [others[0], others[4], others[5], others[0]], (got, code, why))
    check("batch: who did not", data["failedUserIDs"] == [RUN + "nobody", *others[1:4]], data["failedUserIDs"])
    check("batch: ids", len({r["clientMsgID"] for r in data["results"]}) == 1 and len({r["serverMsgID"] for r in data["results"]}) == 3)
    for r in data["results"][:3]:
        conv = si(a, r["recvID"])
        seq = 2 if r["recvID"] == others[4] else 1
        reach(r["recvID"], conv, seq)
        m = pull(r["recvID"], conv, 1, 9)
        check("batch: as it said", len(m) == seq and all(m[seq][k] == r[k] for k in ("serverMsgID", "clientMsgID", "sendTime")), (m, r))
    for i in (1, 2):
        check("batch: not to who failed", pull(others[i], si(a, others[i]), 1, 9) == {})
    check("batch: too many", api.post("/msg/batch_send_msg", {**body, "recvIDs": ["x"] * 1001}, admin)[0] == ARGS)
    check("batch: to a group", api.post("/msg/batch_send_msg", {**body, "sessionType": 3, "groupID": "g", "recvIDs": ["x"]}, admin)[0] == ARGS)

    code, data, _ = api.post("/msg/send_business_notification", {"key": "k", "data": "d", "sendUserID": a, "recvUserID": others[5], "sendMsg": True,
                                                                  "reliabilityLevel": 2}, admin)
    reach(others[5], si(a, others[5]), 2)
    n = "n_" + "_".join(sorted((a, others[5])))
    reach(others[5], n, 1)
    chat, note = pull(others[5], si(a, others[5]), 2, 2)[2], pull(others[5], n, 1, 1)[1]
    check("business: both, one answer", code == 0 and chat["contentType"] == note["contentType"] == 2001 and data["serverMsgID"] == chat["serverMsgID"]
          and data["sendTime"] == chat["sendTime"] and content(chat) == {"detail": '{"key":"k","data":"d"}'}, (data, chat))

    key = lambda **k: "/msg/send_simple_msg?key=" + base64.b64encode(json.dumps(k).encode()).decode()
    b = others[0]
    code, data, why = api.post(key(sendID=a, recvID=b, groupID=""), {"content": "*hi*", "ex": "x"}, tokens[b])
    reach(a, si(a, b), 2)
    m = pull(a, si(a, b), 2, 2)[2]
    check("simple: an answer", code == 0 and (m["sendID"], m["recvID"], m["contentType"], m["senderPlatformID"], m["msgFrom"], m["createTime"], m["ex"]) ==
          (b, a, 118, 10, 100, 0, "x") and content(m) == {"content": "*hi*"} and m["senderNickname"] == "ns0", (code, why, m))
    check("simple: by somebody else", api.post(key(sendID=a, recvID=b, groupID=""), {"content": "x"}, tokens[a])[0] == DENIED)
    check("simple: unknown", api.post(key(sendID=a, recvID=RUN + "nobody"), {"content": "x"}, admin)[0] == MISSING)
    check("simple: no key", api.post("/msg/send_simple_msg", {"content": "x"}, admin)[0] == ARGS)
    check("simple: bad key", api.post("/msg/send_simple_msg?key=%25%25%25%25", {"content": "x"}, admin)[0] == ARGS)
    check("simple: no content", api.post(key(sendID=a, recvID=b), {}, tokens[b])[0] == ARGS)


def everybody():
    """isSendAll reaches who is not on the first page, too."""
    total = api.post("/user/get_all_users_uid", {"pagination": {"pageNumber": 1, "showNumber": 1}}, admin)[1]["total"]
    if total > 2500:
        print(f"# to everybody: left out, {total} users are too many")
        return
    a = user("ea")
    late = user("elate")
    api.post("/user/user_register", {"users": [{"userID": f"{RUN}e{i}", "nickname": "x"} for i in range(520)]}, admin)
    newest = user("enewest")
    code, data, why = api.post("/msg/batch_send_msg", {"sendID": a, "contentType": 101, "content": {"content": "to all"}, "sessionType": 1, "isSendAll": True}, admin)
    check("to everybody", code == 0 and 0 < len(data["results"]) <= 500, (code, why))
    for who in (late, newest):
        reach(who, si(a, who), 1)
        m = pull(who, si(a, who), 1, 9)
        check("everybody once", len(m) == 1 and m[1]["clientMsgID"] == data["results"][0]["clientMsgID"], m)


def searching():
    a, b = user("fa", "finder"), user("fb", "found")
    sent = [send(a, b, f"word {i}", ex=f"e{i}") for i in range(5)]
    conv = si(a, b)
    reach(a, conv, 5)
    as_user(a, "/msg/revoke_msg", conversationID=conv, seq=2)
    as_user(a, "/msg/delete_msgs", conversationID=conv, seqs=[3], deleteSyncOpt=OTHER)
    page = lambda n, size=10, **f: api.post("/msg/search_msg", {**f, "pagination": {"pageNumber": n, "showNumber": size}}, admin)
    until = time.time() + 20
    while page(1, sendID=a)[1]["chatLogsNum"] < 5 and time.time() < until:
        time.sleep(0.05)
    logs = page(1, sendID=a)[1]["chatLogs"]
    check("search: oldest first, deleted ones left out", [l["chatLog"]["seq"] for l in logs] == [1, 2, 4, 5], logs)
    check("search: original of a revoked one", [l["isRevoked"] for l in logs] == [False, True, False, False] and json.loads(logs[1]["chatLog"]["content"]) == {"content": "word 1"}, logs)
    check("search: names", logs[0]["chatLog"]["senderNickname"] == "finder" and logs[0]["chatLog"]["recvNickname"] == "found", logs[0])
    check("search: receiver and page", [l["chatLog"]["seq"] for l in page(2, 2, recvID=b)[1]["chatLogs"]] == [4], page(2, 2, recvID=b))
    today, other = (time.strftime("%Y-%m-%d", time.gmtime(sent[0]["sendTime"] / 1000 + d)) for d in (0, 2 * 86400))
    check("search: day", page(1, sendID=a, sendTime=today)[1]["chatLogsNum"] == 5 and page(1, sendID=a, sendTime=other)[1]["chatLogsNum"] == 0)
    for bad in ("2026-02-30", "yesterday", "2026-1-1", "2026-01-01x"):
        check("search: no day", page(1, sendTime=bad)[0] == ARGS, bad)
    check("search: type", page(1, sendID=a, contentType=102)[1]["chatLogsNum"] == 0 and page(1, sendID=a, contentType=101, sessionType=1)[1]["chatLogsNum"] == 5)
    for kind in (2, 3, 4):
        check("search: chats of no other kind", page(1, sendID=a, sessionType=kind) == (0, {"chatLogsNum": 0, "chatLogs": None}, ""),
              page(1, sendID=a, sessionType=kind))
    check("search: a kind that no chat has, among all", page(1, sessionType=2)[1]["chatLogsNum"] == 0)
    check("search: for administrators", api.post("/msg/search_msg", {"pagination": {"pageNumber": 1, "showNumber": 1}}, tokens[a])[0] == DENIED)


class Held:
    """The history, locked by a session of MySQL: whoever searches in it waits."""

    def __init__(self):
        self.client = subprocess.Popen(mariadb("-NBn"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.client.stdin.write("LOCK TABLES msg_history WRITE; SELECT 'held';\n")
        self.client.stdin.flush()
        self.good = self.client.stdout.readline().strip() == "held"

    def free(self):
        self.client.stdin.close()
        self.client.wait()


def waiting():
    """A search that takes long keeps nobody waiting, and only so many searches wait."""
    answers = []
    search = lambda: answers.append(Api().post("/msg/search_msg", {"pagination": {"pageNumber": 1, "showNumber": 1}}, admin))
    threads = [threading.Thread(target=search) for _ in range(SEARCHES)]
    held = Held()
    check("waiting: the history is held", held.good)
    try:
        for t in threads:
            t.start()
        until = time.time() + 8
        while len(answers) < SEARCHES - QUEUE - 2 and time.time() < until:
            time.sleep(0.01)
        check("waiting: too many", len(answers) >= SEARCHES - QUEUE - 2 and all(c == 500 and "too many" in why for c, _, why in answers), answers[:3])
        code = api.post("/user/get_users_info", {"userIDs": ["imAdmin"]}, admin)[0]
        check("waiting: others are answered meanwhile", code == 0 and len(answers) < SEARCHES, (code, len(answers)))
    finally:
        held.free()
    for t in threads:
        t.join()
    served = sum(c == 0 for c, _, _ in answers)
    check("waiting: the others are found then", len(answers) == SEARCHES and served >= 1, (len(answers), served))


def leaving():
    """openim-logic that is told to end answers the searches that it has taken."""
    log = os.path.join(os.environ.get("OPENIM_VAR") or os.path.join(ROOT, "var"), "log", "logic.log")
    began, links = os.path.getsize(log), [Api() for _ in range(3)]
    headers = {"Content-Type": "application/json", "operationID": "messagesleaving", "token": admin}
    held = Held()
    check("leaving: the history is held", held.good)
    try:
        for link in links:
            link.connection.request("POST", "/msg/search_msg", json.dumps({"pagination": {"pageNumber": 1, "showNumber": 1}}), headers)
        check("leaving: a request after them is answered", api.post("/user/get_users_info", {"userIDs": ["imAdmin"]}, admin)[0] == 0)
        restart = subprocess.Popen([os.path.join(ROOT, "build.sh"), "restart", "logic"], stdout=subprocess.DEVNULL)
        until = time.time() + 8
        while (told := '"stopping"' in said_since(log, began)) is False and time.time() < until:
            time.sleep(0.01)
        check("leaving: it was told to end", told)
    finally:
        held.free()
    codes = [json.loads(link.connection.getresponse().read())["errCode"] for link in links]
    check("leaving: all searches are answered", codes == [0, 0, 0], codes)
    check("leaving: it comes back", restart.wait(60) == 0)


def said_since(log, offset):
    with open(log, encoding="utf-8", errors="replace") as file:
        file.seek(offset)
        return file.read()


def in_a_group():
    owner, one, two, admin_of = user("go"), user("g1"), user("g2"), user("gad")
    g, conv, n = RUN + "grp", "sg_" + RUN + "grp", "n_" + RUN + "grp"
    api.post("/group/create_group", {"ownerUserID": owner, "memberUserIDs": [one, two], "adminUserIDs": [admin_of],
                                     "groupInfo": {"groupID": g, "groupName": "x", "groupType": 2}}, tokens[owner])
    reach(owner, conv, 1)
    for u in (one, two, admin_of, owner):  # seqs 2 to 9
        for text in "ab":
            api.post("/msg/send_msg", {"sendID": u, "groupID": g, "sessionType": 3, "contentType": 101, "content": {"content": text}}, admin)
    reach(owner, conv, 9)
    for kind, want in ((0, 9), (1, 0), (3, 9)):  # the archive takes a moment
        until = time.time() + 10
        while (found := api.post("/msg/search_msg", {"recvID": g, "sessionType": kind, "pagination": {"pageNumber": 1, "showNumber": 99}},
                                 admin)[1]["chatLogsNum"]) < want and time.time() < until:
            pass
        check(f"group: search by kind {kind}", found == want, found)
    for what, who, seqs, want in (("one's own", one, [2], 0), ("another's", one, [4], DENIED), ("one's own and another's", one, [3, 4], DENIED),
                                  ("a member's, by an administrator", admin_of, [4], 0), ("the owner's, by an administrator", admin_of, [8], DENIED),
                                  ("any, by the owner", owner, [5, 7, 9], 0)):
        code = as_user(who, "/msg/delete_msgs", conversationID=conv, seqs=seqs, deleteSyncOpt=OTHER)
        check(f"group: delete {what}", code == want, code)
    gone = [s for s, m in pull(two, conv, 1, 99).items() if m["status"] == GONE]
    check("group: what is deleted", gone == [2, 4, 5, 7, 9], gone)
    check("group: revoke", as_user(owner, "/msg/revoke_msg", conversationID=conv, seq=8) == 0)
    detail = json.loads(content(pull(two, conv, 8, 8)[8])["detail"])
    check("group: the role in it", detail["revokerRole"] == 100 and detail["sessionType"] == 3, detail)
    check("group: read", as_user(two, "/msg/mark_msgs_as_read", conversationID=conv, seqs=[3]) == 0)
    reach(two, n, 5)
    types = [m["contentType"] for m in pull(two, n, 1, 99).values()]
    check("group: told to all", types == [2102, 2102, 2102, REVOKED, 2200], types)
    check("group: clear, by a member", as_user(one, "/msg/clear_conversation_msg", conversationIDs=[conv], deleteSyncOpt=OTHER) == DENIED)
    check("group: clear, by an administrator", as_user(admin_of, "/msg/clear_conversation_msg", conversationIDs=[conv], deleteSyncOpt=OTHER) == 0)
    check("group: cleared for all", pull(two, conv, 1, 99) == {} and pull(owner, conv, 1, 99) == {})


def together():
    """Whatever is read after an answer has what the answer said, with the copies in Redis coming and going."""
    users = [user(f"t{i}") for i in range(CLIENTS)]
    pairs = [(users[i], users[(i + 1) % CLIENTS]) for i in range(CLIENTS)]
    for a, b in pairs:
        for i in range(CHANGES):
            send(a, b, f"t{i}")
    for a, b in pairs:
        reach(a, si(a, b), CHANGES)
    said = {}  # (conv, seq) -> what was answered: revoked, deleted, hidden from
    stop = threading.Event()

    def changer(a, b, seed):
        rand, via, conv, order = random.Random(seed), Api(), si(a, b), list(range(1, CHANGES + 1))
        rand.shuffle(order)
        for seq in order:
            kind = rand.choice(("revoked", "deleted", "hidden"))
            if kind == "revoked":
                code = as_user(a, "/msg/revoke_msg", via, conversationID=conv, seq=seq)
            else:
                code = as_user(b, "/msg/delete_msgs", via, conversationID=conv, seqs=[seq], deleteSyncOpt=OTHER if kind == "deleted" else None)
            check("a change", code == 0, code)
            said[conv, seq] = kind

    def reader(seed):
        rand, via, link = random.Random(seed), Api(), Redis()
        while not stop.is_set():
            a, b = rand.choice(pairs)
            conv, who = si(a, b), rand.choice((a, b))
            if rand.random() < 0.4:  # this pull and those beside it load the copies again, while a change is on its way
                block = hashlib.sha256(f"{b}\0{conv}\0000".encode()).hexdigest()[:32]
                link.delete(f"oim:marks:{conv}:0", f"oim:hidden:{block}")
            known = {k[1]: v for k, v in list(said.items()) if k[0] == conv}
            got = pull(who, conv, 1, CHANGES, via)
            for seq, kind in known.items():
                m = got[seq]
                good = {"revoked": m["contentType"] == REVOKED, "deleted": m["status"] == GONE, "hidden": (m["status"] == GONE) == (who == b)}[kind]
                if not good:
                    check(f"{kind} stays {kind}", False, (conv, seq, who, m))

    readers = [threading.Thread(target=reader, args=(i,)) for i in range(READERS)]
    changers = [threading.Thread(target=changer, args=(a, b, i)) for i, (a, b) in enumerate(pairs)]
    for t in readers + changers:
        t.start()
    for t in changers:
        t.join()
    stop.set()
    for t in readers:
        t.join()
    check("all was changed", len(said) == CLIENTS * CHANGES, len(said))


for part in (deleting, quoting, reading, sending, searching, waiting, leaving, in_a_group, everybody, together):
    part()
finish()
