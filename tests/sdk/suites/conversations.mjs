// Settings of conversations: what one device of a user sets, another one shows at once and a third one after it was away; what the
// server does by itself (mentions, announcements, private chat, clearing, deletion) reaches all of them; and every client's conversations
// equal the server's, member by member.
import { eq, ok, refused, until } from '../lib/assert.mjs';
import { conversationsForm as picture } from '../lib/picture.mjs';
import { rest } from '../lib/rest.mjs';
import { si, sg } from '../lib/messages.mjs';
import { WAIT } from '../lib/env.mjs';

// [the device that sets, the one that looks on, the one that is away meanwhile]
const TRIOS = [['N15', 'W385', 'N10'], ['W385', 'J14', 'N15'], ['J14', 'N10', 'W385'], ['N10', 'N15', 'W385']];

const rows = async u => (await rest('/conversation/get_all_conversations', { ownerUserID: u })).conversations || [];
const row = async (u, id) => (await rows(u)).find(c => c.conversationID === id);
const position = async (u, id) => (await rest('/msg/get_conversations_has_read_and_max_seq', { userID: u, conversationIDs: [id] })).seqs?.[id];

// A client's conversations are the server's, sooner or later.
const equal = (c, what) => until(async () => { eq(picture(await c.conversations()), picture(await rows(c.userID)), 'conversations'); return true; }, `${c.name} ${what}`, WAIT);

const mention = async (c, groupID, list) => c.send(await c.call('createTextAtMessage', {
  text: 'look', atUserIDList: list, atUsersInfo: list.map(u => ({ atUserID: u, groupNickname: u })), message: null }), { groupID });

const texts = l => l.filter(m => m.contentType === 101).map(m => m.textElem.content);

async function settings(t, peer, [a, z, y], n) {
  const u = await t.user('s' + n), conv = si(u, peer.userID);
  const device = await t.device(y), away = await t.login(y, u, { device });
  const r = await peer.say('hello', u);
  const g = (await peer.call('createGroup', { memberUserIDs: [u], adminUserIDs: [], ownerUserID: peer.userID,
    groupInfo: { groupType: 2, groupName: 'settings' } })).groupID;
  await t.check(`${y} knows the conversations, then leaves`, async () => {
    await away.message(r.clientMsgID);
    for (const x of [conv, sg(g)]) await away.conversationWhen(x);
  });
  await away.kill();
  await t.check(`the other side makes it a private chat and mentions the user while ${y} is away`, async () => {
    await peer.call('setConversation', { conversationID: conv, isPrivateChat: true });
    await mention(peer, g, [u]);
    await until(async () => (await row(u, sg(g))).groupAtType === 1, 'the mention at the server', WAIT);
    eq((await row(u, conv)).isPrivateChat, true, 'the row of the user');
  });
  const [c, other] = await Promise.all([t.login(a, u), t.login(z, u)]);
  // whoever looks: callback, own list, and at the end the server's
  const shows = async (x, from, id, fits, what) => {
    await x.event('OnConversationChanged', l => [].concat(l).some(v => v?.conversationID === id && fits(v)), { from });
    await x.conversationWhen(id, fits, what);
  };
  const set = (f, fits, what, id = conv) => t.check(`${a} sets ${what}, ${z} shows it`, async () => {
    const at = [c, other].map(x => x.mark());
    for (const x of [c, other]) await x.conversationWhen(id);
    await c.call('setConversation', { conversationID: id, ...f });
    await shows(c, at[0], id, fits, what);
    await shows(other, at[1], id, fits, what);
  });

  await set({ isPinned: true }, x => x.isPinned, 'the pin');
  await set({ recvMsgOpt: 1 }, x => x.recvMsgOpt === 1, 'that it receives nothing');
  await t.check('what is not wanted is refused to its sender', () => refused(peer.say('not wanted', u), 1001, 'a message'));
  await set({ recvMsgOpt: 2 }, x => x.recvMsgOpt === 2, 'no push');
  await set({ ex: '{"colour":"żółty"}' }, x => x.ex === '{"colour":"żółty"}', 'ex');
  await set({ burnDuration: 45 }, x => x.burnDuration === 45, 'the burn duration');
  await set({ isMsgDestruct: true, msgDestructTime: 86400 }, x => x.isMsgDestruct && x.msgDestructTime === 86400, 'destruction');
  await set({ isPinned: false }, x => !x.isPinned, 'no pin');
  await set({ isPinned: true, recvMsgOpt: 2 }, x => x.isPinned && x.recvMsgOpt === 2, 'pin and no push for a group', sg(g));

  await t.check(`${a} ends the private chat and begins it again, on both sides`, async () => {
    for (const on of [false, true]) {
      const at = [c, other, peer].map(x => x.mark());
      await c.call('setConversation', { conversationID: conv, isPrivateChat: on });
      for (const [i, x] of [c, other, peer].entries()) await shows(x, at[i], conv, v => v.isPrivateChat === on, `private: ${on}`);
      for (const [x, what] of [[u, 'user'], [peer.userID, 'peer']]) eq((await row(x, conv)).isPrivateChat, on, `the row of the ${what}`);
      const said = await peer.say(`private: ${on}`, u);
      for (const x of [c, other]) eq((await x.message(said.clientMsgID)).attachedInfoElem?.isPrivateChat ?? false, on, `${x.name}: private`);
    }
  });

  const again = await t.login(y, u, { device });
  await t.check(`${y} is told what changed while it was away`, async () => {
    await shows(again, 0, conv, v => v.isPrivateChat && v.burnDuration === 45 && v.recvMsgOpt === 2, 'private');
    await shows(again, 0, sg(g), v => v.groupAtType === 1 && v.isPinned && v.recvMsgOpt === 2, 'with the mention');
    eq(texts(await again.wholeHistory(conv)), ['hello', 'private: false', 'private: true'], 'texts');
  });
  const fresh = t.login('N15', u, { platformID: 8 }); // a platform that none of the others is on
  for (const [x, what] of [[c, 'which set them'], [other, 'which looked on'], [again, 'which was away'], [await fresh, 'freshly installed']]) {
    await t.check(`${x.kind} ${what} has the server's conversations`, () => equal(x, what));
  }
  await t.check(`what did not change has no new version for ${a}`, async () => {
    const now = await rest('/conversation/get_incremental_conversations', { userID: u, versionID: '', version: 0 });
    await rest('/conversation/set_conversations', { userIDs: [u], conversation: { conversationID: conv, conversationType: 1, userID: peer.userID, burnDuration: 45, recvMsgOpt: 2 } });
    eq((await rest('/conversation/get_incremental_conversations', { userID: u, versionID: now.versionID, version: now.version })).version, now.version, 'version');
  });
  for (const x of [c, other, again, await fresh]) await x.kill();
}

