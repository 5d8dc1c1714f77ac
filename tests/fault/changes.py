"""Random changes of friends and groups while a part is killed, and what must hold afterwards (docs/records.md, Changes).

Eight clients make OPERATIONS changes; half-way the part is killed. An operation may fail, and its answer may be lost; it must not be half
done, done twice, or done without being told. `judge()` looks at the rows: group_members against chat_groups and the version logs, every
answered change in its rows, every notice of request_log in Kafka and, if it is to be seen in the chat, once in the history.
"""

import json
import random
import subprocess
import threading
import time

from chat import Place

OPERATIONS, CLIENTS, USERS, GROUPS = 1000, 8, 12, 8
OWNER = 100
INSERT, DELETE = 1, 2
FRIEND, JOIN, MEMBER = 1, 2, 3


class Sql:
    def __init__(self, command):
        self.command = command + ["-N", "-B", "-e"]

    def rows(self, text):
        out = subprocess.run(self.command + [text], check=True, capture_output=True, text=True).stdout
        return [line.split("\t") for line in out.splitlines()]

    def number(self, text):
        return int(self.rows(text)[0][0])


# ---- making changes

class Changes:
    """What the clients share: names, tokens, what was answered."""

    def __init__(self, place, run):
        self.place, self.run, self.lock = place, run, threading.Lock()
        self.users = [f"c{run}u{n}" for n in range(USERS)]
        self.groups = [f"c{run}g{n}" for n in range(GROUPS)]
        place.register(self.users)
        self.tokens = {u: place.token(u) for u in self.users}
        self.left, self.done, self.codes = OPERATIONS, 0, {}
        self.created, self.commands, self.last_ok = set(), set(), 0

    def take(self):
        with self.lock:
            self.left -= 1
            return OPERATIONS - self.left if self.left >= 0 else None

    def note(self, code):
        with self.lock:
            self.done += 1
            self.codes[code] = self.codes.get(code, 0) + 1
            if code == 0:
                self.last_ok = time.monotonic()


class Maker(threading.Thread):
    def __init__(self, shared, number):
        super().__init__(daemon=True)
        self.shared, self.random = shared, random.Random(f"{shared.run}/{number}")
        self.client = Place(shared.place.api, None, shared.place.secret, shared.place.admin).client

    def run(self):
        while (number := self.shared.take()) is not None:
            self.shared.note(self.random.choice(OPERATION)(self, number))

    def post(self, path, user, body):
        """errCode, or what went wrong on the way: nobody knows then whether it happened."""
        headers = {"operationID": f"changes{self.random.getrandbits(40):x}", "token": self.shared.tokens[user]}
        try:
            answer = self.client.request("POST", path, json.dumps(body).encode(), headers)
        except OSError as error:
            code = type(error).__name__
        else:
            code = answer.json["errCode"] if answer.is_json and "errCode" in answer.json else f"HTTP {answer.status}"
        if not isinstance(code, int) or code == 500:
            time.sleep(0.3)             # as a client would; else the operations are used up before the repair
        return code

    def two(self):
        return self.random.sample(self.shared.users, 2)

    def group(self):
        return self.random.choice(self.shared.groups)


def apply(m, _):
    a, b = m.two()
    return m.post("/friend/add_friend", a, {"fromUserID": a, "toUserID": b})


def answer(m, _):
    a, b = m.two()
    return m.post("/friend/add_friend_response", b, {"fromUserID": a, "toUserID": b, "handleResult": m.random.choice((1, 1, -1))})


def unfriend(m, _):
    a, b = m.two()
    return m.post("/friend/delete_friend", a, {"ownerUserID": a, "friendUserID": b})


def pin(m, _):
    a, b = m.two()
    return m.post("/friend/update_friends", a, {"ownerUserID": a, "friendUserIDs": [b], "isPinned": m.random.random() < 0.5})


def create(m, number):
    a, *others = m.random.sample(m.shared.users, 4)
    name = f"c{m.shared.run}n{number}"
    code = m.post("/group/create_group", a, {"ownerUserID": a, "memberUserIDs": others, "groupInfo": {"groupName": name, "groupType": 2}})
    if code == 0:
        m.shared.created.add(name)
    return code


def invite(m, _):
    a, *others = m.random.sample(m.shared.users, 3)
    return m.post("/group/invite_user_to_group", a, {"groupID": m.group(), "invitedUserIDs": others})


