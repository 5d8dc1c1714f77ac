"""What the tests of this folder share: requests to the instance that `eval "$(./build.sh env)"` names, and checks that are counted."""

import http.client
import json
import os
import random
import threading

passed = failed = 0
_lock = threading.Lock()


def check(name, good, seen=""):
    """From any thread."""
    global passed, failed
    with _lock:
        if good:
            passed += 1
        else:
            failed += 1
            print(f"not ok {name}: {str(seen)[:600]}", flush=True)


def finish():
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(failed > 0)


class Api:
    """A connection; for one thread."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(os.environ["OPENIM_REST_ADDRESS"], timeout=60)

    def post(self, path, body, token=None, operation=None):
        """errCode, data, errDlt"""
        headers = {"Content-Type": "application/json", "operationID": operation or f"system{random.getrandbits(48):x}"}
        if token:
            headers["token"] = token
        self.connection.request("POST", path, json.dumps(body), headers)
        answer = json.loads(self.connection.getresponse().read())
        return answer["errCode"], answer.get("data") or {}, answer.get("errDlt")

    def need(self, path, body, token=None):
        """data, of what must succeed"""
        code, data, detail = self.post(path, body, token)
        if code:
            raise SystemExit(f"not ok {path}: {code} {detail}")
        return data

    def admin(self):
        """A token of the administrator."""
        return self.need("/auth/get_admin_token", {"secret": os.environ.get("OPENIM_SECRET", "openIM123"), "userID": "imAdmin"})["token"]


def mariadb(*options):
    """The command of the database's client, connected as the workers are."""
    host, port = os.environ["OPENIM_MYSQL_ADDRESS"].rsplit(":", 1)
    return ["mariadb", "--no-defaults", "-h", host, "-P", port, "-u", os.environ["OPENIM_MYSQL_USER"],
            f"-p{os.environ['OPENIM_MYSQL_PASSWORD']}", *options, os.environ["OPENIM_MYSQL_DATABASE"]]
