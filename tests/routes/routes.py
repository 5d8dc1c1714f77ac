#!/usr/bin/env python3
"""Goes through every route of table.txt: headers, bodies, limits, permissions, and the shape of a successful answer, member by member;
then through the calls of refusals.txt.

    routes.py --api http://127.0.0.1:10002 [--only /friend/] [--routes FILE]

FILE is the output of `openim-logic --print-routes`: the table and the program must know the same routes. Nothing here is written per
route: what a route takes, who may call it and what it answers is in table.txt, what else it refuses in refusals.txt, and only there.
"""
import argparse, base64, http.client, json, os, random, re, string, sys, time, urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "contract"))
from rd import jwt  # pylint: disable=wrong-import-position

ARGS, DENIED, INTERNAL, MISSING = 1001, 1002, 500, 1004
MALFORMED, UNKNOWN_TOKEN = 1503, 1505
LIST_MOST = 10000   # entries of a list, where the table does not say otherwise
PLATFORM = 5
TOKENS = ("expired", "forged", "notyet", "unstored")    # kinds that rd/jwt.py makes


class Results:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, problem):
        if problem:
            self.failed += 1
            print(f"not ok {name}: {problem}", flush=True)
        else:
            self.passed += 1


# ---- the table

class Parser:
    """The small language of table.txt for requests and data."""

    def __init__(self, text, objects):
        self.tokens = re.findall(r"[A-Za-z]\w*|[{}(),~!?]|\[\]|<\d+", text)
        self.at = 0
        self.objects = objects

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, want=None):
        token = self.peek()
        if token is None or (want and token != want):
            raise ValueError(f"expected {want}, got {token} in {' '.join(self.tokens)}")
        self.at += 1
        return token

    def type(self):
        kind = self.bare()
        while self.peek() and self.peek()[0] in "~!?<":
            mark = self.take()
            if mark[0] == "<":
                kind["most"] = int(mark[1:])
            else:
                kind[{"~": "absent", "!": "required", "?": "null"}[mark]] = True
        return kind

    def bare(self):
        """Without the marks behind it: those behind a list are the list's."""
        token = self.take()
        if token == "[]":
            kind = {"list": self.bare()}
        elif token == "?":
            kind = self.type()
            kind["null"] = True
        elif token == "{":
            kind = {"object": self.members("}")}
            self.take("}")
        elif token == "map":
            self.take("(")
            kind = {"map": self.type()}
            self.take(")")
        elif token in ("s", "i", "l", "u", "b", "null"):
            kind = {"scalar": token}
        else:
            kind = dict(self.objects[token])
        return kind

    def members(self, end=None):
        out = {}
        while self.peek() not in (end, None):
            name = self.take()
            out[name] = self.type()
            if self.peek() == ",":
                self.take()
        return out


class Route:
    def __init__(self, line, objects):
        path, who, request, data, call = re.split(r"\s*\|\s*", line, maxsplit=4)
        self.path, _, self.query = path.partition("?")
        self.who, _, rest = who.partition("(")
        self.owners = rest.rstrip(")").split(",") if rest else []
        self.request = Parser(request, objects).members()
        self.data = None if data == "-" else Parser(data, objects).type()
        self.caller, _, self.body = call.partition(": ")


def table():
    objects, routes = {}, []
    for line in open(os.path.join(HERE, "table.txt")):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("! "):
            continue
        if line.startswith("= "):
            name, _, text = line[2:].partition(" ")
            objects[name] = Parser(text, objects).type()
        else:
            routes.append(Route(line, objects))
    return routes


# ---- the answer's shape

def scalar_problem(kind, value):
    if kind == "null":
        return None if value is None else "is not null"
    if kind == "s":
        return None if isinstance(value, str) else "is not text"
    if kind == "b":
        return None if isinstance(value, bool) else "is not a boolean"
    if isinstance(value, bool) or not isinstance(value, int):
        return "is not an integer"
    low, high = {"i": (-2**31, 2**31), "u": (0, 2**32), "l": (-2**63, 2**64)}[kind]
    return None if low <= value < high else "is out of range"


