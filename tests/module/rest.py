"""REST as bytes: what concerns every route (rest.md A), bodies in pieces, hostile input. Run by module.py."""

import gzip
import json
import os
import socket
import time

from wire import ENV, PLACE, one_byte_at_a_time

HOST, PORT = ENV["OPENIM_REST_ADDRESS"].split(":")
ADMIN = json.dumps({"secret": PLACE.client.secret, "userID": PLACE.client.admin}).encode()
TOKEN_PATH = "/auth/get_admin_token"


def head(path, method="POST", length=None, **fields):
    fields = {"operationID": "rest", **fields}
    if length is not None:
        fields["Content-Length"] = length
    lines = [f"{method} {path} HTTP/1.1", "Host: x"] + [f"{k.replace('_', '-')}: {v}" for k, v in fields.items() if v is not None]
    return "\r\n".join(lines + ["", ""]).encode("latin-1")


def connect():
    return socket.create_connection((HOST, int(PORT)), 12)


def answer(sock):
    """(status, headers, body) of one response, read to its own end"""
    def line():
        out = b""
        while not out.endswith(b"\r\n"):
            byte = sock.recv(1)
            assert byte, f"connection ended after {out!r}"
            out += byte
        return out[:-2].decode("latin-1")

    def take(size):
        out = b""
        while len(out) < size:
            more = sock.recv(size - len(out))
            assert more, "connection ended in the body"
            out += more
        return out

    status = int(line().split()[1])
    fields = dict(iter(lambda: ([p.strip() for p in line().split(":", 1)] + [""])[:2], ["", ""]))
    fields = {k.lower(): v for k, v in fields.items()}
    if fields.get("transfer-encoding") != "chunked":
        return status, fields, take(int(fields.get("content-length", 0)))
    body = b""
    while size := int(line(), 16):
        body += take(size)
        take(2)
    take(2)
    return status, fields, body


def ask(path, body=b"", method="POST", **fields):
    with connect() as sock:
        sock.sendall(head(path, method, len(body) if body or method == "POST" else None, **fields) + body)
        return answer(sock)


def refused(got, code, dlt=None):
    status, fields, body = got
    out = json.loads(body)
    assert status == 200 and out["errCode"] == code and (dlt is None or out["errDlt"] == dlt), got
    assert fields["access-control-allow-origin"] == "*" and fields["content-type"].startswith("application/json"), fields


def test_rest_needs_operation_id_and_token():
    refused(ask("/user/get_users_info", b"{}", operationID=None), 1001, "header must have operationID")
    refused(ask("/user/get_users_info", b"{}", operationID=""), 1001, "header must have operationID")
    refused(ask("/user/get_users_info", b"{}"), 1001, "header must have token")
    refused(ask("/user/get_users_info", b"{}", token="garbage"), 1503)
    refused(ask("/user/get_users_info", b"{}", token="a." * 4000), 1503)
    refused(ask("/user/get_users_info", b"{", token=PLACE.client.admin_token()), 1001)


def test_rest_options_and_404():
    status, fields, body = ask("/anything", method="OPTIONS", operationID=None)
    assert (status, body) == (200, b'"Options Request!"') and fields["access-control-allow-headers"] == "*", (status, fields, body)
    for got in (ask("/user/get_users_info", method="GET"), ask("/", method="GET"), ask("/user/get_users_info", method="DELETE"),
                ask("/no/such/route", b"{}", token=PLACE.client.admin_token()),
                ask("/%ff%fe", b"{}", token=PLACE.client.admin_token())):
        assert got[0] == 404 and got[2] == b"404 page not found", got
    with connect() as sock:
        sock.sendall(head("/user/get_users_info", "HEAD"))
        data = sock.recv(4096)
        assert data.startswith(b"HTTP/1.1 404") and data.endswith(b"\r\n\r\n"), data
    status, fields, body = ask("/auth/get_admin_token/?a=b", ADMIN)
    assert status == 307 and fields["location"].endswith("/auth/get_admin_token?a=b") and not body, (status, fields)


