#!/usr/bin/env python3
"""A user with many groups and friends takes another name: everybody who shows it learns it from the version logs, in more than one piece.

    eval "$(./build.sh env)"; tests/system/profile.py

Needs the instance of `./build.sh up`. Ends with "N passed, N failed".
"""
import http.client, json, os, random, string, sys, time

GROUPS, FRIENDS = 130, 620  # more than one piece of each (workers/logic/profile.c)
WAIT_S = 30
QUOTES = '"' * 65535         # four bytes each in a notice


class Api:
    def __init__(self):
        self.connection = http.client.HTTPConnection(os.environ["OPENIM_REST_ADDRESS"], timeout=30)
        self.tokens = {}
        secret = os.environ.get("OPENIM_SECRET", "openIM123")
        self.tokens["admin"] = self.post("/auth/get_admin_token", {"secret": secret, "userID": "imAdmin"}, None)["token"]

    def post(self, path, body, user="admin"):
        if user and user not in self.tokens:
            self.tokens[user] = self.post("/auth/get_user_token", {"userID": user, "platformID": 5})["token"]
        headers = {"operationID": "profile", **({"token": self.tokens[user]} if user else {})}
        self.connection.request("POST", path, json.dumps(body), headers)
        answer = json.loads(self.connection.getresponse().read())
        if answer["errCode"]:
            sys.exit(f"not ok {path}: {answer}")
        return answer.get("data") or {}


class World:
    def __init__(self, api):
        self.api = api
        p = "f" + "".join(random.choices(string.ascii_lowercase, k=7))
        self.user, self.owner = p + "u", p + "owner"
        self.friends = [f"{p}f{i}" for i in range(FRIENDS)]
        self.groups = [f"{p}g{i:03}" for i in range(GROUPS)]
        everybody = [{"userID": u, "nickname": "old"} for u in (self.user, self.owner, *self.friends)]
        api.post("/user/user_register", {"users": everybody})
        for at in range(0, FRIENDS, 500):
            api.post("/friend/import_friend", {"ownerUserID": self.user, "friendUserIDs": self.friends[at:at + 500]})
        for group in self.groups:
            api.post("/group/create_group", {"ownerUserID": self.owner, "memberUserIDs": [self.user],
                                             "groupInfo": {"groupID": group, "groupName": "g", "groupType": 2}})

    def changes(self, log, since=None):
        """What a log says after since: a friend's list, or a group's members."""
        path, body, reader = "/group/get_incremental_group_members", {"groupID": log}, self.user
        if log in self.friends:
            path, body, reader = "/friend/get_incremental_friends", {"userID": log}, log
        if since:
            body.update(versionID=since["versionID"], version=since["version"])
        return self.api.post(path, body, reader)


def names(answer):
    """Of those who changed."""
    rows = answer["update"] or []
    return [(r["friendUser"] if "friendUser" in r else r)["nickname"] for r in rows]


def main():
    api = Api()
    world = World(api)
    passed = failed = 0

    def check(name, good, seen):
        nonlocal passed, failed
        if good:
            passed += 1
        else:
            failed += 1
            print(f"not ok {name}: {seen}", flush=True)

    gone, back, own, heavy = world.friends[3], world.friends[4], world.groups[7], world.groups[11]
    api.post("/friend/delete_friend", {"ownerUserID": gone, "friendUserID": world.user}, gone)
    api.post("/friend/delete_friend", {"ownerUserID": world.user, "friendUserID": back}, world.user)
    # with what this group says of itself the notice would be too large for a message; the log has the change all the same
    api.post("/group/set_group_info_ex", {"groupID": heavy, **dict.fromkeys(("introduction", "faceURL", "ex"), QUOTES)}, world.owner)
    api.post("/group/set_group_member_info", {"members": [{"groupID": own, "userID": world.user, "nickname": "own", "faceURL": "own"}]})
    logs = [*world.groups, *world.friends[:20], *world.friends[-20:]]
    before = {log: world.changes(log) for log in logs}

    # what nobody else sees
    api.post("/user/update_user_info_ex", {"userInfo": {"userID": world.user, "ex": "x", "nickname": "old"}}, world.user)
    api.post("/user/update_user_info_ex", {"userInfo": {"userID": world.user, "nickname": "new", "faceURL": QUOTES[:5000]}}, world.user)
    late, until = max(logs[GROUPS:]), time.monotonic() + WAIT_S  # friends learn in the order of their ids, after the groups
    while not names(world.changes(late, before[late])) and time.monotonic() < until:
        time.sleep(0.1)
    for log in logs:
        answer = world.changes(log, before[log])
        steps = answer["version"] - before[log]["version"]
        if log in (gone, own):
            check(f"{log} is not concerned", steps == 0 and not names(answer), answer)
        else:
            check(f"{log} learns the name once", steps == 1 and names(answer) == ["new"], answer)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
