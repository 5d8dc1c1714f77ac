"""What must hold after every fault: each promise is in the history exactly once, with the seq order that was promised.

`history()` pulls a conversation as a client does (1002), `archived()` reads the full history from MySQL; `judge()` compares
both with what the Chats were told and pushed: a connection is pushed everything that is newer than its first 1001, or it is cut.
Every finding is one line; no line, no finding.
"""

import subprocess
import time

from chat import Link, conversation


def history(place, user, name):
    """All messages of the conversation as `user` sees them, seq 1 to the newest."""
    link = Link(place.ws, user, place.token(user))
    try:
        code, reply, text = link.ask(1001, "GetMaxSeqReq", {"userID": user}, "GetMaxSeqResp")
        if code:
            raise RuntimeError(f"1001: {code} {text}")
        newest, out = reply.get("maxSeqs", {}).get(name, 0), []
        for begin in range(1, newest + 1, 100):
            end = min(begin + 99, newest)
            code, reply, text = link.ask(1002, "PullMessageBySeqsReq", {"userID": user, "seqRanges": [
                {"conversationID": name, "begin": begin, "end": end, "num": 100}]}, "PullMessageBySeqsResp")
            if code:
                raise RuntimeError(f"1002 {name} {begin}..{end}: {code} {text}")
            out += reply.get("msgs", {}).get(name, {}).get("Msgs", [])
        return newest, out
    finally:
        link.close()


def archived(mysql, name):
    """[(seq, clientMsgID, serverMsgID, sendTime)] of the full history, by seq"""
    text = subprocess.run(mysql + ["-N", "-B", "-e", "SELECT seq, client_msg_id, server_msg_id, send_time FROM msg_history "
                                   f"WHERE conversation_id = '{name}' ORDER BY seq"],
                          check=True, capture_output=True, text=True).stdout
    return [(int(s), c, m, int(t)) for s, c, m, t in (line.split("\t") for line in text.splitlines())]


COUNTED = " UNION ALL ".join(
    ["SELECT kind, day, name, n FROM msg_counts"] +
    [f"SELECT {kind}, send_time DIV 86400000, {name}, -COUNT(*) FROM msg_history WHERE conversation_id LIKE '{prefix}\\_%' GROUP BY 2, 3"
     for kind, name, prefix in ((1, "send_id", "si"), (2, "send_id", "sg"), (3, "SUBSTR(conversation_id, 4)", "sg"))])


def miscounted(mysql):
    """Senders and groups of a day whose count (msg_counts) differs from the history: one statement, so one moment of both."""
    text = subprocess.run(mysql + ["-N", "-B", "-e", "SELECT kind, day, name, SUM(n) AS more FROM "
                                   f"({COUNTED}) both_ways GROUP BY kind, day, name HAVING more <> 0"],
                          check=True, capture_output=True, text=True).stdout
    return [" ".join(line.split("\t")) for line in text.splitlines()]


def unpushed(chat, name, newest, patience=12):
    """Seqs that the connection misses. Who is to be cut is cut within `patience` seconds (gateway.md 9.3)."""
    deadline = time.monotonic() + patience
    while True:
        link = chat.link
        missing = link.missing(name, newest) if link else []
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(0.1)


def judge(place, mysql, chats, forgotten=False, settle=60):
    """Findings, as lines. The archive has `settle` seconds to catch up. forgotten: nobody is left who knows what was pushed before, so
    that another connection of a user may be pushed it again."""
    found, pairs = [], {}
    for chat in chats:
        pairs.setdefault(conversation(chat.user, chat.peer), []).append(chat)
        if chat.unfinished:
            found.append(f"{chat.user}: {chat.unfinished} was never acknowledged: {chat.errors}")
    for name, members in pairs.items():
        promised = {m: p for chat in members for m, p in chat.acked.items()}
        newest, messages = history(place, members[0].user, name)
        found += [f"{name}: {line}" for line in
                  compare(promised, newest, [(m.get("seq"), m.get("clientMsgID"), m.get("serverMsgID"), m.get("sendTime"))
                                             for m in messages])]
        for chat in members:
            seq = {m["clientMsgID"]: m["seq"] for m in messages if m.get("clientMsgID")}
            order = [seq[m] for m in chat.order if m in seq]
            if order != sorted(order):
                found.append(f"{name}: {chat.user}'s messages are not in the order in which they were sent")
        other, again = history(place, members[-1].user, name)
        if (other, again) != (newest, messages):
            found.append(f"{name}: its two members see different histories")
        for chat in members:
            missing = unpushed(chat, name, newest)
            if missing:
                found.append(f"{name}: {chat.user} is connected and was not pushed {len(missing)} messages, seqs {missing[:5]}")
        deadline = time.monotonic() + settle
        while True:
            rows = archived(mysql, name)
            lines = compare(promised, newest, rows)
            if not lines or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        found += [f"{name}: MySQL: {line}" for line in lines]
        for chat in members:
            seqs = [s for s, _ in chat.pushes.get(name, [])]
            pushed = dict(chat.pushes.get(name, []))
            held = {m.get("seq"): m.get("clientMsgID") for m in messages}
            wrong = [s for s, m in pushed.items() if m != held.get(s)]
            if wrong:
                found.append(f"{name}: {chat.user} was pushed other messages than history holds at seqs {wrong[:5]}")
            late, twice = sum(link.late for link in chat.links), sum(link.twice for link in chat.links)
            if late or twice:
                found.append(f"{name}: {chat.user} was pushed {late} messages behind newer ones, {twice} twice on one connection")
            if len(seqs) != len(set(seqs)) and not forgotten:
                found.append(f"{name}: {chat.user} was pushed {len(seqs) - len(set(seqs))} messages twice")
    deadline = time.monotonic() + settle      # an instance with an old history may still be counting it
    while (wrong := miscounted(mysql)) and time.monotonic() < deadline:
        time.sleep(0.5)
    if wrong:
        found.append(f"{len(wrong)} counts differ from the history (kind, day, name, more): {wrong[:5]}")
    return found


def compare(promised, newest, rows):
    """rows: (seq, clientMsgID, serverMsgID, sendTime) in the order given"""
    found = []
    if [r[0] for r in rows] != list(range(1, newest + 1)):
        found.append(f"seqs are not 1..{newest} ({len(rows)} rows)")
    names = [r[1] for r in rows]
    if len(names) != len(set(names)):
        found.append(f"{len(names) - len(set(names))} messages are there twice")
    if None in names:
        found.append(f"{names.count(None)} seqs hold no message")
    there = {r[1]: (r[2], r[3]) for r in rows}
    lost = [m for m in promised if m not in there]
    if lost:
        found.append(f"{len(lost)} acknowledged messages are lost, such as {lost[:3]}")
    other = [m for m, p in promised.items() if m in there and there[m] != p]
    if other:
        found.append(f"{len(other)} messages differ from their acknowledgement, such as {other[0]}: "
                     f"{promised[other[0]]} became {there[other[0]]}")
    times = [r[3] or 0 for r in rows]
    if times != sorted(times):
        found.append("sendTime decreases")
    return found
