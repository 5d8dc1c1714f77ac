#!/usr/bin/env python3
"""Groups that many change at once: eight clients invite, kick, quit, transfer, mute, name and describe in the same groups.

    eval "$(./build.sh env)"; tests/system/groups.py

Needs the instance of `./build.sh up`. One follower a group does meanwhile what an SDK does with get_incremental_group_members. At the end
each group has one owner and as many members as it says, every user's joined groups are those it is a member of, the follower has the
server's list, member by member, and the group's row, and the member log has a step for each change that was answered with success. Then groups are dismissed
while others still change them. Ends with "N passed, N failed".
"""
import random, threading, time

from case import Api, check, finish

ROUNDS = 100        # of a change while somebody synchronises

RUN = "g" + format(int(time.time() * 1000), "x")
GROUPS, USERS, CLIENTS, CHANGES = 3, 16, 8, 60
REFUSED = {1001, 1002, 1004, 1101, 1204}
ALREADY = "a member already"  # answered with 500, as by others
PAGE = {"pageNumber": 1, "showNumber": 1000}
guard = threading.Lock()

api = Api()
admin = api.admin()
users = [f"{RUN}u{n}" for n in range(USERS)]
api.need("/user/user_register", {"users": [{"userID": u, "nickname": u} for u in users]}, admin)
tokens = {u: api.need("/auth/get_user_token", {"userID": u, "platformID": 5}, admin)["token"] for u in users}


def create(name):
    body = {"ownerUserID": users[0], "memberUserIDs": users[1:8], "groupInfo": {"groupID": RUN + name, "groupName": name, "groupType": 2}}
    return api.need("/group/create_group", body, tokens[users[0]])["groupInfo"]["groupID"]


def members(via, group):
    return {m["userID"]: m for m in via.need("/group/get_group_member_list", {"groupID": group, "pagination": PAGE}, admin)["members"] or []}


def information(via, group):
    return via.need("/group/get_groups_info", {"groupIDs": [group]}, admin)["groupInfos"][0]


def change(rnd, group):
    """(path, body, token, steps of the member log when it succeeds)"""
    who, whom, other = rnd.sample(users, 3)
    kind = rnd.randrange(8)
    if kind == 0:
        owner = information(rnd.api, group)["ownerUserID"]
        return "transfer_group", {"groupID": group, "oldOwnerUserID": owner, "newOwnerUserID": whom}, tokens.get(owner), 1
    if kind == 1:
        return "kick_group", {"groupID": group, "kickedUserIDs": [whom], "reason": ""}, admin, 1
    if kind in (2, 3):
        return "invite_user_to_group", {"groupID": group, "invitedUserIDs": [whom], "reason": ""}, admin, 1
    if kind == 4:
        return "quit_group", {"groupID": group, "userID": who}, tokens[who], 1
    if kind == 5:
        entries = [{"groupID": group, "userID": u, "nickname": f"n{rnd.randrange(1000)}"} for u in (whom, other)]
        return "set_group_member_info", {"members": entries}, admin, 2
    if kind == 6:
        return "set_group_info_ex", {"groupID": group, "ex": f"e{rnd.randrange(1000)}"}, admin, 1
    return ("mute_group" if rnd.random() < 0.5 else "cancel_mute_group"), {"groupID": group}, admin, 1


def client(seed, groups, steps):
    rnd = random.Random(f"{RUN}{seed}")
    rnd.api = Api()
    for _ in range(CHANGES):
        group = rnd.choice(groups)
        path, body, token, n = change(rnd, group)
        code, _, detail = rnd.api.post("/group/" + path, body, token)
        if code == 0:
            with guard:
                steps[group] = steps.get(group, 0) + n
        elif code not in REFUSED and ALREADY not in (detail or ""):
            check(f"{path} of {group}", False, (code, detail))


class Follower(threading.Thread):
    """The members as a client has them that only synchronises."""

    def __init__(self, group, token=None):
        super().__init__()
        self.token = token or admin
        self.group, self.api, self.list, self.version, self.id, self.end = group, Api(), {}, 0, "", False
        self.row = None

    def sync(self):
        data = self.api.need("/group/get_incremental_group_members", {"groupID": self.group, "versionID": self.id, "version": self.version}, self.token)
        if data["full"]:
            self.list = members(self.api, self.group)
        for member in (data["insert"] or []) + (data["update"] or []):
            self.list[member["userID"]] = member
        for user in data["delete"] or []:
            self.list.pop(user, None)
        self.row = data["group"] or self.row
        self.version, self.id = data["version"], data["versionID"]

    def run(self):
        while not self.end:
            self.sync()
        self.sync()


def together(work):
    threads = [threading.Thread(target=work, args=(n,)) for n in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def joined(user):
    return set(api.need("/group/get_full_join_group_ids", {"userID": user, "idHash": 0}, admin)["groupIDs"] or [])


def many_changes():
    groups, steps = [create(f"g{n}") for n in range(GROUPS)], {}
    followers = [Follower(g) for g in groups]
    for f in followers:
        f.start()
    together(lambda n: client(n, groups, steps))
    for f in followers:
        f.end = True
        f.join()
    lists = {}
    for f in followers:
        g = f.group
        lists[g], row = members(api, g), information(api, g)
        owners = [u for u, m in lists[g].items() if m["roleLevel"] == 100]
        check(f"{g}: one owner, the one that it says", owners == [row["ownerUserID"]], (owners, row["ownerUserID"]))
        check(f"{g}: as many members as it says", len(lists[g]) == row["memberCount"], (len(lists[g]), row["memberCount"]))
        check(f"{g}: the follower has the list", f.list == lists[g], sorted(u for u in users if f.list.get(u) != lists[g].get(u)))
        check(f"{g}: the follower has the group's own row", f.row == row, (f.row, row))
        check(f"{g}: a step for each change", f.version == 1 + steps.get(g, 0), (f.version, steps.get(g)))
    for u in users:
        check(f"{u}: joined what it is a member of", joined(u) == {g for g in groups if u in lists[g]}, joined(u))


def many_changes_at_the_end():
    groups, steps = [create(f"e{n}") for n in range(GROUPS)], {}

    def work(n):
        if n:
            return client(f"end{n}", groups, steps)
        via = Api()
        for g in groups:
            while steps.get(g, 0) < 5:  # the others are under way
                information(via, g)
            via.need("/group/dismiss_group", {"groupID": g}, admin)

    together(work)
    for g in groups:
        row = information(api, g)
        check(f"{g}: dismissed and empty", (row["status"], row["memberCount"], members(api, g)) == (2, 0, {}), row)
    for u in users:
        check(f"{u}: has left them", not joined(u) & set(groups), joined(u))


def rows_and_versions():
    """Whoever asks while the group's row changes holds the row of its version, or a newer one."""
    group, via, stale = create("row"), Api(), []
    # several users: the requests of some wait for those of the user who changes it
    followers = [Follower(group, tokens[u]) for u in list(members(api, group))[:4]]

    def follow(follower, change):
        while change.is_alive():
            follower.sync()
        follower.sync()

    for f in followers:
        f.sync()
    for n in range(ROUNDS):
        change = threading.Thread(target=via.need, args=("/group/set_group_info_ex", {"groupID": group, "ex": f"x{n}"}, admin))
        threads = [threading.Thread(target=follow, args=(f, change)) for f in followers]
        for t in [change] + threads:
            t.start()
        for t in [change] + threads:
            t.join()
        stale += [n for f in followers if f.row["ex"] != f"x{n}"]
    check("a row is never older than its version", not stale, stale)


many_changes()
many_changes_at_the_end()
rows_and_versions()
finish()