async function mentions(t, peer) {
  const kinds = ['N15', 'W385', 'N10', 'J14'], id = {}, c = {};
  for (const k of kinds) id[k] = await t.user('m' + k.toLowerCase());
  await Promise.all(kinds.map(async k => { c[k] = await t.login(k, id[k]); }));
  const g = (await peer.call('createGroup', { memberUserIDs: kinds.map(k => id[k]), adminUserIDs: [], ownerUserID: peer.userID, groupInfo: { groupType: 2, groupName: 'mentions' } })).groupID;
  const conv = sg(g);
  const expect = (what, want) => t.check(what, async () => {
    for (const k of kinds) await c[k].conversationWhen(conv, x => (x.groupAtType || 0) === want(k), `groupAtType ${want(k)}`);
    for (const k of kinds) eq((await row(id[k], conv)).groupAtType, want(k), `the row of ${k}`);
  });
  const reset = (k, more = '') => t.check(`${k} has seen it${more}`, async () => {
    await c[k].call('setConversation', { conversationID: conv, groupAtType: 0 });
    await c[k].conversationWhen(conv, x => !x.groupAtType, 'without a mention');
  });

  for (const k of kinds) await t.check(`${k} has the conversation of the group`, () => c[k].conversationWhen(conv));
  for (const k of ['N15', 'W385']) {
    await mention(peer, g, [id[k]]);
    await expect(`${k} is mentioned, the others are not`, x => (x === k ? 1 : 0));
    await reset(k);
  }
  await mention(peer, g, ['AtAllTag']);
  await expect('all are mentioned', () => 2);
  eq((await row(peer.userID, conv)).groupAtType, 0, 'the row of the sender');
  for (const k of kinds) await reset(k, ', all');
  await mention(peer, g, ['AtAllTag', id.W385]);
  await expect('all are mentioned, and W385', k => (k === 'W385' ? 3 : 2));
  for (const k of kinds) await reset(k, ', all and one');
  await peer.call('setGroupInfo', { groupID: g, notification: 'read this' });
  await expect('an announcement is for all', () => 4);

  await t.check('a fresh device of N15\'s user has the announcement', async () => {
    const fresh = await t.login('N10', id.N15);
    await fresh.conversationWhen(conv, x => x.groupAtType === 4, 'groupAtType 4');
    await equal(fresh, 'freshly installed');
    await fresh.kill();
  });

  await t.check('who left reads up to its leaving, and counts nothing after it', async () => {
    await c.N10.call('quitGroup', g);
    const last = await until(async () => { const p = await position(id.N10, conv), r = await row(id.N10, conv); return p && r?.maxSeq > 0 && p.maxSeq === r.maxSeq && r.maxSeq; }, 'the end of the window', WAIT);
    for (let i = 0; i < 3; i++) await peer.say(`without N10 ${i}`, { groupID: g });
    await c.W385.message(m => m.textElem?.content === 'without N10 2');
    eq((await position(id.N10, conv)).maxSeq, last, 'newest seq');
    eq((await rest('/msg/newest_seq', { userID: id.N10 })).maxSeqs[conv], last, 'newest seq of 1001');
    const r = await rest('/msg/pull_msg_by_seq', { userID: id.N10, seqRanges: [{ conversationID: conv, begin: 1, end: last + 3, num: 100 }], order: 0 });
    eq(Math.max(...r.msgs[conv].Msgs.map(m => m.seq)), last, 'newest that it can read');
  });
  await t.check('who comes back reads on', async () => {
    await rest('/group/invite_user_to_group', { groupID: g, reason: '', invitedUserIDs: [id.N10] });
    const r = await peer.say('with N10', { groupID: g });
    await c.N10.message(r.clientMsgID);
    eq((await row(id.N10, conv)).maxSeq, 0, 'the end of the window');
  });
  for (const k of kinds) await c[k].kill();
}

