#!/usr/bin/env python3
"""Who wrote how much, whatever the window cuts (rest.md B.9).

    eval "$(./build.sh env)"; tests/system/statistics.py

Needs the instance of `./build.sh up`. A history of some days long ago is put into MySQL and has to be counted by the archive: windows
of all kinds are asked for while that goes on and afterwards, and each answer is compared with the rows. Then messages of today, from an
end of now and from ends between them: an instance on which fewer than 10,000 users wrote today, as many as an answer has. Ends with
"N passed, N failed".
"""
import random, subprocess, time
from collections import Counter
from datetime import datetime, timezone

from case import Api, check, finish, mariadb

DAY = 86400000
DAYS, ROWS = 9, 3000
NOT_COUNTED = 2 ** 63 - 1
RUN = "st" + format(int(time.time() * 1000), "x")
FIRST = 3000 + random.randrange(6000)   # day: between 1978 and 1994
THEIRS = f"kind IN (1, 2, 3) AND day >= {FIRST} AND day < {FIRST + DAYS}"
ARGS = 1001


def sql(text):
    out = subprocess.run(mariadb("-N", "-B"), input=text, check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in out.splitlines()]


def until(what, seconds, done):
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not ok {what} within {seconds} s")
        time.sleep(0.1)


api = Api()
post, admin = api.post, api.admin()


