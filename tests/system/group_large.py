#!/usr/bin/env python3
"""A group of 10,000 members: how long it takes to make and to read, and which keys MariaDB uses for it.

    eval "$(./build.sh env)"; tests/system/group_large.py [--members 10000] [--no-explain]

Needs the instance of `./build.sh up`. Prints a line per step with its times, then every statement that ran, with the plan that the server
chose for it, taken from the slow log: for that all statements are logged while this runs, which makes the times somewhat longer than they
are; --no-explain leaves the server alone. Ends with "N passed, N failed".
"""
import argparse, http.client, json, os, random, re, string, subprocess, sys, time

GROWING = {"users", "chat_groups", "group_members", "group_requests", "conversations", "seq_user", "version_docs", "version_entries", "request_log"}
PAGE = 100


class Api:
    def __init__(self, address, secret):
        self.connection = http.client.HTTPConnection(address, timeout=60)
        self.secret = secret
        self.number = 0

    def post(self, path, body, token=None):
        self.number += 1
        headers = {"Content-Type": "application/json", "operationID": f"large-{self.number}"}
        if token:
            headers["token"] = token
        began = time.monotonic()
        self.connection.request("POST", path, json.dumps(body), headers)
        answer = json.loads(self.connection.getresponse().read())
        took = (time.monotonic() - began) * 1000
        if answer["errCode"]:
            raise SystemExit(f"not ok {path}: {answer}")
        return answer.get("data") or {}, took

    def admin(self):
        return self.post("/auth/get_admin_token", {"secret": self.secret, "userID": "imAdmin"})[0]["token"]

    def user(self, admin, user):
        return self.post("/auth/get_user_token", {"userID": user, "platformID": 5}, admin)[0]["token"]


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def times(self, name, took):
        took = sorted(took)
        print(f"{name:44} n {len(took):4}  p50 {took[len(took) // 2]:8.1f} ms  p99 {took[len(took) * 99 // 100]:8.1f} ms  max {took[-1]:8.1f} ms",
              flush=True)

    def check(self, name, good, seen=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"not ok {name}: {seen}", flush=True)


class SlowLog:
    """Everything that the server runs, with its plan."""

    def __init__(self, var):
        self.path = os.path.join(var, "log", "mariadb-slow.log")
        self.socket = os.path.join(var, "data", "mariadb", "mariadb.sock")
        self.at = 0

    def sql(self, text):
        subprocess.run(["mariadb", "--no-defaults", "-S", self.socket, "-u", "root", "-e", text], check=True, stdout=subprocess.DEVNULL)

    def begin(self):
        self.before = subprocess.run(["mariadb", "--no-defaults", "-S", self.socket, "-u", "root", "-NBe",
                                      "select @@global.long_query_time, @@global.log_slow_verbosity"], check=True, text=True,
                                     capture_output=True).stdout.strip("\n").split("\t")
        self.at = os.path.getsize(self.path)
        # sessions keep the settings that they began with: they begin again
        self.sql("set global log_slow_verbosity = 'query_plan,explain'; set global long_query_time = 0; kill user openim;")

    def end(self):
        self.sql(f"set global long_query_time = {self.before[0]}; set global log_slow_verbosity = '{self.before[1]}'; kill user openim;")

    def plans(self):
        """{statement: [calls, most rows examined, {(table, type, key)}]}"""
        plans, examined, rows = {}, 0, []
        with open(self.path, encoding="utf-8", errors="replace") as file:
            file.seek(self.at)
            for line in file:
                if line.startswith("# Query_time"):
                    examined, rows = int(re.search(r"Rows_examined: (\d+)", line).group(1)), []
                elif line.startswith("# explain:"):
                    rows.append(line[10:].strip().split("\t"))
                elif line[:1] != "#" and re.match(r"(select|insert|update|delete|replace)\b", line, re.I):
                    entry = plans.setdefault(shape(line), [0, 0, set()])
                    entry[0] += 1
                    entry[1] = max(entry[1], examined)
                    entry[2] |= {(r[2], r[3], r[5]) for r in rows[1:] if len(r) > 5}
        return plans