async function clearing(t, peer) {
  const u = await t.user('clear'), conv = si(u, peer.userID), [c, other] = await Promise.all([t.login('N15', u), t.login('W385', u)]);
  for (let i = 1; i <= 5; i++) await peer.say(`before ${i}`, u);
  await c.conversationWhen(conv, x => x.unreadCount === 5, 'with 5 unread');
  await other.conversationWhen(conv, x => x.unreadCount === 5, 'with 5 unread');
  await t.check('N15 clears the conversation', async () => {
    await c.call('clearConversationAndDeleteAllMsg', conv);
    eq((await c.history(conv)).messageList?.length || 0, 0, 'messages in its history');
    eq((await row(u, conv)).minSeq, 6, 'the beginning of the window');
    const p = await position(u, conv);
    eq([p.maxSeq, p.hasReadSeq], [5, 5], 'newest and read seq');
  });
  await t.check('a fresh device shows nothing of before, and what comes after', async () => {
    const fresh = await t.login('N10', u);
    eq(texts(await fresh.wholeHistory(conv)), [], 'texts');
    const r = await peer.say('after', u);
    await fresh.message(r.clientMsgID);
    await fresh.conversationWhen(conv, x => x.unreadCount === 1, 'with 1 unread');
    eq(texts(await fresh.wholeHistory(conv)), ['after'], 'texts');
    await equal(fresh, 'after the clearing');
    await fresh.kill();
  });
  await t.check('a fresh J14 shows an emptied conversation, and one that nobody has written in', async () => {
    const nobody = await t.user('nobody'), set = { conversationID: si(u, nobody), conversationType: 1, userID: nobody, isPinned: true };
    await rest('/conversation/set_conversations', { userIDs: [u], conversation: set });
    await rest('/msg/clear_conversation_msg', { userID: u, conversationIDs: [conv] });
    const fresh = await t.login('J14', u);
    await equal(fresh, 'freshly installed');
    eq((await fresh.conversation(conv)).unreadCount, 0, 'unread');
    eq(texts(await fresh.wholeHistory(conv)), [], 'texts');
    await fresh.kill();
  });
  await t.check('N15 deletes the conversation; it comes back with the next message alone', async () => {
    await c.call('deleteConversationAndDeleteAllMsg', conv);
    const r = await peer.say('again', u);
    await c.message(r.clientMsgID);
    await c.conversationWhen(conv, x => x.unreadCount === 1, 'with 1 unread');
    eq(texts(await c.wholeHistory(conv)), ['again'], 'texts');
  });
  for (const x of [c, other]) await x.kill();
}

// Clients keep a conversation of their own that the server has deleted; what is installed later does not know it.
async function deletion(t, peer) {
  const u = await t.user('gone'), conv = si(u, peer.userID), c = await t.login('N15', u), r = await peer.say('kept', u);
  await c.message(r.clientMsgID);
  await t.check('a deleted conversation is in nobody\'s list any more', async () => {
    const now = await rest('/conversation/get_incremental_conversations', { userID: u, versionID: '', version: 0 });
    await rest('/conversation/delete_conversations', { ownerUserID: u, conversationIDs: [conv] });
    const next = await rest('/conversation/get_incremental_conversations', { userID: u, versionID: now.versionID, version: now.version });
    eq([next.full, next.delete], [false, [conv]], 'the change');
    eq(await rows(u), [], 'rows');
    for (const fresh of await Promise.all(['N10', 'W385', 'J14'].map(k => t.login(k, u)))) {
      eq(picture(await fresh.conversations()), [], `the list of ${fresh.kind}`);
      await fresh.kill();
    }
  });
  await c.kill();
}

export default async function (t) {
  const peer = await t.login('N15', await t.user('peer'));

  for (const [n, trio] of TRIOS.entries()) await settings(t, peer, trio, n);
  await clearing(t, peer);
  await deletion(t, peer);
  await mentions(t, peer);
  await peer.kill();
}