def shape_problem(kind, value, where="data"):
    if value is None and (kind.get("null") or "list" in kind):
        return None
    if "scalar" in kind:
        problem = scalar_problem(kind["scalar"], value)
        return f"{where} {problem}: {value!r}"[:200] if problem else None
    if "list" in kind:
        if not isinstance(value, list):
            return f"{where} is not a list"
        problems = (shape_problem(kind["list"], v, f"{where}[{i}]") for i, v in enumerate(value))
        return next((p for p in problems if p), None)
    if not isinstance(value, dict):
        return f"{where} is not an object: {value!r}"[:200]
    if "map" in kind:
        problems = (shape_problem(kind["map"], v, f"{where}.{k}") for k, v in value.items())
        return next((p for p in problems if p), None)
    for name, member in kind["object"].items():
        if name not in value:
            if not member.get("absent"):
                return f"{where}.{name} is missing"
            continue
        problem = shape_problem(member, value[name], f"{where}.{name}")
        if problem:
            return problem
    extra = set(value) - set(kind["object"])
    return f"{where} has more: {', '.join(sorted(extra))}" if extra else None


# ---- requests

class Client:
    def __init__(self, api):
        self.address = urllib.parse.urlsplit(api).netloc
        self.connection = None

    def send(self, path, body, headers, method="POST"):
        for attempt in range(2):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.address, timeout=30)
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                return response.status, response.read()
            except (http.client.HTTPException, OSError):
                self.connection = None
                if attempt:
                    raise

    def call(self, path, body, token, op="routes-test", **more):
        headers = {"operationID": op} if op else {}
        if token is not None:
            headers["token"] = token
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        status, text = self.send(path, body.encode() if isinstance(body, str) else body, headers, **more)
        try:
            answer = json.loads(text)
        except ValueError:
            return status, None
        return status, answer if isinstance(answer, dict) and "errCode" in answer else None


class World:
    """Users and a group of their own, whose names begin with a prefix of their own."""

    def __init__(self, client, secret, users):
        self.client = client
        self.names = {"secret": secret, "now": int(time.time() * 1000) + 1000}
        self.names["p"] = p = "r" + "".join(random.choices(string.ascii_lowercase, k=7))
        self.tokens = {"admin": self.must("/auth/get_admin_token", {"secret": secret, "userID": "imAdmin"}, None)["token"], "none": None}
        users = {u: p + u for u in users}
        self.must("/user/user_register", {"users": [{"userID": v, "nickname": u} for u, v in users.items()]})
        for user, user_id in users.items():
            self.names[user] = user_id
            self.tokens[user] = self.must("/auth/get_user_token", {"platformID": PLATFORM, "userID": user_id})["token"]
        self.tokens.update((kind, jwt.variant(kind, secret, users["a"], PLATFORM)) for kind in TOKENS)
        self.names.update(("token_" + who, token) for who, token in self.tokens.items())
        self.names["ab"] = "si_%s_%s" % tuple(sorted((users["a"], users["b"])))
        key = json.dumps({"sendID": users["a"], "recvID": users["b"], "groupID": ""})
        self.names["key_ab"] = urllib.parse.quote(base64.b64encode(key.encode()).decode())
        self.names["g"] = p + "g"
        self.must("/group/create_group", {"memberUserIDs": [users["b"]], "ownerUserID": users["a"],
                                          "groupInfo": {"groupID": p + "g", "groupName": "g", "groupType": 2}}, "a")

    def must(self, path, body, caller="admin"):
        status, answer = self.client.call(path, body, self.tokens[caller] if caller else None)
        if not answer or answer["errCode"]:
            sys.exit(f"cannot prepare: {path}: HTTP {status} {answer}")
        return answer.get("data")

    def fill(self, text):
        text = re.sub(r'"\$now"', str(self.names["now"]), text)
        return re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda m: str(self.names[m.group(1) or m.group(2)]), text)


def unfold(text):
    """[n * x] and {n * x}: n entries x, in which # is 1, 2, ...; <n * x>: n times the text x; @(x): x in base64, as in a query."""
    def entries(m):
        return m[1] + ", ".join(m[3].replace("#", str(i)) for i in range(1, int(m[2]) + 1)) + m[4]
    text = re.sub(r"<(\d+) \* ([^>]+)>", lambda m: m[2] * int(m[1]), text)
    text = re.sub(r"([\[{])(\d+) \* (\{[^{}]*\}|[^\[\]{}]*)([\]}])", entries, text)
    return re.sub(r"@\((.*)\)", lambda m: urllib.parse.quote(base64.b64encode(m[1].encode()).decode()), text)


# ---- what is wrong with a request

def wrong_values(kind):
    if "list" in kind:
        return ["x", 7]
    if "map" in kind or "object" in kind:
        return ["x", 7]
    return {"s": [7], "b": ["x"], "i": ["x", 1.5, 2**31], "u": ["x", -1, 2**32], "l": ["x", 1.5, 2**64]}[kind["scalar"]]


