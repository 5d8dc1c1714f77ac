"""What happens to a connection that others decide: login policy, silence, too many of them, reload and quit. Run by module.py."""

import os
import signal
import time

from wire import ENV, PLACE, WAYS, SmallNginx, message, pb, upgrade, workers, ws

NOT_READ = 4.5      # seconds until nginx has ended with a client that does not close: sanitizers make an exit slow


def test_login_policy_kicks_the_old_connection():
    for number, (kind, compressed) in enumerate(WAYS):
        user = PLACE.user()
        other = PLACE.open(user, "js", False, 2)
        token = PLACE.client.user_token(user, 5)
        old = PLACE.open(user, kind, compressed, token=token)
        twin = PLACE.open(user, kind, compressed, token=token)
        time.sleep(1.1)                                             # tokens of one second are the same
        more = {"operationID": b"\xff\xfe"} if number == 0 else {}  # no UTF-8, and nevertheless the policy holds
        new = PLACE.open(user, "js", **more)
        for gone in (old, twin):
            kick = gone.reply()
            assert (kick["reqIdentifier"], kick["msgIncr"], kick["operationID"], kick["errCode"]) == (2002, "", "", 0), kick
            assert not kick["data"]
            gone.dropped()
            assert not [f for f in gone.link.frames if not f.eof and f.opcode not in (ws.CLOSE, ws.PING) and not f.used]
        new.lives()
        other.lives()
        status, _, body, _ = ws.connect(PLACE.url(user, token=token))
        assert status == 200 and b'"errCode":1506' in body, body


def test_background_counts_on_ios_only():
    user, peer = PLACE.user(), PLACE.user()
    sender = PLACE.open(peer)
    phone, android, pad = PLACE.open(user, "go", True, 1), PLACE.open(user, "js", False, 2), PLACE.open(user, "js", False, 9)
    for talk in (phone, android, pad):
        talk.background(True)
    assert sender.ask(1003, "MsgData", message(peer, user, f"{user}-1"))["errCode"] == 0
    assert (android.pushed(), pad.pushed(), sender.pushed()) == (f"{user}-1",) * 3
    phone.lives()
    phone.background(False)
    assert sender.ask(1003, "MsgData", message(peer, user, f"{user}-2"))["errCode"] == 0
    assert (phone.pushed(), android.pushed(), pad.pushed()) == (f"{user}-2",) * 3
    phone.background(True)
    phone.link.close()
    phone = PLACE.open(user, "go", True, 1, isBackground="true")     # starts in the foreground, whatever it says
    assert sender.ask(1003, "MsgData", message(peer, user, f"{user}-3"))["errCode"] == 0
    assert phone.pushed() == f"{user}-3"


def test_logout_answers_and_ends():
    for kind, compressed in WAYS:
        user = PLACE.user()
        talk = PLACE.open(user, kind, compressed)
        assert talk.ask(2003, "DelUserPushTokenReq", {"userID": user, "platformID": 5})["errCode"] == 0
        talk.dropped()


def silence(place, least, most):
    """Both kinds at once: one that answers pings lives, one that says nothing is dropped in time."""
    lively, silent = place.open(place.user()), place.user()
    sock, rest = upgrade(place.url(silent, sdkType="js"))
    sock.settimeout(most + 10)
    begin, data = time.monotonic(), rest
    while True:
        more = sock.recv(4096)
        if not more:
            break
        data += more
    took = time.monotonic() - begin
    sock.close()
    assert least <= took <= most, f"dropped after {took:.1f} s"
    assert data and not data.replace(b"\x89\x00", b""), data         # pings and nothing else
    while time.monotonic() - begin < 1.2 * most:
        time.sleep(0.1)
    assert not lively.link.ended
    lively.lives()
    lively.link.close()


