#!/usr/bin/env python3
"""Changes of groups at the same time: of each race one consistent result is left.

    eval "$(./build.sh env)"; tests/system/group_race.py

Every round lets several clients go at once: two administrators decide one request; two members invite the same user; several make the same
group; two groups invite the same users in opposite orders, so that their transactions meet. Afterwards counts, lists and logs agree.
Ends with "N passed, N failed".
"""
import collections, http.client, json, os, random, string, sys, threading

ROUNDS = 15
PREFIX = "race" + "".join(random.choices(string.ascii_lowercase + string.digits, k=6))


def post(path, body, token=None):
    connection = http.client.HTTPConnection(os.environ["OPENIM_REST_ADDRESS"], timeout=60)
    headers = {"Content-Type": "application/json", "operationID": f"race-{random.getrandbits(40)}"}
    if token:
        headers["token"] = token
    connection.request("POST", path, json.dumps(body), headers)
    return json.loads(connection.getresponse().read())


def done(path, body, token=None):
    answer = post(path, body, token)
    if answer["errCode"]:
        raise SystemExit(f"not ok {path}: {answer}")
    return answer.get("data") or {}


def together(*calls):
    """The codes of calls that begin at the same moment."""
    gate, codes = threading.Barrier(len(calls)), [None] * len(calls)

    def run(n):
        gate.wait()
        codes[n] = post(*calls[n])["errCode"]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return codes


class Results:
    passed = failed = 0

    def check(self, name, good, seen):
        self.passed += good
        self.failed += not good
        if not good:
            print(f"not ok {name}: {seen}", flush=True)


class Case:
    def __init__(self):
        self.results = Results()
        self.admin = done("/auth/get_admin_token", {"secret": os.environ.get("OPENIM_SECRET", "openIM123"), "userID": "imAdmin"})["token"]
        self.tokens = {}

    def users(self, *names):
        ids = [PREFIX + n for n in names]
        done("/user/user_register", {"users": [{"userID": u, "nickname": u, "faceURL": ""} for u in ids]}, self.admin)
        return ids

    def token(self, user):
        if user not in self.tokens:
            self.tokens[user] = done("/auth/get_user_token", {"userID": user, "platformID": 5}, self.admin)["token"]
        return self.tokens[user]

    def group(self, name, owner, members=(), admins=(), need=0):
        g = PREFIX + name
        done("/group/create_group", {"ownerUserID": owner, "memberUserIDs": list(members), "adminUserIDs": list(admins),
                                     "groupInfo": {"groupID": g, "groupName": name, "groupType": 2, "needVerification": need}}, self.token(owner))
        return g

    def agrees(self, name, group, members):
        """Row, list, ids and log of a group tell of the same members."""
        info = done("/group/get_groups_info", {"groupIDs": [group]}, self.admin)["groupInfos"][0]
        listed = done("/group/get_group_member_list", {"groupID": group, "pagination": {"pageNumber": 1, "showNumber": 10000}}, self.admin)
        ids = sorted(m["userID"] for m in listed["members"])
        self.results.check(f"{name}: members", ids == sorted(members), f"{ids} instead of {sorted(members)}")
        self.results.check(f"{name}: count", info["memberCount"] == listed["total"] == len(ids), (info["memberCount"], listed["total"]))
        self.results.check(f"{name}: owner", sum(m["roleLevel"] == 100 for m in listed["members"]) == 1, listed["members"])

    def joined(self, name, user, group):
        """The user's join log has the group once, as an insert."""
        log = done("/group/get_full_join_group_ids", {"userID": user, "idHash": 0}, self.admin)
        self.results.check(f"{name}: {user} has joined", (log["groupIDs"] or []).count(group) == 1, log)


def decisions(case, n):
    owner, one, x = case.users(f"d{n}o", f"d{n}a", f"d{n}x")
    group = case.group(f"d{n}", owner, admins=[one])
    done("/group/join_group", {"groupID": group, "joinSource": 3, "inviterUserID": x}, case.token(x))
    answer = {"groupID": group, "fromUserID": x}
    first, second = (1, 1) if n % 2 else (1, -1)
    codes = together(("/group/group_application_response", {**answer, "handleResult": first}, case.token(owner)),
                     ("/group/group_application_response", {**answer, "handleResult": second}, case.token(one)))
    case.results.check("two decide: one does", sorted(codes) == [0, 1206], codes)
    agreed = (first, second)[codes.index(0)] == 1 if 0 in codes else False
    case.agrees("two decide", group, [owner, one] + [x] * agreed)
    request = done("/group/get_specified_user_group_request_info", {"groupID": group, "userID": x}, case.token(x))["groupRequests"][0]
    case.results.check("two decide: the request says so", request["handleResult"] == (1 if agreed else -1), request)


def invitations(case, n):
    owner, one, x = case.users(f"i{n}o", f"i{n}a", f"i{n}x")
    group = case.group(f"i{n}", owner, members=[one])
    body = {"groupID": group, "invitedUserIDs": [x]}
    codes = together(*[("/group/invite_user_to_group", body, case.token(u)) for u in (owner, one)])
    case.results.check("two invite: one does", sorted(codes) == [0, 500], codes)
    case.agrees("two invite", group, [owner, one, x])
    case.joined("two invite", x, group)


def creations(case, n):
    owners = case.users(*[f"c{n}o{i}" for i in range(4)])
    name = f"{PREFIX}c{n}"
    body = {"groupInfo": {"groupID": name, "groupName": "c", "groupType": 2}}
    codes = together(*[("/group/create_group", {**body, "ownerUserID": u}, case.token(u)) for u in owners])
    case.results.check("four make a group: one does", collections.Counter(codes) == {0: 1, 1202: 3}, codes)
    case.agrees("four make a group", name, [u for u, code in zip(owners, codes) if code == 0])


def crosswise(case, n):
    owners, many = case.users(f"x{n}a", f"x{n}b"), case.users(*[f"x{n}m{i:03}" for i in range(100)])
    groups = [case.group(f"x{n}g{i}", owner) for i, owner in enumerate(owners)]
    calls = [("/group/invite_user_to_group", {"groupID": g, "invitedUserIDs": ids}, case.token(o))
             for g, o, ids in zip(groups, owners, (many, many[::-1]))]
    case.results.check("two groups invite the same: both do", together(*calls) == [0, 0], "not both")
    for g, o in zip(groups, owners):
        case.agrees("two groups invite the same", g, [o] + many)
        case.joined("two groups invite the same", many[n], g)


def coming_and_going(case, n):
    owner, x, y = case.users(f"q{n}o", f"q{n}x", f"q{n}y")
    group = case.group(f"q{n}", owner, members=[x], need=2)
    codes = together(("/group/quit_group", {"groupID": group}, case.token(x)),
                     ("/group/kick_group", {"groupID": group, "kickedUserIDs": [x]}, case.token(owner)),
                     ("/group/join_group", {"groupID": group, "joinSource": 3, "inviterUserID": y}, case.token(y)))
    case.results.check("one quits, is kicked, another joins", codes[:2].count(0) == 1 and codes[2] == 0, codes)
    case.agrees("one quits, is kicked, another joins", group, [owner, y])
    case.joined("one quits, is kicked, another joins", y, group)


def main():
    case = Case()
    for race in (decisions, invitations, creations, crosswise, coming_and_going):
        for n in range(ROUNDS):
            race(case, n)
    print(f"{case.results.passed} passed, {case.results.failed} failed")
    return case.results.failed > 0


if __name__ == "__main__":
    sys.exit(main())