def without(body, name):
    return {k: v for k, v in body.items() if k != name}


def of_length(kind, n, prefix):
    """n different entries, or n characters."""
    if "list" not in kind:
        return (prefix + "x" * n)[:n]
    return [f"{prefix}n{i}" for i in range(n)] if kind["list"]["scalar"] == "s" else list(range(1, n + 1))


def limit_problem(answer, most, beyond):
    """Beyond a limit the refusal names it; at the limit, whatever else may be wrong, it is not the limit."""
    if answer is None:
        return "no envelope"
    named = answer["errCode"] == ARGS and f"than {most} " in answer["errDlt"]
    return None if named == beyond and answer["errCode"] != INTERNAL else f"errCode {answer['errCode']} {answer['errDlt']}"[:200]


def code_problem(answer, *codes):
    if answer is None:
        return "no envelope"
    if answer["errCode"] not in codes:
        return f"errCode {answer['errCode']} ({answer.get('errMsg')} {answer.get('errDlt')}) instead of {' or '.join(map(str, codes))}"
    if answer["errCode"] and "data" in answer:
        return "a refusal has data"
    return None


class Suite:
    def __init__(self, client, world, results):
        self.client, self.world, self.results = client, world, results

    def run(self, route, read):
        self.read = read
        self.path = route.path + ("?" + self.world.fill(route.query) if route.query else "")
        self.route = route
        self.body = json.loads(self.world.fill(route.body))
        self.token = self.world.tokens[route.caller]
        self.headers()
        self.bodies()
        self.members()
        self.permissions()
        self.success()

    def expect(self, what, body, token, *codes, **more):
        status, answer = self.client.call(self.path, body, token, **more)
        self.results.check(f"{self.route.path} {what}", code_problem(answer, *codes))

    def headers(self):
        self.expect("without operationID", self.body, self.token, ARGS, op=None)
        status, _ = self.client.call(self.path, self.body, self.token, method="PUT")
        self.results.check(f"{self.route.path} by another method", None if status == 404 else f"HTTP {status} instead of 404")
        if self.route.who == "none":
            return
        self.expect("without token", self.body, None, ARGS)
        self.expect("with a token that is none", self.body, "x", MALFORMED)
        head, _, signature = self.token.rpartition(".")
        other = "A" if signature[5] != "A" else "B"
        self.expect("with a forged token", self.body, f"{head}.{signature[:5]}{other}{signature[6:]}", UNKNOWN_TOKEN)

    def bodies(self):
        if not self.route.request:
            return
        # some of upstream's routes bind by hand and answer 500 for what is no JSON
        self.expect("with an empty body", "", self.token, ARGS, INTERNAL)
        self.expect("with half a body", json.dumps(self.body)[:-1], self.token, ARGS, INTERNAL)
        self.expect("with a list as body", "[1]", self.token, ARGS, INTERNAL)
        deep = '{"zz":' + "[" * 100000 + "]" * 100000 + "}"
        self.expect("with a deep body", deep, self.token, ARGS, INTERNAL)
        self.expect("with text that is not UTF-8", b'{"zz":"\xff\xfe"}', self.token, ARGS, INTERNAL, DENIED, MISSING, 0)

    def members(self):
        for name, kind in self.route.request.items():
            for value in wrong_values(kind):
                self.expect(f"{name} = {value!r}", {**self.body, name: value}, self.token, ARGS, INTERNAL)
            if kind.get("required"):
                self.expect(f"without {name}", without(self.body, name), self.token, ARGS)
                self.expect(f"{name} = null", {**self.body, name: None}, self.token, ARGS)
                if "list" in kind:
                    self.expect(f"{name} = []", {**self.body, name: []}, self.token, ARGS)
                if name == "pagination":
                    for number in (0, -1):
                        page = {"pageNumber": number, "showNumber": 1}
                        self.expect(f"pageNumber = {number}", {**self.body, name: page}, self.token, ARGS)
            if kind.get("list", {}).get("scalar") == "s":
                self.expect(f"{name} with a number in it", {**self.body, name: [7]}, self.token, ARGS, INTERNAL)
            self.limits(name, kind)

    def limits(self, name, kind):
        most = kind.get("most") or ("list" in kind and "scalar" in kind["list"] and LIST_MOST)
        for n in (most, most + 1) if most else ():
            _, answer = self.client.call(self.path, {**self.body, name: of_length(kind, n, self.world.names["p"])}, self.token)
            self.results.check(f"{self.route.path} {name} of {n}", limit_problem(answer, most, n > most))

    def permissions(self):
        who, tokens = self.route.who, self.world.tokens
        if who in ("none", "any"):
            return
        codes = (DENIED, MISSING) if who in ("gadmin", "gowner") else (DENIED,)
        self.expect("by a stranger", self.body, tokens["e"], *codes)
        if who == "admin":
            self.expect("by a user", self.body, tokens["a"], DENIED)
            return
        if who in ("gadmin", "gowner"):
            self.expect("by an ordinary member", self.body, tokens["b" if self.route.caller == "a" else "a"], DENIED)
        if self.read:
            self.expect("by an administrator", self.body, tokens["admin"], 0)

    def success(self):
        name = f"{self.route.path} answer"
        status, answer = self.client.call(self.path, {**self.body, "zzUnknown": {"a": [1, None]}}, self.token)
        problem = code_problem(answer, 0)
        if problem is None and status != 200:
            problem = f"HTTP {status}"
        if problem is None and (answer["errMsg"], answer["errDlt"]) != ("", ""):
            problem = "a success has texts"
        if problem is None and self.route.data is None:
            problem = "data is there" if "data" in answer else None
        elif problem is None:
            problem = "data is missing" if "data" not in answer else shape_problem(self.route.data, answer["data"])
        self.results.check(name, problem)