def test_capacity_and_silence():
    with SmallNginx("openim_max_connections 2; openim_read_timeout 3s; openim_ping_interval 1s;") as place:
        silence(place, 2.9, 4.5)
        time.sleep(0.5)
        first = place.open(place.user())
        second = place.open(place.user(), "go", True)
        for more in ({}, {"isMsgResp": "true"}):
            status, _, body, link = ws.connect(place.url(place.user(), **more))
            if status == 101:
                body = link.wait(lambda f: f.opcode == ws.TEXT, 5).payload
                assert link.ending(5)
            assert b'{"errCode":1601,"errMsg":"ConnOverMaxNumLimit"' in body, body
            first.lives()
        second.link.close()
        time.sleep(0.5)
        place.open(place.user()).lives()


if ENV.get("MODULE_SLOW"):
    def test_silence_of_the_configuration_as_it_is():
        silence(PLACE, 34, 38)


# ---- life of the process

def gone(pids, seconds):
    deadline = time.monotonic() + seconds
    while workers()[1] & pids:
        assert time.monotonic() < deadline, "old workers do not end"
        time.sleep(0.05)


class Held:
    """logic is stopped meanwhile: what is asked stays under way. After 6 s Kafka takes it for dead, and it begins anew."""

    def __enter__(self):
        with open(os.path.join(ENV["VAR"], "run", "openim-logic.pid"), encoding="ascii") as file:
            self.pid = int(file.readline())
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def test_reload_sends_clients_away_and_serves_new_ones():
    user, peer = PLACE.user(), PLACE.user()
    talk = PLACE.open(user)
    talk.lives()
    pid, before = workers()
    os.kill(pid, signal.SIGHUP)
    time.sleep(3)
    assert not talk.link.ended, "a client that is young must not be sent away: it would not synchronise"
    end = talk.link.ending(20)
    assert end and end["code"] == 1001, end
    again = PLACE.open(user)
    assert again.ask(1003, "MsgData", message(user, peer, f"{user}-after"))["errCode"] == 0
    gone(before, 20)
    again.lives()


def leave(signaled, age):
    """Idle clients of that age get 1001 soon, one with a request gets its reply first. Returns the workers that have to end."""
    talks = [PLACE.open(PLACE.user(), *WAYS[n % 4]) for n in range(12)]
    for talk in talks:
        talk.lives()
    busy, old = talks.pop(), workers()[1]
    time.sleep(age)
    with Held():
        busy.link.send(ws.BINARY, busy.pack(1001, pb.encode("GetMaxSeqReq", {"userID": busy.user}), "under way"))
        time.sleep(0.2)
        signaled()
        for talk in talks:
            end = talk.link.ending(2.5)
            assert end and end["code"] == 1001, end
        time.sleep(0.5)
        assert not busy.link.ended and workers()[1] & old
    answer = busy.reply("under way")
    assert answer["errCode"] == 0, answer
    end = busy.link.ending(5)
    assert end and end["code"] == 1001, end
    return old


def quit_workers():
    """As by a quit of nginx, but it starts new ones when these have ended."""
    for pid in workers()[1]:
        os.kill(int(pid), signal.SIGQUIT)


def test_quit_waits_for_requests_under_way():
    gone(leave(quit_workers, 0), 5)
    PLACE.open(PLACE.user()).lives()


def test_reload_waits_for_requests_under_way():
    gone(leave(lambda: os.kill(workers()[0], signal.SIGHUP), 6), 8)
    PLACE.open(PLACE.user()).lives()


def test_quit_with_idle_clients_is_quick():
    talks = [PLACE.open(PLACE.user(), *WAYS[n % 4]) for n in range(12)]
    deaf, _ = upgrade(PLACE.url(PLACE.user(), sdkType="js"))        # never reads, never closes
    old, begin = workers()[1], time.monotonic()
    quit_workers()
    gone(old, NOT_READ)
    took = time.monotonic() - begin
    for talk in talks:
        end = talk.link.ending(1)
        assert end and end["code"] == 1001, end
    deaf.close()
    assert took < NOT_READ
    PLACE.open(PLACE.user()).lives()


NEW_WORKERS = {f for n, f in globals().items() if n.startswith(("test_reload", "test_quit"))}
