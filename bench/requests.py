#!/usr/bin/env python3
"""What applications ask over REST, as load: makes users, friends and groups, then runs openim-bench-rest.

    bench/requests.py                    every class alone, closed loop, then the two that have a limit at 500 a second
    bench/requests.py CLASS...           these       --list: their names       --seconds N       --rate N (0: closed loop)
Environment: what `./build.sh env` prints.
"""
import argparse, http.client, json, os, random, subprocess, sys, tempfile, time

USERS, FRIENDS, GROUPS, MEMBERS = 1000, 50, 20, 200
ACTORS = 100                        # users who ask
CALL_USERS = 1000                   # of one registration
RATED = ("get_users_info", "get_group_members_info")    # p50 of at most 5 ms at RATE
RATE = 500


class Api:
    def __init__(self, address, secret):
        self.link = http.client.HTTPConnection(address, timeout=60)
        self.token = None
        self.token = self.call("/auth/get_admin_token", {"secret": secret, "userID": "imAdmin"})["token"]

    def call(self, path, body, token=None):
        headers = {"operationID": "bench", "token": token or self.token or ""}
        self.link.request("POST", path, json.dumps(body), headers)
        answer = json.loads(self.link.getresponse().read())
        if answer["errCode"]:
            sys.exit(f"cannot prepare: {path}: {answer}")
        return answer.get("data")


class World:
    def __init__(self, api):
        self.run = f"q{int(time.time()):x}"
        self.users = [f"{self.run}u{n}" for n in range(USERS)]
        for at in range(0, USERS, CALL_USERS):
            api.call("/user/user_register", {"users": [{"userID": u, "nickname": u} for u in self.users[at:at + CALL_USERS]]})
        self.actors = self.users[:ACTORS]
        self.tokens = {u: api.call("/auth/get_user_token", {"platformID": 5, "userID": u})["token"] for u in self.actors}
        self.friends = {u: random.sample([x for x in self.users if x != u], FRIENDS) for u in self.actors}
        for u in self.actors:
            api.call("/friend/import_friend", {"ownerUserID": u, "friendUserIDs": self.friends[u]})
        self.groups = {}
        for n in range(GROUPS):
            owner, others = self.actors[n % ACTORS], random.sample([u for u in self.users if u != self.actors[n % ACTORS]], MEMBERS - 1)
            group = api.call("/group/create_group", {"ownerUserID": owner, "memberUserIDs": others, "groupInfo": {
                "groupName": f"group {n}", "groupType": 2}}, self.tokens[owner])["groupInfo"]["groupID"]
            self.groups[group] = [owner] + others
        for u in self.actors:
            self.say(api, u, self.friends[u][0])

    def say(self, api, sender, receiver):
        api.call("/msg/send_msg", {"sendID": sender, "recvID": receiver, "content": {"content": "hello"}, "contentType": 101, "sessionType": 1})

    def actor(self):
        return random.choice(self.actors)

    def group(self):
        """A group and a member of it who has a token."""
        group = random.choice(list(self.groups))
        return group, self.groups[group][0]


PAGE = {"pageNumber": 1, "showNumber": 100}


def self_call(path, body):
    def make(w, _):
        u = w.actor()
        return path, u, {k: u if v == "$u" else v for k, v in body.items()}
    return make


def users_info(w, _):
    return "/user/get_users_info", w.actor(), {"userIDs": random.sample(w.users, 10)}


def members_info(w, _):
    group, u = w.group()
    return "/group/get_group_members_info", u, {"groupID": group, "userIDs": random.sample(w.groups[group], 10)}


def member_list(w, _):
    group, u = w.group()
    return "/group/get_group_member_list", u, {"groupID": group, "pagination": PAGE}


def add_friend(w, n):
    u = w.actor()
    return "/friend/add_friend", u, {"fromUserID": u, "toUserID": random.choice([x for x in w.users[ACTORS:] if x not in w.friends[u]]), "reqMsg": str(n)}


def update_friends(w, n):
    u = w.actor()
    return "/friend/update_friends", u, {"ownerUserID": u, "friendUserIDs": [random.choice(w.friends[u])], "remark": f"r{n}"}


def set_conversations(w, n):
    u = w.actor()
    peer = w.friends[u][0]
    return "/conversation/set_conversations", u, {"userIDs": [u], "conversation": {
        "conversationID": "si_" + "_".join(sorted((u, peer))), "conversationType": 1, "userID": peer, "ex": f"e{n}"}}


def member_nickname(w, n):
    group, u = w.group()
    return "/group/set_group_member_info", u, {"members": [{"groupID": group, "userID": u, "nickname": f"n{n}"}]}


def profile(w, n):
    u = w.actor()
    return "/user/update_user_info_ex", u, {"userInfo": {"userID": u, "ex": f"e{n}"}}


CLASSES = {
    "get_users_info": users_info,
    "get_group_members_info": members_info,
    "get_group_member_list": member_list,
    "get_friend_list": self_call("/friend/get_friend_list", {"userID": "$u", "pagination": PAGE}),
    "get_incremental_friends": self_call("/friend/get_incremental_friends", {"userID": "$u"}),
    "get_joined_group_list": self_call("/group/get_joined_group_list", {"fromUserID": "$u", "pagination": PAGE}),
    "get_all_conversations": self_call("/conversation/get_all_conversations", {"ownerUserID": "$u"}),
    "get_active_conversations": self_call("/jssdk/get_active_conversations", {"ownerUserID": "$u", "count": 50}),
    "update_user_info_ex": profile,
    "update_friends": update_friends,
    "add_friend": add_friend,
    "set_conversations": set_conversations,
    "set_group_member_info": member_nickname,
}


def play(program, world, names, lines, *options):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        for n in range(lines):
            name = names[n % len(names)]
            path, user, body = CLASSES[name](world, n)
            print(name, path, world.tokens[user], json.dumps(body), sep="\t", file=file)
        file.flush()
        return subprocess.run([program, *options, file.name], check=False).returncode


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("classes", nargs="*")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--seconds", type=int, default=8)
    ap.add_argument("--rate", type=int, default=0)
    args = ap.parse_args()
    if args.list:
        print("\n".join(CLASSES))
        return 0
    program = os.path.join(os.environ["BUILD"], "bin", "openim-bench-rest")
    world = World(Api(os.environ["OPENIM_REST_ADDRESS"], os.environ.get("OPENIM_SECRET", "openIM123")))
    worst = 0
    for name in args.classes or CLASSES:
        print(f"\n## {name}, " + (f"{args.rate} a second" if args.rate else "closed loop, 50 connections"), flush=True)
        worst = max(worst, play(program, world, [name], 5000, "--rate", str(args.rate), "--duration", str(args.seconds)))
    if not args.classes:
        for name in RATED:
            print(f"\n## {name}, {RATE} a second", flush=True)
            worst = max(worst, play(program, world, [name], 5000, "--rate", str(RATE), "--duration", str(args.seconds)))
    return worst


if __name__ == "__main__":
    sys.exit(main())
