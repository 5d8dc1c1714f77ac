#!/usr/bin/env python3
"""No statement of a test run read a growing table from end to end: queries.py SLOW_LOG [OFFSET]

The development server logs statements that use no index or are slow, with their plan (deploy/dev/mariadb.sh). Those that scan a table or
join without an index and look at ROWS rows or more are findings; each is shown once, with its values taken out. Small tables are always
read whole, that is what an optimizer should do with them. Prints "N passed, N failed": one for each text of a statement that was seen.
"""
import os, re, sys

ROWS = 1000
DATABASE = os.environ.get("OPENIM_MYSQL_DATABASE", "openim")    # tests have others of their own
OURS = re.compile(r"^(select|insert|update|delete|replace)\b", re.I)
# a page of ids, found by its key, is a table of its own to the server: it is read whole, and is no longer than the page
PAGE = re.compile(r"FROM group_members JOIN \(SELECT group_id AS page_group")
# counts and pages of all users go along an index that they name; while it has few pages, "from here on" is known to be all of it, and
# the server calls that a full scan
ALL_USERS = re.compile(r"FROM users FORCE INDEX \((created|level|page|storage_order)\) WHERE (create_time|id|app_manger_level) (>|>=|<) ?\d")
# counts of days and senders along the indexes that they name, added up: the sums are a table of its own
SUMS = re.compile(r"FROM \(SELECT (day|name) AS k, SUM\(n\) AS n FROM msg_counts FORCE INDEX|"
                  r"^INSERT INTO msg_counts .*FORCE INDEX \(sent\)")
# a search without a filter goes along the index of its order and ends at its bound
BOUNDED = re.compile(r"FROM \(SELECT 1 FROM msg_history FORCE INDEX \(\w+\) WHERE .* LIMIT \d+\) matches")
# changes of the tables themselves (config/mysql) read them whole, once
MIGRATION = re.compile(r"^update chat_groups g set\s+member_count", re.I)


def entries(text):
    """(full scan, rows examined, seconds, statement)"""
    for part in re.split(r"(?m)^# User@Host: ", text)[1:]:
        if not re.search(rf"Schema: {re.escape(DATABASE)}\s", part):
            continue
        scan = bool(re.search(r"(Full_scan|Full_join): Yes", part))
        rows = re.search(r"Rows_examined: (\d+)", part)
        seconds = re.search(r"Query_time: ([\d.]+)", part)
        body = re.sub(r"(?m)^(#.*|use \S+;|SET timestamp=\d+;)$", "", part.partition("\n")[2])
        yield scan, int(rows.group(1)) if rows else 0, float(seconds.group(1)) if seconds else 0, " ".join(body.split())


def plain(statement):
    """Without values; lists of any length look the same."""
    out = re.sub(r"'(?:[^'\\]|\\.|'')*'|\b0x[0-9a-f]+\b|\b\d+\b|x'[0-9a-f]*'", "?", statement, flags=re.I)
    return re.sub(r"\((?:\s*\?\s*,?)+\)(?:\s*,\s*\((?:\s*\?\s*,?)+\))*", "(..)", out)


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        file.seek(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
        text = file.read()
    seen, findings = set(), {}
    for scan, rows, seconds, statement in entries(text):
        if not OURS.match(statement) or MIGRATION.match(statement):
            continue
        name = plain(statement)
        seen.add(name)
        if scan and rows >= ROWS and not any(known.search(statement) for known in (PAGE, ALL_USERS, SUMS, BOUNDED)):
            worst = findings.get(name, (0, 0, 0))
            findings[name] = (worst[0] + 1, max(worst[1], rows), max(worst[2], seconds))
    for name, (times, rows, seconds) in sorted(findings.items()):
        print(f"not ok reads {rows} rows without an index, {times} times, up to {seconds:.3f} s: {name[:400]}")
    print(f"{len(seen) - len(findings) + 1} passed, {len(findings)} failed")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