def shape(statement):
    """The statement without its values."""
    text = re.sub(r"'(?:[^'\\]|\\.|'')*'", "?", statement.strip())
    text = re.sub(r"\b(0x[0-9a-fA-F]+|\d+)\b", "?", text)
    text = re.sub(r"\((\?\s*,\s*)+\?\)", "(?..)", text)
    text = re.sub(r"(\(\?\.\.\)\s*,?\s*)+", "(?..) ", text)
    return text[:230].rstrip("; ")


def make(api, report, admin, prefix, members):
    users = [f"{prefix}{n:05}" for n in range(members)]
    took = []
    for at in range(0, members, 1000):
        took.append(api.post("/user/user_register", {"users": [{"userID": u, "nickname": f"nick {u}", "faceURL": "http://face.test/1"}
                                                              for u in users[at:at + 1000]]}, admin)[1])
    report.times("register 1,000 users", took)
    owner, group = api.user(admin, users[0]), f"{prefix}g"
    _, took = api.post("/group/create_group", {"ownerUserID": users[0], "memberUserIDs": users[1:1000],
                                               "groupInfo": {"groupID": group, "groupName": "large", "groupType": 2}}, owner)
    report.times("create with 1,000 members", [took])
    took = [api.post("/group/invite_user_to_group", {"groupID": group, "invitedUserIDs": users[at:at + 1000]}, owner)[1]
            for at in range(1000, members, 1000)]
    if took:
        report.times("invite 1,000", took)
    return users, owner, group


def read(api, report, users, owner, group):
    seen, took, page = [], [], 1
    while True:
        data, ms = api.post("/group/get_group_member_list", {"groupID": group, "pagination": {"pageNumber": page, "showNumber": PAGE}}, owner)
        took.append(ms)
        seen += [m["userID"] for m in data["members"] or []]
        if len(data["members"] or []) < PAGE:
            break
        page += 1
    report.times(f"member list, pages of {PAGE}", took)
    report.times("  the last pages", took[-5:])
    report.check("the pages hold every member once", sorted(seen) == sorted(users), f"{len(seen)} members, {len(set(seen))} of them different")
    report.check("owner first", seen[0] == users[0], seen[0])
    report.check("total", data["total"] == len(users), data["total"])

    data, ms = api.post("/group/get_groups_info", {"groupIDs": [group]}, owner)
    report.times("get_groups_info", [ms])
    report.check("memberCount", data["groupInfos"][0]["memberCount"] == len(users), data["groupInfos"][0]["memberCount"])
    report.times("get_group_members_info of 100",
                 [api.post("/group/get_group_members_info", {"groupID": group, "userIDs": random.sample(users, min(100, len(users)))}, owner)[1]
                  for _ in range(50)])
    report.times("get_group_member_list, by a word of names",
                 [api.post("/group/get_group_member_list", {"groupID": group, "keyword": "x", "pagination": {"pageNumber": 1, "showNumber": 20}},
                           owner)[1] for _ in range(5)])
    data, ms = api.post("/group/get_full_group_member_user_ids", {"groupID": group, "idHash": 0}, owner)
    report.times("get_full_group_member_user_ids", [ms])
    report.check("full ids are in the order of the pages", data["userIDs"] == seen, "another order")
    _, ms = api.post("/group/get_group_abstract_info", {"groupIDs": [group]}, owner)
    report.times("get_group_abstract_info", [ms])


def follow(api, report, admin, prefix, users, owner, group):
    """A client that is one change behind, one that is far behind, and one that comes in itself."""
    ask = {"groupID": group, "versionID": "", "version": 0}
    path = "/group/get_incremental_group_members"
    first, ms = api.post(path, ask, owner)
    report.times("incremental, from nothing", [ms])
    more = [f"{prefix}m{n}" for n in range(3)]
    api.post("/user/user_register", {"users": [{"userID": u, "nickname": u, "faceURL": ""} for u in more]}, admin)
    took = [api.post("/group/invite_user_to_group", {"groupID": group, "invitedUserIDs": [u]}, owner)[1] for u in more]
    report.times("invite 1 into it", took)
    ask = {"groupID": group, "versionID": first["versionID"], "version": first["version"]}
    answers = [api.post(path, ask, owner) for _ in range(20)]
    report.times("incremental, 3 members behind", [ms for _, ms in answers])
    report.check("the three are inserts", sorted(m["userID"] for m in answers[0][0]["insert"] or []) == more, answers[0][0]["insert"])
    data, ms = api.post(path, {**ask, "version": 1}, owner)
    report.times("incremental, thousands behind", [ms])
    report.check("far behind is full", data["full"], data)
    batch = {"userID": users[0], "reqList": [ask]}
    report.times("incremental batch", [api.post("/group/get_incremental_group_members_batch", batch, owner)[1] for _ in range(20)])
    report.times("get_joined_group_list of a member",
                 [api.post("/group/get_joined_group_list", {"fromUserID": users[1], "pagination": {"pageNumber": 1, "showNumber": 100}}, admin)[1]
                  for _ in range(20)])