def day_name(ms):
    return datetime.fromtimestamp(ms // DAY * DAY / 1000, timezone.utc).strftime("%Y-%m-%d")


# ---- days long ago

def made():
    """(conversation, sender, time): senders of both kinds and of one, groups, notifications, a day without any; many in one ms."""
    rows, random_ms = [], lambda day: day * DAY + random.choice((0, 1, DAY // 2, DAY - 1, random.randrange(DAY), random.randrange(DAY)))
    for _ in range(ROWS):
        day = FIRST + random.choice([d for d in range(DAYS) if d != 4])
        sender = f"{RUN}u{min(random.randrange(12), random.randrange(12))}"
        kind = random.choice(("si", "si", "sg", "n"))
        name = f"si_{sender}_{RUN}z" if kind == "si" else f"{kind}_{RUN}g{random.randrange(4)}"
        rows.append((name, sender, random_ms(day)))
    return rows


def insert(rows):
    values = ",".join(f"('{name}', {n}, UNHEX(MD5('{RUN}{n}')), '{n}', '{n}', '{sender}', '', 1, '', '', 1, 100, 101, '', {at}, {at}, '')"
                      for n, (name, sender, at) in enumerate(rows, 1))
    sql(f"INSERT INTO msg_history VALUES {values}; UPDATE msg_counted SET counted_from = {NOT_COUNTED};")


def counted():
    return sql("SELECT counted_from FROM msg_counted") == [["0"]]


def expected(rows, route, start, end, group, ascending):
    kinds = ("sg_",) if route == "group" else ("si_", "sg_") if group else ("si_",)
    rows = [r for r in rows if r[0].startswith(kinds) and start <= r[2] < end]
    names = Counter(r[0][3:] if route == "group" else r[1] for r in rows)
    listed = sorted(names.items(), key=lambda item: (item[1] if ascending else -item[1], item[0]))
    return len(rows), dict(Counter(day_name(r[2]) for r in rows)), listed


def answered(route, start, end, group=False, ascending=False, page=1, size=100):
    body = {"start": start, "end": end, "ase": ascending, "pagination": {"pageNumber": page, "showNumber": size}}
    if group:
        body["group"] = True
    code, data, why = post(f"/statistics/{route}/active", body, admin)
    if code:
        return code, why, None, None
    what, key = ("users", "userID") if route == "user" else ("groups", "groupID")
    listed = [(entry[what[:-1]][key], entry["count"]) for entry in data[what] or []]
    return data["msgCount"], data.get("dateCount") or {}, data[what[:-1] + "Count"], listed


def moment():
    at = (FIRST + random.randrange(-1, DAYS + 2)) * DAY
    return at + random.choice((0, 0, 1, -1, DAY // 2, DAY // 2 + 1, random.randrange(DAY), random.randrange(DAY)))


def compare(rows, name, route, start, end, group, ascending):
    messages, days, listed = expected(rows, route, start, end, group, ascending)
    size, page = random.choice(((100, 1), (100, 1), (3, 1), (3, 2), (2, 9), (0, 1)))
    window = (route, start - FIRST * DAY, end - FIRST * DAY, group, ascending, page, size)
    want = (messages, days, len(listed), listed[(page - 1) * size:page * size])
    got = answered(route, start, end, group, ascending, page, size)
    check(f"{name} {window}", got == want, f"{got} instead of {want}")


def long_ago():
    rows = made()
    insert(rows)
    asked = {False: 0, True: 0}
    whole = (FIRST - 1) * DAY, (FIRST + DAYS + 1) * DAY
    while asked[True] < 250:
        done = counted()
        asked[done] += 1
        start, end = random.choice(((moment(), moment()), whole, (random.choice(rows)[2], random.choice(rows)[2])))
        compare(rows, "counted" if done else "not counted yet", random.choice(("user", "group")), start, end, random.random() < 0.5,
                random.random() < 0.5)
        if asked[False] > 5000:
            raise SystemExit("not ok the history is not counted")
    check("asked before it was counted", asked[False] > 5, asked)
    check("group by group", answered("group", *whole)[2] == 4)
    wrong = sql(f"SELECT COUNT(*) FROM msg_counts WHERE {THEIRS} AND name NOT LIKE '{RUN}%'")
    check("days of their own", wrong == [["0"]], wrong)


def cleaned():
    """Rows and counts together: what is left agrees."""
    sql(f"BEGIN; DELETE FROM msg_history WHERE send_time >= {FIRST * DAY} AND send_time < {(FIRST + DAYS) * DAY}; "
        f"DELETE FROM msg_counts WHERE {THEIRS}; COMMIT")


# ---- today

def today():
    """What is sent is counted when it is archived; a window that ends between two messages, or now, has those before it."""
    a, b = RUN + "ta", RUN + "tb"
    code = post("/user/user_register", {"users": [{"userID": u, "nickname": "n" + u} for u in (a, b)]}, admin)
    check("registered", code[0] == 0, code)
    group = post("/group/create_group", {"ownerUserID": a, "memberUserIDs": [b], "groupInfo": {"groupID": RUN + "t", "groupName": "x",
                                                                                                "groupType": 2}}, admin)
    check("a group", group[0] == 0, group)
    times = []
    for n in range(6):
        to = {"groupID": RUN + "t", "sessionType": 3} if n % 3 == 2 else {"recvID": b, "sessionType": 1}
        code, data, why = post("/msg/send_msg", {"sendID": a, "contentType": 101, "content": {"content": "x"}, "senderPlatformID": 1,
                                                 **to}, admin)
        check("sent", code == 0, why)
        times.append(data["sendTime"])
        until("the next ms", 5, lambda: time.time() * 1000 > times[-1] + 1)
    of_a = f"SELECT COUNT(*) FROM msg_history WHERE send_id = '{a}' AND content_type = 101"
    until("the archive", 30, lambda: sql(of_a) == [["6"]])
    midnight = times[0] // DAY * DAY

    def of(user, start, end, group):
        return dict(answered("user", start, end, group, True, size=10000)[3]).get(user, 0)

    for start in (times[0], midnight, midnight - 3 * DAY, midnight - 3 * DAY - 5):
        for n, at in enumerate(times):
            check(f"today: up to message {n} from {start - midnight}", of(a, start, at, False) == n - n // 3, of(a, start, at, False))
            check(f"today: and in groups from {start - midnight}", of(a, start, at, True) in (n, n + 1), of(a, start, at, True))
        for end in (times[-1] + 1, int(time.time() * 1000), (times[-1] // DAY + 1) * DAY, 2 ** 62, 2 ** 63 - 1):
            check(f"today: all from {start - midnight}", of(a, start, end, False) == 4, (end, of(a, start, end, False)))
    entry = [g for g in answered("group", midnight, times[-1] + 1, size=10000)[3] if g[0] == RUN + "t"]
    check("today: the group", entry and entry[0][1] >= 2, entry)
    check("today: nothing from now on", answered("user", int(time.time() * 1000) + DAY, 2 ** 63 - 1) == (0, {}, 0, []))
    check("today: nothing backwards", answered("user", times[-1], times[0], True) == (0, {}, 0, []))
    code = post("/statistics/user/active", {"start": 1, "end": 2, "pagination": {"pageNumber": 0, "showNumber": 9}}, admin)
    check("no page", code[0] == ARGS, code)


try:
    long_ago()
finally:
    cleaned()
today()
finish()
