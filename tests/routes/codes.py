#!/usr/bin/env python3
"""Every code that a route can give was given in this test run, and no other: compares codes.txt with the gateway's access log.

    codes.py --log FILE [--offset N] --routes FILE [--missing SUITES]

The log is read from N on, where it ended when the run began. --routes is the output of `openim-logic --print-routes`: each of its routes
needs a line. --missing names the suites that give the codes and were not part of this run: then only what was answered is looked at.
Ends with "N passed, N failed": one for each pair of a route and a code.
"""
import argparse, collections, http.client, os, re, sys, time, uuid

HERE = os.path.dirname(os.path.abspath(__file__))
FLUSH_S = 1.0       # a process of nginx keeps its lines no longer (config/nginx.conf, access_log)
WAIT_S = 10
LINE = re.compile(r"^\S+ \[([^\]]*)\] POST (\S+) 200 \d+ \S+ user=.* (op=.*) code=(\d+)$")
ROUTE = re.compile(r"^\| `(/[^`]*)` \| ([^|]*) \| ([^|]*) \|", re.M)


def kinds(page):
    """path -> what lines of codes.txt call it, of the page of --print-routes"""
    routes = (r for r in ROUTE.findall(page) if not r[0].startswith("/internal/"))
    return {path: {effect} | ({"token"} if who != "no token" else set()) for path, who, effect in routes}


class Codes:
    """codes.txt: what each route has to give, what it may, and what some route has to."""

    def __init__(self, routes):
        self.must, self.may, self.some, self.problems = {}, {}, set(), []
        shared = []
        for line in open(os.path.join(HERE, "codes.txt")):
            path, bar, codes = (part.strip() for part in line.partition("|"))
            if path.startswith("#") or not bar:
                continue
            codes = {int(c.strip("()")): c[0] != "(" for c in codes.split()}    # whether a run has to give it
            if path.startswith("*"):
                shared.append((path[1:].split(), codes))
                continue
            if path in self.must:
                self.problems.append(f"{path}: codes.txt has it twice")
            self.must[path] = {c for c, given in codes.items() if given}
            self.may[path] = set(codes)
        for (word, *kind), codes in shared:
            always = {c for c, given in codes.items() if given}
            if word == "some":
                self.some |= always
            for path in self.must:
                if set(kind) <= routes.get(path, set()):
                    self.may[path] |= set(codes)
                    self.must[path] |= always if word == "each" else set()


def written(file):
    """Waits until all that was answered so far is in the log. Each process of nginx writes its lines together, and late: ours is the last
    of its process, and those of the others are as old."""
    mark, began = f"codes-{uuid.uuid4().hex}", time.monotonic()
    connection = http.client.HTTPConnection(os.environ["OPENIM_REST_ADDRESS"], timeout=WAIT_S)
    connection.request("POST", "/msg/get_server_time", "{}", {"operationID": mark})
    connection.getresponse().read()
    text = ""
    while mark not in text or time.monotonic() - began < FLUSH_S:
        if time.monotonic() - began > WAIT_S:
            sys.exit(f"not ok the access log: what was asked {WAIT_S} s ago is not in it")
        time.sleep(0.05)
        text += file.read()
    return "\n".join(line for line in (text + file.read()).splitlines() if mark not in line)


def answered(text):
    """(path, code) -> (how often, when first and by which operationID)"""
    found = collections.OrderedDict()
    for when, path, operation, code in (m.groups() for m in map(LINE.match, text.splitlines()) if m):
        times, first = found.get((path, int(code)), (0, f"{when} {operation}"))
        found[path, int(code)] = (times + 1, first)
    return found


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--log", required=True)
    ap.add_argument("--offset", type=int, default=0)
    ap.add_argument("--routes", required=True)
    ap.add_argument("--missing", default="")
    args = ap.parse_args()
    routes = kinds(open(args.routes).read())
    codes = Codes(routes)
    with open(args.log, encoding="utf-8", errors="replace") as file:
        file.seek(args.offset if args.offset <= os.path.getsize(args.log) else 0)
        given = answered(written(file))

    problems = list(codes.problems)
    problems += [f"{path}: the program has it, codes.txt has not" for path in sorted(set(routes) - set(codes.must))]
    problems += [f"{path}: codes.txt has it, the program has not" for path in sorted(set(codes.must) - set(routes))]
    for (path, code), (times, first) in given.items():
        if path in codes.may and code not in codes.may[path]:
            problems.append(f"{path} {code}: answered {times} times, not in codes.txt; first {first}")
    passed = sum(path in codes.may and code in codes.may[path] for path, code in given)
    if not args.missing:
        pairs = {(path, code) for path, must in codes.must.items() for code in must}
        problems += [f"{path} {code}: no test of this run gave it" for path, code in sorted(pairs - set(given))]
        problems += [f"{code}: no test of this run gave it, on no route" for code in sorted(codes.some - {code for _, code in given})]
    for problem in problems:
        print(f"not ok {problem}")
    why = f"; whether every code was given is seen only in a run with {args.missing}" if args.missing else ""
    print(f"{passed} passed, {len(problems)} failed{why}")
    return 1 if problems or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