def leave(api, report, admin, users, owner, group):
    """What changes a thousand members at once, and the end of all of them."""
    batch = users[1:1001]
    entries = [{"groupID": group, "userID": u, "nickname": f"in the group {u}"} for u in batch]
    report.times("set_group_member_info of 1,000", [api.post("/group/set_group_member_info", {"members": entries}, owner)[1]])
    report.times("set_group_member_info of 1", [api.post("/group/set_group_member_info", {"members": [e]}, owner)[1] for e in entries[:20]])
    report.times("announcement", [api.post("/group/set_group_info_ex", {"groupID": group, "notification": "news"}, owner)[1]])
    report.times("mute_group_member", [api.post("/group/mute_group_member", {"groupID": group, "userID": u, "mutedSeconds": 60}, owner)[1]
                                       for u in users[-20:]])
    report.times("kick 1,000", [api.post("/group/kick_group", {"groupID": group, "kickedUserIDs": batch, "reason": ""}, owner)[1]])
    data, _ = api.post("/group/get_groups_info", {"groupIDs": [group]}, owner)
    report.check("memberCount without them", data["groupInfos"][0]["memberCount"] == len(users) - len(batch) + 3, data["groupInfos"][0])
    last = users[-1]
    before, _ = api.post("/group/get_incremental_join_groups", {"userID": last, "versionID": "", "version": 0}, admin)
    report.times("dismiss", [api.post("/group/dismiss_group", {"groupID": group}, owner)[1]])
    data, _ = api.post("/group/get_group_member_list", {"groupID": group, "pagination": {"pageNumber": 1, "showNumber": 1}}, admin)
    report.check("no members are left", data["total"] == 0 and not data["members"], data)
    ask = {"userID": last, "versionID": before["versionID"], "version": before["version"]}
    data, _ = api.post("/group/get_incremental_join_groups", ask, admin)
    report.check("a member's join log has the end", not data["full"] and data["delete"] == [group], data)


def show(report, plans):
    for text, (calls, examined, rows) in sorted(plans.items()):
        if text.startswith("INSERT") and "SELECT" not in text:
            continue
        scanned = [r for r in rows if r[1] == "ALL" and r[0] in GROWING | {"m", "g"}]
        report.check(f"keys of {text}", not scanned, scanned)
        if rows:
            print(f"{calls:6} x  at most {examined:6} rows  {text}")
            for table, kind, key in sorted(rows):
                print(f"{'':27}{table}: {kind} {key}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=10000)
    parser.add_argument("--no-explain", action="store_true")
    options = parser.parse_args()
    api, report = Api(os.environ["OPENIM_REST_ADDRESS"], os.environ.get("OPENIM_SECRET", "openIM123")), Report()
    log = None if options.no_explain else SlowLog(os.environ["VAR"])
    prefix = "big" + "".join(random.choices(string.ascii_lowercase + string.digits, k=6))
    admin = api.admin()
    if log:
        log.begin()
    try:
        users, owner, group = make(api, report, admin, prefix, options.members)
        read(api, report, users, owner, group)
        follow(api, report, admin, prefix, users, owner, group)
        leave(api, report, admin, users, owner, group)
    finally:
        if log:
            log.end()
    if log:
        show(report, log.plans())
    print(f"{report.passed} passed, {report.failed} failed")
    return report.failed > 0


if __name__ == "__main__":
    sys.exit(main())
