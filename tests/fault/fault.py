#!/usr/bin/env python3
"""Kills and pauses every part under load and checks the promises of the design afterwards. fault.sh starts the servers.

    fault.py                 all faults          fault.py logic redis-wiped          these
Environment: what `./build.sh env` prints, of an instance that may be broken. Each fault: 200 messages a second between five pairs of
users, CALM seconds, the fault, the repair, until everybody is served, CALM seconds, then check.py. Prints `ok N name` lines and the
closing line.
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import changes
from chat import Chat, Place
from check import judge

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
ENV = os.environ
VAR, BUILD = ENV["VAR"], ENV["BUILD"]
PAIRS, RATE, CALM = 5, 200, 3
PARTITIONS = int(ENV.get("OPENIM_PARTITIONS", "8"))
RUN = format(int(time.time() * 1000), "x")


def pid_of(part):
    worker = os.path.join(VAR, "run", f"openim-{part}.pid")
    with open(worker if os.path.exists(worker) else os.path.join(VAR, "run", f"{part}.pid"), encoding="ascii") as file:
        return int(file.readline())


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(p) for p in file.read().split()]


def build(*words):
    subprocess.run([os.path.join(ROOT, "build.sh"), *words], check=True, stdout=subprocess.DEVNULL)


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)


def until(what, seconds, done):
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not happen in {seconds} s")
        time.sleep(0.05)


def killed_worker(part):
    """The supervisor brings it back."""
    def fault(_):
        old = pid_of(part)
        kill(old)
        until(f"restart of {part}", 20, lambda: _new_pid(part, old))
    return fault


def _new_pid(part, old):
    try:
        return pid_of(part) != old
    except (OSError, ValueError):
        return False


def killed_server(part, away=2.0, wipe=()):
    """kill -9, `away` seconds without it, then started again; with `wipe`, without these of its files."""
    def fault(_):
        pid = pid_of(part)
        for child in children(pid):
            kill(child)
        kill(pid)
        time.sleep(away)
        for pattern in wipe:
            for path in glob.glob(os.path.join(VAR, "data", part, pattern)):
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        build("restart", part)
    return fault


def killed_nginx_worker(_):
    master = pid_of("nginx")
    workers = children(master)
    kill(workers[0])
    until("a new nginx worker", 10, lambda: len(children(master)) == len(workers) and workers[0] not in children(master))


def reloaded_nginx(_):
    master = pid_of("nginx")
    workers = children(master)
    kill(master, signal.SIGHUP)
    until("new nginx workers", 20, lambda: not set(workers) & set(children(master)))


def paused_logic(_):
    """A second logic takes over from one that is stopped; the first wakes up and must not speak for the partitions."""
    second_log = os.path.join(VAR, "log", "logic-second.log")
    with open(second_log, "w", encoding="utf-8") as file:
        second = subprocess.Popen([os.path.join(BUILD, "bin", "openim-logic"), "-c", os.path.join(ROOT, "config", "openim.conf")],
                                  stderr=file)
    try:
        time.sleep(3)                       # both share the partitions
        first = pid_of("logic")
        kill(first, signal.SIGSTOP)
        time.sleep(12)                      # Kafka's session time-out is 6 s
        kill(first, signal.SIGCONT)
        time.sleep(4)
        with open(second_log, encoding="utf-8") as file:
            taken = set(re.findall(r"partition taken.* topic=msg partition=(\d+)", file.read()))
        if len(taken) < PARTITIONS:
            raise RuntimeError(f"the second logic took only partitions {sorted(taken)}")
        if pid_of("logic") == first:
            raise RuntimeError("the first logic went on after its pause")
    finally:
        second.terminate()
        second.wait()


def frozen_mariadb(_, times=5):
    """MariaDB hangs longer than anybody waits for it: commits that clients gave up are done when it wakes up."""
    pid = pid_of("mariadb")
    for _ in range(times):
        kill(pid, signal.SIGSTOP)
        time.sleep(6)                       # mysql.timeout_ms and every second try are over
        kill(pid, signal.SIGCONT)
        time.sleep(0.1)                     # some changes more, then again


def behind(_):
    """Redis loses its data and logic dies while the archive is behind: seqs go on where openim.stored ends."""
    archive = pid_of("archive")
    kill(archive, signal.SIGSTOP)
    try:
        time.sleep(2)
        kill(pid_of("logic"))
        killed_server("redis", away=0.5, wipe=("*",))(None)
        time.sleep(4)
    finally:
        kill(archive, signal.SIGCONT)


def everything(_):
    """All servers and workers are killed in one moment, then all of them come back."""
    pids = [pid_of(part) for part in OURS + SERVERS]
    pids += [child for pid in pids for child in children(pid)]
    for pid in pids:
        try:
            kill(pid)
        except ProcessLookupError:
            pass
    until("the end of all", 10, lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    build("start", *SERVERS[:4])
    build("start", *SERVERS[4:], *OURS)


OURS, SERVERS = ("logic", "archive", "nginx"), ("kafka", "redis", "mariadb", "postgres", "ferretdb")

# Which server comes when, and which parts must say what they wait for before it does
ARRIVALS = (
    ("mariadb", {"logic": "waiting for mysql", "archive": "waiting for mysql", "nginx": "redis commands down"}),
    ("postgres", {}),
    ("ferretdb", {"logic": "waiting for kafka", "archive": "mongo is away"}),
    ("redis", {"archive": "waiting for kafka"}),
    ("kafka", {}),
)


def started_first(_):
    """Workers and nginx before their servers: they wait and say so, none of them ends."""
    build("stop", *OURS)
    build("stop", *SERVERS)
    said = {part: os.path.getsize(log_of(part)) for part in OURS}
    build("start", *OURS)
    pids = {part: pid_of(part) for part in OURS}
    for server, words in ARRIVALS:
        for part, text in words.items():
            until(f'"{text}" of {part}', 10, lambda part=part, text=text: text in log_since(part, said[part]))
        build("start", server)
        ended = [part for part in OURS if not _is_running(part, pids[part])]
        if ended:
            raise RuntimeError(f"{ended} did not wait for {server}")


def _is_running(part, pid):
    return pid_of(part) == pid and os.path.exists(f"/proc/{pid}")


def log_since(part, offset):
    with open(log_of(part), encoding="utf-8", errors="replace") as file:
        file.seek(offset)
        return file.read()


def log_of(part):
    return os.path.join(VAR, "log", "nginx-error.log" if part == "nginx" else f"{part}.log")


FAULTS = {
    "nothing": lambda _: None,
    "logic": killed_worker("logic"),
    "logic-paused": paused_logic,
    "archive": killed_worker("archive"),
    "nginx-worker": killed_nginx_worker,
    "nginx-reload": reloaded_nginx,
    "kafka": killed_server("kafka"),
    "redis": killed_server("redis"),
    "redis-wiped": killed_server("redis", wipe=("*",)),
    "mariadb": killed_server("mariadb"),
    "mongo": killed_server("ferretdb"),
    "postgres": killed_server("postgres"),
    "behind": behind,
    "everything": everything,
    "started-first": started_first,
}

# The same under random changes of friends and groups (changes.py)
CHANGES = {
    "changes-logic": FAULTS["logic"],
    "changes-mariadb": FAULTS["mariadb"],
    "changes-frozen": frozen_mariadb,
}

# Seconds until everybody is served again after the repair. A worker that starts again gets its partitions at once: Kafka's session
# time-out is 6 s.
LIMITS = {"logic": 4}

# Gateways and logic die together: what logic says again was perhaps heard.
FORGETTING = ("everything",)


def broken(place, name, chats):
    """The fault and its repair under load: seconds of the fault, and until everybody was served again."""
    for chat in chats:
        chat.start()
    time.sleep(CALM)
    until("an acknowledgement for everybody before the fault", 30, lambda: all(c.acked for c in chats))
    began = time.monotonic()
    FAULTS[name](place)
    repaired = time.monotonic()
    until("an acknowledgement for everybody after the repair", 90, lambda: all(c.last_ack > repaired for c in chats))
    back = max(c.last_ack for c in chats) - repaired
    time.sleep(CALM)
    for chat in chats:
        chat.stop.set()
    for chat in chats:
        chat.silent.wait(150)
    return repaired - began, back


def one(place, mysql, name):
    users = [f"f{RUN}{name.replace('-', '')}{n}" for n in range(2 * PAIRS)]
    place.register(users)
    chats = [Chat(place, u, users[n ^ 1], 2 * PAIRS / RATE) for n, u in enumerate(users)]
    try:
        away, back = broken(place, name, chats)
        found = judge(place, mysql, chats, forgotten=name in FORGETTING)
    finally:
        for chat in chats:              # also when the fault failed: the next one is not to find them writing
            chat.stop.set()
            chat.leave.set()
        for chat in chats:
            chat.join(10)
    if back > LIMITS.get(name, back):
        found.append(f"everybody served after {back:.1f} s, {LIMITS[name]} s are allowed")
    errors = {}
    for chat in chats:
        for what, count in chat.errors.items():
            errors[what] = errors.get(what, 0) + count
    print(f"# {name}: {sum(len(c.acked) for c in chats)} acknowledged, fault {away:.1f} s, everybody served "
          f"{back:.1f} s after the repair, clients saw {errors or 'no error'}")
    return found


def main():
    known = [*FAULTS, *CHANGES]
    names = sys.argv[1:] or known
    unknown = [n for n in names if n not in known]
    if unknown:
        print(f"no fault {unknown[0]}; there are: {' '.join(known)}", file=sys.stderr)
        return 2
    host, port = ENV["OPENIM_MYSQL_ADDRESS"].split(":")
    mysql = ["mariadb", "-h", host, "-P", port, "-u", ENV["OPENIM_MYSQL_USER"], f"-p{ENV['OPENIM_MYSQL_PASSWORD']}",
             ENV["OPENIM_MYSQL_DATABASE"]]
    place = Place("http://" + ENV["OPENIM_REST_ADDRESS"], "ws://" + ENV["OPENIM_WS_ADDRESS"],
                  ENV.get("OPENIM_SECRET", "openIM123"), ENV.get("OPENIM_ADMIN", "imAdmin"))
    passed = failed = 0
    for number, name in enumerate(names, 1):
        try:
            if name in CHANGES:
                found, line = changes.one(place, mysql, ENV, f"{RUN}{number}", CHANGES[name])
                print(f"# {name}: {line}")
            else:
                found = one(place, mysql, name)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            found = [f"{type(error).__name__}: {error}"]
            build("up")
        passed, failed = passed + (not found), failed + bool(found)
        print(f"{'not ok' if found else 'ok'} {number} {name}" + (": " + found[0] if found else ""))
        for line in found[1:]:
            print(f"#   {line}")
        sys.stdout.flush()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