def test_rest_operation_id_that_is_no_utf8():
    begin = time.monotonic()
    status, _, body = ask(TOKEN_PATH, ADMIN, operationID="\xff\xfe\xc0\x80")
    assert status == 200 and json.loads(body)["errCode"] == 0, body
    assert time.monotonic() - begin < 5


def test_rest_gzip():
    status, fields, body = ask(TOKEN_PATH, ADMIN, Accept_Encoding="gzip")
    assert (status, fields.get("content-encoding")) == (200, "gzip") and "accept-encoding" in fields["vary"].lower(), fields
    assert json.loads(gzip.decompress(body))["data"]["token"]
    status, fields, body = ask(TOKEN_PATH, ADMIN)
    assert "content-encoding" not in fields and json.loads(body)["data"]["token"]
    refused(ask(TOKEN_PATH, ADMIN + b" " * 5), 0)


def test_rest_body_in_single_bytes():
    for chunked in (False, True):
        with connect() as sock:
            if chunked:
                one_byte_at_a_time(sock, head(TOKEN_PATH, Transfer_Encoding="chunked") + b"".join(
                    b"1;x=y\r\n" + bytes([c]) + b"\r\n" for c in ADMIN) + b"0\r\nTrailer: x\r\n\r\n", 0.0003)
            else:
                one_byte_at_a_time(sock, head(TOKEN_PATH, length=len(ADMIN)) + ADMIN)
            refused(answer(sock), 0)
            sock.sendall((head(TOKEN_PATH, length=len(ADMIN)) + ADMIN) * 3)       # kept alive, and pipelined
            for _ in range(3):
                refused(answer(sock), 0)


def test_rest_expect_continue():
    with connect() as sock:
        sock.sendall(head(TOKEN_PATH, length=len(ADMIN), Expect="100-continue"))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(ADMIN)
        refused(answer(sock), 0)


def test_rest_body_too_large():
    token = PLACE.client.admin_token()
    for path, fields in (("/user/get_users_info", {"token": token}), (TOKEN_PATH, {})):
        refused(ask(path, bytes(2 << 20), **fields), 1001, "request body too large")
        with connect() as sock:
            sock.sendall(head(path, Transfer_Encoding="chunked", **fields))
            piece = b"10000\r\n" + bytes(65536) + b"\r\n"
            try:
                for _ in range(20):
                    sock.sendall(piece)
            except OSError:
                pass                                                            # it need not read what it refused
            refused(answer(sock), 1001, "request body too large")
    fits = ADMIN + b" " * (1 << 19)
    refused(ask(TOKEN_PATH, fits), 0)
    edge = 1023 * 1024
    for size in (edge - 1000, edge - 30, edge - 1, edge):
        status, _, body = ask(TOKEN_PATH, ADMIN + b" " * (size - len(ADMIN)))
        assert status == 200 and json.loads(body)["errCode"] in (0, 1001), (size, body)
    with connect() as sock:
        sock.sendall(head(TOKEN_PATH, length=17 << 20))
        assert answer(sock)[0] == 413


def test_rest_bad_requests_are_refused():
    for bad in (b"POST / HTTP/1.1\r\n\r\n", b"POST /\xff HTTP/9.9\r\nHost: x\r\n\r\n", head(TOKEN_PATH, length="-1"),
                head(TOKEN_PATH, length="1x"), head(TOKEN_PATH, length=1, Transfer_Encoding="chunked"),
                head(TOKEN_PATH, Transfer_Encoding="chunked") + b"zz\r\n", head(TOKEN_PATH, Transfer_Encoding="chunked") + b"f" * 20 + b"\r\n",
                head(TOKEN_PATH, x="y" * 70000), os.urandom(3000)):
        with connect() as sock:
            try:
                sock.sendall(bad)
                data = sock.recv(4096)
            except ConnectionResetError:
                continue
            assert not data or data.split(b" ", 2)[1][:1] in b"45" or b"<h" in data, (bad[:80], data)


def test_rest_clients_that_go_away():
    for until in (1, 20, -5, None):
        for wait in (0, 0.02):
            sock = connect()
            whole = head(TOKEN_PATH, length=len(ADMIN)) + ADMIN
            sock.sendall(whole[:until])
            time.sleep(wait)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
            sock.close()
    refused(ask(TOKEN_PATH, ADMIN), 0)
