#!/usr/bin/env python3
"""Compare our .proto files with the catalogue of the OpenIM protocol.

    check.py CATALOGUE DESCRIPTOR_SET

Every message, field name, number, type and label must agree, in both directions.
The descriptor set comes from protoc (make check CATALOGUE=...). Only the standard
library is used: the descriptor set is read by a small wire format reader.
"""
import re
import sys

SCALARS = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool",
           9: "string", 12: "bytes", 13: "uint32"}
MESSAGE, ENUM, REPEATED = 11, 14, 3


def fields(buf):
    """Yield (number, value) of one serialised message; value is int or bytes."""
    pos = 0

    def varint():
        nonlocal pos
        shift = result = 0
        while True:
            byte = buf[pos]
            pos += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    while pos < len(buf):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        elif tag & 7 == 2:
            size = varint()
            yield tag >> 3, buf[pos:pos + size]
            pos += size
        else:
            raise ValueError(f"wire type {tag & 7} in a descriptor")


def record(buf):
    rec = {}
    for number, value in fields(buf):
        rec.setdefault(number, []).append(value)
    return rec


def text(rec, number):
    return rec.get(number, [b""])[0].decode()


def read_message(rec, scope, messages):
    """DescriptorProto: 1 name, 2 field, 3 nested_type, 7 options (7 map_entry), 8 oneof_decl."""
    full = f"{scope}.{text(rec, 1)}"
    entries = {}
    for nested in map(record, rec.get(3, [])):
        if record(nested.get(7, [b""])[0]).get(7) == [1]:
            key, value = (type_name(record(f), entries) for f in nested[2])
            entries[f"{full}.{text(nested, 1)}"] = f"map<{key}, {value}>"
        else:
            read_message(nested, full, messages)
    oneofs = [text(record(o), 1) for o in rec.get(8, [])]
    result = {}
    for field in map(record, rec.get(2, [])):
        kind = type_name(field, entries)
        if field[4] == [REPEATED] and not kind.startswith("map<"):
            kind = "repeated " + kind
        if 9 in field:
            if oneofs[field[9][0]] != "_" + text(field, 1):
                raise ValueError(f"{full}.{text(field, 1)}: the oneof is not an optional")
            kind = "optional " + kind
        result[text(field, 1)] = (field[3][0], kind)
    messages[full] = result


def type_name(field, entries):
    """FieldDescriptorProto: 1 name, 3 number, 4 label, 5 type, 6 type_name, 9 oneof_index."""
    kind = field[5][0]
    if kind in (MESSAGE, ENUM):
        name = text(field, 6).lstrip(".")
        return entries.get(name, ("enum " if kind == ENUM else "") + name)
    return SCALARS[kind]


def read_descriptors(path):
    """FileDescriptorProto: 1 name, 2 package, 4 message_type, 5 enum_type, 12 syntax."""
    messages, enums = {}, {}
    with open(path, "rb") as file:
        for _, proto in fields(file.read()):
            proto = record(proto)
            package = text(proto, 2)
            if text(proto, 12) != "proto3":
                raise ValueError(f"{text(proto, 1)} is not proto3")
            for message in map(record, proto.get(4, [])):
                read_message(message, package, messages)
            for enum in map(record, proto.get(5, [])):
                values = (record(v) for v in enum[2])
                enums[f"{package}.{text(enum, 1)}"] = {
                    text(v, 1): v.get(2, [0])[0] for v in values}
    return messages, enums


def qualify(kind, package):
    """The catalogue's type names, made full."""
    def one(match):
        name = match.group()
        if name in SCALARS.values() or name in ("map", "repeated", "optional", "enum"):
            return name
        head = name.split(".")[0]
        other = "." in name and head[0].islower() and head in PACKAGES
        return f"openim.{name}" if other else f"{package}.{name}"
    return re.sub(r"[A-Za-z_][\w.]*", one, kind)


PACKAGES = ("sdkws", "protobuf", "auth", "user", "relation", "group", "conversation", "msg",
            "msggateway", "push", "third", "jssdk")


def read_catalogue(path):
    messages, enums, package, rows = {}, {}, None, None
    with open(path, encoding="utf-8") as file:
        chapter = re.search(r"^## 5\. .*?(?=^## 6\. )", file.read(), re.S | re.M).group()
    for line in chapter.splitlines():
        if match := re.match(r"### \S+ package (\S+)", line):
            package, rows = match[1], None
        elif match := re.match(r"#### enum (\S+)", line):
            rows = enums.setdefault(f"{package}.{match[1]}", {})
        elif match := re.match(r"#### (\S+)", line):
            rows = messages.setdefault(f"{package}.{match[1]}", {})
        elif match := re.match(r"Messages with no fields: (.*)\.", line):
            messages.update({f"{package}.{name}": {} for name in match[1].split(", ")})
        elif match := re.match(r"\| (\d+) \| (\w+) \| (.+) \|$", line):
            rows[match[2]] = (int(match[1]), qualify(match[3], package))
        elif match := re.match(r"\| (\d+) \| (\w+) \|$", line):
            rows[match[2]] = int(match[1])
    return messages, enums


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    want, got = read_catalogue(sys.argv[1]), read_descriptors(sys.argv[2])
    faults = 0
    for theirs, ours in zip(want, got):
        for name in sorted(theirs.keys() | ours.keys()):
            if theirs.get(name) == ours.get(name):
                continue
            a, b = theirs.get(name, {}), ours.get(name, {})
            print(f"{name}: catalogue {'has' if name in theirs else 'lacks'} it, "
                  f"we {'have' if name in ours else 'lack'} it")
            for field in sorted(a.keys() | b.keys()):
                if a.get(field) != b.get(field):
                    print(f"    {field}: catalogue {a.get(field)}, ours {b.get(field)}")
            faults += 1
    print(f"{len(got[0])} messages, {sum(map(len, got[0].values()))} fields, {len(got[1])} enums:",
          f"{faults} differ" if faults else "all as in the catalogue")
    sys.exit(faults != 0)


if __name__ == "__main__":
    main()
