#!/usr/bin/env python3
"""seeds.py DIR: writes DIR/<target>/* from the data of the unit tests and a few
lines here. Run by the Makefile; what fuzzing finds is added to DIR, not to git."""
import base64, gzip, json, os, struct, sys

out = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))
data = os.path.join(here, '..', 'unit', 'module')
vectors = json.load(open(os.path.join(data, 'gob-vectors.json')))
frames = json.load(open(os.path.join(data, 'sdk-frames.json')))
count = {}


def seed(target, content):
    os.makedirs(f'{out}/{target}', exist_ok=True)
    count[target] = count.get(target, 0) + 1
    with open(f'{out}/{target}/seed-{count[target]:03}', 'wb') as f:
        f.write(content)


def ws(first, payload, mask=b'\x37\xfa\x21\x3d'):
    n = len(payload)
    head = bytes([first, 0x80 | n]) if n < 126 else bytes([first, 0xfe]) + struct.pack('>H', n)
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


envelopes = [bytes.fromhex(f['envelope_hex']) for f in frames]
wires = [bytes.fromhex(f['wire_hex']) for f in frames]
gobs = [bytes.fromhex(v['gob_hex']) for v in vectors if v['gob_hex']]

for b in gobs:
    seed('gob', b)
for e, w in zip(envelopes, wires):
    seed('json' if e[:1] == b'{' else 'gob', e)
    seed('gzip', b'\0' + w)
    seed('gzip', b'\1' + e)
    seed('frame', b'\7' + ws(0x82, w))
seed('gzip', b'\0' + gzip.compress(b'a') + gzip.compress(bytes(90000)))
seed('gzip', b'\0' + gzip.compress(bytes(200000)))
seed('gzip', b'\1' + os.urandom(0) + bytes(range(256)) * 20)

seed('frame', b'\1' + ws(0x01, b'{"type":') + ws(0x89, b'12345678901234567890') + ws(0x00, b'') + ws(0x80, b'"ping"}') + ws(0x88, b'\x03\xe8'))
seed('frame', b'\2' + ws(0x82, b'x' * 300) + ws(0x8a, b'') + b'\x82\xff\0\0\0\0\0\0\0\1abcdX')

for text in ('{"type":"ping"}', '{"type":"ping","body":"1234"}', '{"body":{"a":[1,-2.5e3,true,null,"\\ud83d\\ude00"]},"type":"ping"}', 'null',
             '{"reqIdentifier":-1,"msgIncr":null,"sendID":"\\u00e9\\n","OPERATIONID":"o","data":"YW\\nJj","token":"","x":[[{}]]}'):
    seed('json', text.encode())
seed('json', b'{"sendID":"\xff\xe4\xbd","data":""}')

v = base64.urlsafe_b64encode(json.dumps({'token': 't', 'userID': 'u', 'platformID': 5, 'operationID': 'o', 'sendResponse': True, 'sdkType': 'js',
                                         'background': False, 'compression': 'gzip', 'sdkVersion': '3'}).encode()).rstrip(b'=')
for query in (b'sendID=u1001&token=a.b.c&platformID=2&operationID=op%201&isBackground=true&sdkVersion=3.8.3&compression=gzip',
              b'sendID=u&token=t&platformID=6&operationID=o&isBackground=false&isMsgResp=true&sdkType=js', b'v=' + v, b'v=e30', b'a;b&%zz=1&sendID=%ff+%2B'):
    seed('args', query)

header = b'{"alg":"HS256","typ":"JWT"}'
claims = b'{"UserID":"u1001","PlatformID":5,"exp":1900000000,"iat":1799999995}'
seed('token', b'\1' + header + b'\0' + claims)
seed('token', b'\1' + b'{"alg":"none"}\0{"UserID":"\\u0041\xff","exp":"1.9e9","nbf":1,"iat":null,"iss":"x"}')
seed('token', b'\0' + base64.urlsafe_b64encode(header).rstrip(b'=') + b'.' + base64.urlsafe_b64encode(claims).rstrip(b'=') + b'.AAAA')


def field(number, value):
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


seed('wire', field(1, b'u1') + field(2, b'u2') + field(3, b'g') + field(9, 3) + field(12, b'content'))
seed('wire', field(1, b'u2') + field(2, b'u1') + field(9, 1) + b'\x80\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01')
seed('wire', b'\x09' + bytes(8) + b'\x0d' + bytes(4) + b'\x0a\x7f')
groups = field(1, b'u1') + field(2, 7) + field(3, 1) + field(4, b'g1') + field(4, b'') + field(5, b'g2') + field(6, 9)
seed('wire', field(1, 1) + field(2, b'publisher') + field(3, 1) + field(7, groups) + field(5, field(1, 5) + field(5, b'g1') + field(7, 2)))
seed('wire', groups[:-1] + b'\x89\x80\x80\x80\x80\x80\x80\x80\x80\x01' + field(4, b'\xff'))
for f in frames:
    seed('wire', bytes.fromhex(f['payload_hex']))
