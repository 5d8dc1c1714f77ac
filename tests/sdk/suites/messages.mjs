// What happens to messages after they are sent: read receipts, typing, revoking, deleting, clearing; between every pair of cores, on a second
// device, while a device is away, and as a fresh installation shows it. Whoever looks, the server's answer and the clients' own databases agree.
import { eq, ok, refused, until } from '../lib/assert.mjs';
import { si, sg } from '../lib/messages.mjs';
import { rest, raw, userToken } from '../lib/rest.mjs';
import { WAIT } from '../lib/env.mjs';

const KINDS = ['N15', 'N10', 'W385', 'J14'];
const REVOKED = 2101;

const label = m => m.contentType === REVOKED ? 'revoked' : m.contentType === 101 ? m.textElem.content : null;
// What a client shows of a conversation, oldest first; notices of groups left out.
const shown = async (c, conv) => (await c.wholeHistory(conv)).map(label).filter(x => x !== null);
const shows = (c, conv, want) => {
  let got;
  return until(async () => { got = await shown(c, conv); return JSON.stringify(got) === JSON.stringify(want); },
    () => `${c.name} shows ${JSON.stringify(got)}, expected ${JSON.stringify(want)};`, WAIT);
};
const all = (clients, conv, want) => Promise.all(clients.map(c => shows(c, conv, want)));

const read = (c, conv) => c.call('markConversationMessageAsRead', conv);
const revoke = (c, conv, id) => c.call('revokeMessage', { conversationID: conv, clientMsgID: id });
const remove = (c, conv, id) => c.call('deleteMessage', { conversationID: conv, clientMsgID: id });
const toldRevoked = (c, id, from) => c.event('OnNewRecvMessageRevoked', d => d && d.clientMsgID === id, { from });
const asUser = async (userID, path, body) => rest(path, { userID, ...body }, { token: await userToken(userID, 7) });
// J14 keeps a cache that it does not correct: what its user read or deleted elsewhere it learns at its next login.
const forgets = c => c.kind === 'J14';
const unread = (c, conv, n) => c.conversationWhen(conv, x => x.unreadCount === n, `with ${n} unread`);

async function seqOf(userID, conv, clientMsgID) {
  const r = await rest('/msg/pull_msg_by_seq', { userID, seqRanges: [{ conversationID: conv, begin: 1, end: 1000, num: 1000 }] });
  return r.msgs[conv].Msgs.find(m => m.clientMsgID === clientMsgID).seq;
}