def kick(m, _):
    a, b = m.two()
    return m.post("/group/kick_group", a, {"groupID": m.group(), "kickedUserIDs": [b]})


def leave(m, _):
    a, _ = m.two()
    return m.post("/group/quit_group", a, {"groupID": m.group(), "userID": a})


def join(m, _):
    a, _ = m.two()
    return m.post("/group/join_group", a, {"groupID": m.group(), "joinSource": 3, "inviterUserID": a})


def handle(m, _):
    a, b = m.two()
    return m.post("/group/group_application_response", a, {"groupID": m.group(), "fromUserID": b, "handleResult": 1})


def transfer(m, _):
    a, b = m.two()
    return m.post("/group/transfer_group", a, {"groupID": m.group(), "oldOwnerUserID": a, "newOwnerUserID": b})


def rename(m, number):
    a, _ = m.two()
    return m.post("/group/set_group_info_ex", a, {"groupID": m.group(), "groupName": f"name {number}"})


def command(m, number):
    """Nothing but the request itself keeps this one from being there twice."""
    a, _ = m.two()
    uuid = f"c{m.shared.run}x{number}"
    code = m.post("/user/process_user_command_add", a, {"userID": a, "type": 1, "uuid": uuid, "value": "v"})
    if code == 0:
        m.shared.commands.add(uuid)
    return code


OPERATION = (apply, answer, answer, unfriend, pin, create, invite, invite, kick, leave, join, handle, transfer, rename, command)


# ---- what must hold

def like(run):
    return f"'c{run}%'"


def ours(run):
    """Condition on chat_groups: the groups of this run."""
    return f"(group_id LIKE 'c{run}g%' OR group_name LIKE 'c{run}n%')"


def groups_problems(sql, run):
    found = []
    text = ("SELECT g.group_id, g.member_count, COUNT(m.user_id), g.owner_user_id, "
            f"COALESCE(GROUP_CONCAT(IF(m.role_level = {OWNER}, m.user_id, NULL)), '') FROM (SELECT * FROM chat_groups "
            f"WHERE {ours(run)} AND status <> 2) g LEFT JOIN group_members m ON m.group_id = g.group_id GROUP BY g.group_id")
    rows = sql.rows(text)
    for group, count, members, owner, owners in rows:
        if count != members:
            found.append(f"group {group} says it has {count} members and has {members}")
        if owner != owners or not owner:
            found.append(f"group {group} says its owner is {owner!r}, its members say {owners!r}")
    if not rows:
        found.append("there is no group")
    return found


def log_problems(sql, run):
    """The newest entry of every element says whether its row is there."""
    tables = {
        FRIEND: f"SELECT owner_user_id, friend_user_id FROM friends WHERE owner_user_id LIKE {like(run)}",
        JOIN: f"SELECT user_id, group_id FROM group_members WHERE user_id LIKE {like(run)}",
        MEMBER: f"SELECT group_id, user_id FROM group_members WHERE user_id LIKE {like(run)}",
    }
    found = []
    for kind, text in tables.items():
        rows = {tuple(r) for r in sql.rows(text)}
        owners = sorted({r[0] for r in rows})
        entries = {}
        newest = {}
        listed = sql.rows("SELECT e.owner_id, e.element_id, e.state, e.version, d.version FROM version_entries e JOIN version_docs d "
                          f"ON d.kind = e.kind AND d.owner_id = e.owner_id WHERE e.kind = {kind}")
        for owner, element, state, version, document in listed:
            entries[owner, element] = int(state)
            newest[owner] = max(newest.get(owner, 0), int(version))
            if int(version) > int(document):
                found.append(f"log {kind} of {owner}: an entry is newer than its document")
        for owner, element in rows:
            if entries.get((owner, element)) in (None, DELETE):
                found.append(f"log {kind} of {owner}: {element} is there, its entry says {entries.get((owner, element))}")
        for (owner, element), state in entries.items():
            if owner in owners and state == INSERT and element and not element.startswith("____") and (owner, element) not in rows:
                found.append(f"log {kind} of {owner}: {element} was inserted and is not there")
    return found