class Refusal:
    """A line of refusals.txt."""

    def __init__(self, number, line):
        self.path, self.caller, code, self.body = re.split(r"\s*\|\s*", line, maxsplit=3)
        code, _, self.word = code.partition(" ")
        self.code = int(code)
        self.name = f"{self.path.partition('?')[0]} {code}{self.word and ' ' + self.word}, line {number}"

    def problem(self, client, world):
        path, body = unfold(world.fill(self.path)), unfold(world.fill(self.body))
        _, answer = client.call(path, body, world.tokens[self.caller])
        if self.word and answer and self.word not in answer["errDlt"]:
            return f"{answer['errCode']} {answer['errDlt']}"[:200]
        return code_problem(answer, self.code)


def refusals():
    for number, line in enumerate(open(os.path.join(HERE, "refusals.txt")), 1):
        if line.strip() and not line.startswith("#"):
            yield Refusal(number, line.strip())


WORDS = {"none": "no token", "any": "any user", "self": "the user", "anyof": "the user", "member": "group member",
         "gadmin": "group administrator", "gowner": "group owner", "admin": "administrator"}


def known(results, routes, page, file):
    """The table, docs/routes.md (page) and the program know the same routes and say the same of who may call them."""
    results.check("docs/routes.md", None if open(file).read() == page else "is not what openim-logic --print-routes prints")
    program = {p: who for p, who in re.findall(r"^\| `(/[^`]*)` \| ([^|]*) \|", page, re.M) if not p.startswith("/internal/")}
    mine = {r.path: WORDS[r.who] for r in routes}
    mine.update(re.findall(r"^! (\S+) \| (.*)", open(os.path.join(HERE, "table.txt")).read(), re.M))
    for path in sorted(set(program) - set(mine)):
        results.check(f"{path} in the table", "the program has it, table.txt has not")
    for path in sorted(set(mine) - set(program)):
        results.check(f"{path} in the program", "table.txt has it, the program has not")
    for path in sorted(set(mine) & set(program)):
        results.check(f"{path} who", None if mine[path] == program[path] else f"{program[path]}; table.txt: {mine[path]}")
    results.check("table and program", None if program else "the program prints no routes")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--api", required=True)
    ap.add_argument("--only", default="")
    ap.add_argument("--routes")
    ap.add_argument("--secret", default=os.environ.get("OPENIM_SECRET", "openIM123"))
    args = ap.parse_args()
    results, routes, client = Results(), table(), Client(args.api)
    page = open(os.path.join(HERE, "..", "..", "docs", "routes.md")).read()
    if args.routes:
        known(results, routes, page, args.routes)
    reads = set(re.findall(r"^\| `(/[^`]*)` \| [^|]* \| (?:read|search) \|", page, re.M))
    suite = Suite(client, World(client, args.secret, "abcde"), results)
    for route in routes:
        if args.only in route.path:
            suite.run(route, route.path in reads)
    world = World(client, args.secret, "abcdefk")
    for refusal in refusals():
        if args.only in refusal.path or refusal.code == 0:
            results.check(refusal.name, refusal.problem(client, world))
    print(f"{results.passed} passed, {results.failed} failed")
    sys.exit(results.failed > 0 or results.passed == 0)


if __name__ == "__main__":
    main()