// A single chat of a and b, b on two devices.
async function single(t, kindA, kindB, kindB2) {
  const who = `${kindA} with ${kindB} and ${kindB2}`, check = (what, fn) => t.check(`${who}: ${what}`, fn);
  const A = await t.user('a' + kindA.toLowerCase() + kindB.toLowerCase()), B = await t.user('b' + kindA.toLowerCase() + kindB.toLowerCase());
  const conv = si(A, B), device = await t.device(kindB2);
  let [a, b, b2] = await Promise.all([t.login(kindA, A), t.login(kindB, B), t.login(kindB2, B, { device })]);
  const id = {}, want = [];
  const say = async (c, to, text) => { id[text] = (await c.say(text, to)).clientMsgID; want.push(text); };
  const arrived = (text, ...clients) => Promise.all(clients.map(c => c.message(id[text])));
  const put = (text, instead) => want.splice(want.indexOf(text), 1, ...instead);

  await check('messages arrive on both devices', async () => {
    for (const text of ['one', 'two', 'three', 'four']) { await say(a, B, text); await arrived(text, b, b2); }
    await unread(b, conv, 4);
  });

  await check('reading tells the sender and the other device', async () => {
    const from = a.mark();
    await read(b, conv);
    await a.event('OnRecvC2CReadReceipt', l => [].concat(l).some(r => r.msgIDList?.includes(id.four)), { from });
    if (!forgets(b2)) await unread(b2, conv, 0);
    if (!forgets(a)) await until(async () => (await a.wholeHistory(conv)).filter(m => m.sendID === A).every(m => m.isRead), 'all read at the sender', WAIT);
  });

  await check('typing is seen', async () => {
    const from = a.mark();
    await b.call('changeInputStates', { conversationID: conv, focus: true });
    await a.event('OnConversationUserInputStatusChanged', d => d && d.conversationID === conv && d.userID === B, { from });
  });

  await check('revoking reaches everybody', async () => {
    const marks = [a, b, b2].map(c => c.mark());
    await revoke(a, conv, id.two);
    put('two', ['revoked']);
    await Promise.all([a, b, b2].map((c, i) => toldRevoked(c, id.two, marks[i])));
    await all([a, b, b2], conv, want);
  });

  await check('nobody revokes the other\'s message, or one twice', async () => {
    await refused(asUser(B, '/msg/revoke_msg', { conversationID: conv, seq: await seqOf(A, conv, id.three) }), 1002, 'revoking');
    await refused(asUser(A, '/msg/revoke_msg', { conversationID: conv, seq: await seqOf(A, conv, id.two) }), 1404, 'revoking');
  });

  await check('deleting for oneself leaves the other\'s', async () => {
    await remove(b, conv, id.three);
    await shows(b, conv, want.filter(x => x !== 'three'));
    await shows(a, conv, want);
  });

  await check('deleting for both reaches everybody', async () => {
    await asUser(B, '/msg/delete_msgs', { conversationID: conv, seqs: [await seqOf(A, conv, id.one)], deleteSyncOpt: { IsSyncOther: true } });
    put('one', []);
    if (!forgets(a)) await shows(a, conv, want);
    if (!forgets(b)) await shows(b, conv, want.filter(x => x !== 'three'));
  });

  await b2.kill();
  await check('while the second device is away', async () => {
    for (const text of ['five', 'six', 'seven']) { await say(a, B, text); await arrived(text, b); }
    await revoke(a, conv, id.five);
    put('five', ['revoked']);
    await remove(b, conv, id.seven);
    await asUser(A, '/msg/delete_msgs', { conversationID: conv, seqs: [await seqOf(A, conv, id.four)], deleteSyncOpt: { IsSyncOther: true } });
    put('four', []);
    await read(b, conv);
    if (!forgets(a)) await shows(a, conv, want);
    if (!forgets(b)) await shows(b, conv, want.filter(x => x !== 'three' && x !== 'seven'));
  });
  b2 = await t.login(kindB2, B, { device });
  await check('the second device learns it when it is back', async () => {
    await unread(b2, conv, 0);
    // it had "three" before it was deleted on the other device, and nobody tells it of that
    await until(async () => {
      const got = await shown(b2, conv);
      return JSON.stringify(got.filter(x => x !== 'three')) === JSON.stringify(want.filter(x => x !== 'three' && x !== 'seven'));
    }, 'the history of the other device', WAIT);
  });

  await check('fresh installations of both show the same', async () => {
    for (const x of [a, b, b2]) await x.kill();
    [a, b] = await Promise.all([t.login(kindA, A), t.login(kindB, B)]);
    await shows(a, conv, want);
    await shows(b, conv, want.filter(x => x !== 'three' && x !== 'seven'));
    await unread(b, conv, 0);
    const mine = (await a.wholeHistory(conv)).filter(m => m.sendID === A && m.contentType === 101);
    ok(mine.every(m => m.isRead), () => `read at the sender: ${mine.map(m => m.isRead)}`);
  });

  await check('clearing empties one side only, and new messages come', async () => {
    await asUser(B, '/msg/clear_conversation_msg', { conversationIDs: [conv], deleteSyncOpt: { IsSyncSelf: true } });
    await b.kill();
    b = await t.login(kindB, B);
    await shows(b, conv, []);
    eq((await rest('/msg/get_conversations_has_read_and_max_seq', { userID: B, conversationIDs: [conv] })).seqs[conv].hasReadSeq, 7, 'position');
    await say(a, B, 'after');
    await arrived('after', b);
    await shows(b, conv, ['after']);
    await shows(a, conv, want);
    await unread(b, conv, 1);
  });
  for (const x of [a, b]) await x.kill();
}