def answered_problems(sql, shared):
    found = []
    for name in shared.created:
        n = sql.number(f"SELECT COUNT(*) FROM chat_groups WHERE group_name = '{name}'")
        if n != 1:
            found.append(f"the creation of {name} was answered, and it is there {n} times")
    twice = sql.rows(f"SELECT group_name, COUNT(*) FROM chat_groups WHERE group_name LIKE 'c{shared.run}n%' GROUP BY group_name "
                     "HAVING COUNT(*) > 1")
    found += [f"group {name} was created {n} times" for name, n in twice]
    rows = dict(sql.rows(f"SELECT uuid, COUNT(*) FROM user_commands WHERE uuid LIKE 'c{shared.run}x%' GROUP BY uuid"))
    found += [f"command {uuid} is there {n} times" for uuid, n in rows.items() if n != "1"]
    found += [f"command {uuid} was answered and is not there" for uuid in shared.commands if uuid not in rows]
    return found


def fields(data):
    """(number, value) of a protobuf message: integers, or bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {key & 7}")
        yield key >> 3, value


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def topic(brokers, name):
    """Every value of a topic. kcat comes to an end when nobody writes."""
    raw = subprocess.run(["kcat", "-b", brokers, "-C", "-t", name, "-o", "beginning", "-e", "-q", "-f", "%S %s"],
                         check=True, capture_output=True, timeout=60).stdout
    at, values = 0, set()
    while at < len(raw):
        space = raw.index(b" ", at)
        size = int(raw[at:space])
        values.add(raw[space + 1:space + 1 + size])
        at = space + 1 + size
    return values


def told_problems(sql, brokers, prefix, since):
    """Every notice and task of a committed change is in its topic."""
    found, records, missing = [], 0, []
    topics = {name: topic(brokers, prefix + name) for name in ("msg", "rpc")}
    for (text,) in sql.rows(f"SELECT HEX(done) FROM request_log WHERE create_time >= {since}"):
        for number, value in fields(bytes.fromhex(text)):
            if number != 3:
                continue
            record = dict(fields(value))
            records += 1
            if record[3] not in topics[record[1].decode()]:
                missing.append(record[1].decode())
    if missing:
        found.append(f"{len(missing)} of {records} records of committed changes were never told")
    if records == 0:
        found.append("request_log holds no records")
    return found


def history_problems(sql, run):
    found = []
    text = ("SELECT conversation_id, COUNT(*), COUNT(DISTINCT client_msg_id), MIN(seq), MAX(seq) FROM msg_history "
            f"WHERE conversation_id IN (SELECT CONCAT('sg_', group_id) FROM chat_groups WHERE {ours(run)}) GROUP BY conversation_id")
    rows = sql.rows(text)
    for name, n, distinct, low, high in rows:
        if not n == distinct == high or low != "1":
            found.append(f"{name}: {n} messages, {distinct} distinct, seqs {low} to {high}")
    if not rows:
        found.append("no notice is in the history")
    return found


def judge(sql, brokers, prefix, shared, since, settle=60):
    """Findings as lines; what is on its way has `settle` seconds."""
    deadline = time.monotonic() + settle
    while True:
        found = groups_problems(sql, shared.run) + log_problems(sql, shared.run) + answered_problems(sql, shared)
        found += told_problems(sql, brokers, prefix, since) + history_problems(sql, shared.run)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(1)


def one(place, mysql, env, run, fault):
    """Findings, and a line about the run."""
    sql, since = Sql(mysql), int(time.time() * 1000)
    shared = Changes(place, run)
    first = Maker(shared, "first")
    for group in shared.groups:
        a, *others = first.random.sample(shared.users, 4)
        code = first.post("/group/create_group", a, {"ownerUserID": a, "memberUserIDs": others[:2], "adminUserIDs": others[2:], "groupInfo": {
            "groupID": group, "groupName": group, "groupType": 2, "needVerification": first.random.choice((0, 1, 2))}})
        if code:
            raise RuntimeError(f"cannot create {group}: {code}")
    makers = [Maker(shared, n) for n in range(CLIENTS)]
    for maker in makers:
        maker.start()
    wait(lambda: shared.done >= OPERATIONS // 3, 120, "a third of the operations")
    fault(place)
    repaired = time.monotonic()
    for maker in makers:
        maker.join(300)
    if any(m.is_alive() for m in makers):
        raise RuntimeError("operations do not end")
    found = judge(sql, env["OPENIM_KAFKA_BROKERS"], env.get("OPENIM_KAFKA_TOPIC_PREFIX", "openim."), shared, since)
    if shared.last_ok < repaired:
        found.append("nothing succeeded after the repair")
    return found, f"{shared.done} operations: {dict(sorted(shared.codes.items(), key=str))}"


def wait(done, seconds, what):
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not happen in {seconds} s")
        time.sleep(0.02)