// A group: an owner, an administrator, two members.
async function group(t, turn) {
  const [kOwner, kAdmin, kMember, kOther] = [0, 1, 2, 3].map(i => KINDS[(turn + i) % 4]);
  const who = `group of ${kOwner}, administrator ${kAdmin}, members ${kMember} and ${kOther}`, check = (what, fn) => t.check(`${who}: ${what}`, fn);
  const U = {}, c = {}, id = {}, want = [];
  for (const k of KINDS) U[k] = await t.user('g' + turn + k.toLowerCase());
  await Promise.all(KINDS.map(async k => { c[k] = await t.login(k, U[k]); }));
  const everybody = Object.values(c);
  let groupID, conv;

  await check('made, and everybody has it', async () => {
    groupID = (await c[kOwner].call('createGroup', { memberUserIDs: [U[kMember], U[kOther]], adminUserIDs: [U[kAdmin]], ownerUserID: U[kOwner],
      groupInfo: { groupType: 2, groupName: 'messages' } })).groupID;
    conv = sg(groupID);
    await Promise.all(everybody.map(x => x.conversationWhen(conv)));
  });
  const say = async (k, text) => {
    id[text] = (await c[k].say(text, { groupID })).clientMsgID; want.push(text);
    await Promise.all(everybody.filter(x => x !== c[k]).map(x => x.message(id[text])));
  };
  const gone = text => want.splice(want.indexOf(text), 1, 'revoked');

  await check('everybody says something', async () => { for (const k of KINDS) { await say(k, 'first of ' + k); await say(k, 'second of ' + k); } });
  await check('a member revokes its own', async () => {
    const text = 'first of ' + kMember;
    await revoke(c[kMember], conv, id[text]); gone(text);
    await all(everybody, conv, want);
  });
  await check('the administrator revokes a member\'s', async () => {
    const text = 'first of ' + kOther, marks = everybody.map(x => x.mark());
    await revoke(c[kAdmin], conv, id[text]); gone(text);
    await Promise.all(everybody.map((x, i) => toldRevoked(x, id[text], marks[i])));
    await all(everybody, conv, want);
  });
  await check('the owner revokes the administrator\'s', async () => {
    const text = 'first of ' + kAdmin;
    await revoke(c[kOwner], conv, id[text]); gone(text);
    await all(everybody, conv, want);
  });
  await check('a member revokes nobody\'s, the administrator not the owner\'s', async () => {
    const seq = await seqOf(U[kOwner], conv, id['first of ' + kOwner]);
    for (const k of [kMember, kAdmin]) await refused(asUser(U[k], '/msg/revoke_msg', { conversationID: conv, seq }), 1002, 'revoking');
    await refused(asUser(U[kMember], '/msg/delete_msgs', { conversationID: conv, seqs: [seq], deleteSyncOpt: { IsSyncOther: true } }), 1002, 'deleting');
    await refused(asUser(U[kMember], '/msg/clear_conversation_msg', { conversationIDs: [conv], deleteSyncOpt: { IsSyncOther: true } }), 1002, 'clearing');
    await all(everybody, conv, want);
  });
  await check('reading counts for the reader only', async () => {
    await read(c[kMember], conv);
    await unread(c[kMember], conv, 0);
    ok((await c[kOther].conversation(conv)).unreadCount > 0 || kOther === KINDS.at(-1), 'the other member has nothing unread');
  });
  await check('a stranger gets nothing of it', async () => {
    const s = await t.user('s' + turn), token = await userToken(s, 7);
    const pull = (conversationID, begin = 1) => raw('/msg/pull_msg_by_seq', { userID: s, seqRanges: [{ conversationID, begin, end: 50, num: 50 }] }, { token });
    for (const x of [conv, 'n_' + groupID]) eq((await pull(x)).data, {}, `pull of ${x}`);
    await refused(asUser(s, '/msg/mark_conversation_as_read', { conversationID: conv, hasReadSeq: 1 }), 1004, 'marking');
  });
  await check('fresh installations show the same', async () => {
    await Promise.all(KINDS.map(async k => { await c[k].kill(); c[k] = await t.login(k, U[k]); }));
    await all(Object.values(c), conv, want);
  });
  for (const x of Object.values(c)) await x.kill();
}

export default async function (t) {
  for (let i = 0; i < 4; i++) await single(t, KINDS[i], KINDS[(i + 1) % 4], KINDS[(i + 2) % 4]);
  for (let i = 0; i < 4; i += 2) await group(t, i);
}
