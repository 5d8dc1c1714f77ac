// One user on all four cores at once. Each core in turn changes what the user has: friends, blacks, groups, profile, conversations; the
// others hear of it, and every device's own picture equals the server's, member by member. Then the same while the others are away: their
// next login brings them there.
import { differs, eq, ok, until } from '../lib/assert.mjs';
import { si, sg } from '../lib/messages.mjs';
import { client, server } from '../lib/picture.mjs';
import { rest, userToken } from '../lib/rest.mjs';
import { WAIT } from '../lib/env.mjs';

const KINDS = ['N15', 'N10', 'W385', 'J14'];
const MEMBER = 20, ADMIN = 60, OWNER = 100;

const has = want => d => d && Object.entries(want).every(([k, v]) => (d[k] ?? '') === v);
const as = async (user, path, body) => rest(path, body, { token: await userToken(user, 8) });
const write = (from, to, content) => rest('/msg/send_msg', {
  sendID: from, recvID: to, sessionType: 1, contentType: 101, content: { content }, senderPlatformID: 8,
});
const create = async (c, groupName, members, admins = []) => (await c.call('createGroup', {
  memberUserIDs: members, adminUserIDs: admins, ownerUserID: c.userID, groupInfo: { groupType: 2, groupName },
})).groupID;
const groupOf = async (owner, members, more = {}) => (await as(owner, '/group/create_group', {
  ownerUserID: owner, memberUserIDs: members, adminUserIDs: [], groupInfo: { groupName: 'theirs', groupType: 2, ...more },
})).groupInfo.groupID;
const row = async (u, id) => (await rest('/conversation/get_conversation', { ownerUserID: u, conversationID: id })).conversation;
const position = async (userID, id) => (await rest('/msg/get_conversations_has_read_and_max_seq', { userID, conversationIDs: [id] })).seqs[id];
const texts = async (c, conv) => (await c.wholeHistory(conv)).filter(m => m.contentType === 101).map(m => m.textElem.content);

// What the device shows of everything is what the server shows, sooner or later.
const same = c => until(async () => {
  const theirs = await server(c.userID), d = differs(await client(c, theirs.conversations.map(x => x.conversationID)), theirs, 'all');
  if (d) throw new Error(d);
  return true;
}, `${c.name}: the server's picture`, WAIT);

// ---- one acts, all hear

async function turn(t, c, k, me, o, p) {
  const all = KINDS.map(x => c[x]), go = all.filter(x => x.kind !== 'J14'), actor = c[k];
  let from = new Map(all.map(x => [x, x.mark()])), g;
  const check = (what, fn) => t.check(`${k} acts: ${what}`, async () => { from = new Map(all.map(x => [x, x.mark()])); await fn(); });
  const hear = (event, fits, list = all) => Promise.all(list.map(x => x.event(event, fits, { from: from.get(x) })));
  const inGroup = want => has({ groupID: g, ...want });

  await check('asks for a friend, who accepts', async () => {
    await actor.call('addFriend', { toUserID: o, reqMsg: 'we four', ex: k });
    await hear('OnFriendApplicationAdded', has({ fromUserID: me, toUserID: o, reqMsg: 'we four', ex: k }));
    await as(o, '/friend/add_friend_response', { fromUserID: me, toUserID: o, handleResult: 1, handleMsg: 'gladly' });
    await hear('OnFriendApplicationAccepted', has({ toUserID: o, handleMsg: 'gladly' }));
    await hear('OnFriendAdded', has({ userID: o, addSource: 2 }), go); // J14 shows its applicant the acceptance only
  });
  await check('a remark and a pin', async () => {
    await actor.call('updateFriends', { friendUserIDs: [o], remark: 'by ' + k, ex: 'e', isPinned: true });
    await hear('OnFriendInfoChanged', has({ userID: o, remark: 'by ' + k, ex: 'e', isPinned: true }));
  });
  await check('the blacklist', async () => {
    await actor.call('addBlack', { toUserID: o, ex: 'b' });
    await hear('OnBlackAdded', has({ userID: o, ex: 'b' }));
    await actor.call('removeBlack', o);
    await hear('OnBlackDeleted', has({ userID: o }));
  });
  await check('its profile', async () => {
    const look = { nickname: 'Me by ' + k, faceURL: 'http://face.test/me/' + k, ex: k };
    await actor.call('setSelfInfo', look);
    await hear('OnSelfInfoUpdated', has({ userID: me, ...look }));
    for (const x of all) ok(has(look)(await x.call('getSelfUserInfo')), `${x.name}: its own profile`);
    ok(has(look)((await rest('/user/get_users_info', { userIDs: [me] })).usersInfo[0]), 'the server\'s');
  });
  await check('a group, its announcement, a name, a role, a mute', async () => {
    g = await create(actor, 'by ' + k, [o, p]);
    await hear('OnJoinedGroupAdded', inGroup({ groupName: 'by ' + k, ownerUserID: me, memberCount: 3 }));
    // who takes all members of a new group while it changes keeps its row from before
    for (const x of all) await until(async () => (await x.members(g))?.length === 3, `${x.name}: the members`, WAIT);
    await actor.call('setGroupInfo', { groupID: g, notification: 'news by ' + k });
    await hear('OnGroupInfoChanged', inGroup({ notification: 'news by ' + k }));
    for (const x of all) await x.conversationWhen(sg(g), v => v.groupAtType === 4, 'with the announcement');
    await actor.call('setGroupMemberInfo', { groupID: g, userID: me, nickname: 'I by ' + k });
    await hear('OnGroupMemberInfoChanged', inGroup({ userID: me, nickname: 'I by ' + k }));
    await actor.call('setGroupMemberInfo', { groupID: g, userID: o, roleLevel: ADMIN });
    await hear('OnGroupMemberInfoChanged', inGroup({ userID: o, roleLevel: ADMIN }));
    await actor.call('changeGroupMemberMute', { groupID: g, userID: p, mutedSeconds: 600 });
    await hear('OnGroupMemberInfoChanged', d => inGroup({ userID: p })(d) && d.muteEndTime > Date.now());
  });
  await check('hands the group over and leaves it', async () => {
    await actor.call('kickGroupMember', { groupID: g, reason: '', userIDList: [p] });
    await hear('OnGroupMemberDeleted', inGroup({ userID: p }));
    await actor.call('transferGroupOwner', { groupID: g, newOwnerUserID: o });
    await hear('OnGroupMemberInfoChanged', inGroup({ userID: o, roleLevel: OWNER }));
    await actor.call('quitGroup', g);
    await hear('OnJoinedGroupDeleted', inGroup());
  });
  await check('applies for another group, and is let in', async () => {
    g = await groupOf(p, [o]);
    await actor.call('joinGroup', { groupID: g, reqMsg: 'by ' + k, joinSource: 3 });
    await hear('OnGroupApplicationAdded', inGroup({ userID: me, reqMsg: 'by ' + k }));
    await as(p, '/group/group_application_response', { groupID: g, fromUserID: me, handledMsg: 'come', handleResult: 1 });
    await hear('OnGroupApplicationAccepted', inGroup({ userID: me, handledMsg: 'come' }));
    await hear('OnJoinedGroupAdded', inGroup({ ownerUserID: p, memberCount: 3 }));
    await as(p, '/group/dismiss_group', { groupID: g });
    await hear('OnJoinedGroupDeleted', inGroup());
  });
  await check('all four have what the server has', () => Promise.all(all.map(same)));
  await check('reads and empties the chat, which comes back with the next message alone', async () => {
    const conv = si(me, o);
    const says = async content => { const r = await write(o, me, content); await Promise.all(all.map(x => x.message(r.clientMsgID))); };
    const emptied = async () => {
      const now = await position(me, conv);
      eq([(await row(me, conv)).minSeq, now.hasReadSeq], [now.maxSeq + 1, now.maxSeq], 'the beginning of the window, and what is read');
      eq(await texts(actor, conv), [], 'texts');
    };
    await says('one for ' + k);
    await actor.call('markConversationMessageAsRead', conv);
    // J14 keeps its count when another device reads
    for (const x of new Set([...go, actor])) await x.conversationWhen(conv, v => v.unreadCount === 0, 'with nothing unread');
    if (k !== 'J14') {                                    // has no such call
      await actor.call('clearConversationAndDeleteAllMsg', conv);
      await emptied();
      await says('two for ' + k);
      await actor.conversationWhen(conv, v => v.unreadCount === 1, 'with 1 unread');
      eq(await texts(actor, conv), ['two for ' + k], 'texts');
    }
    await actor.call('deleteConversationAndDeleteAllMsg', conv);
    await emptied();
    await says('three for ' + k);
    eq(await texts(actor, conv), ['three for ' + k], 'texts');
    if (k !== 'J14') await actor.conversationWhen(conv, v => v.unreadCount === 1, 'with 1 unread');
  });
  await check('a friend less', async () => {
    await actor.call('deleteFriend', o);
    await hear('OnFriendDeleted', has({ userID: o }));
    await as(o, '/friend/delete_friend', { ownerUserID: o, friendUserID: me });
    await Promise.all(all.map(same));
  });
}

// ---- one acts, the others are away

async function meanwhile(t, actor, back, me, u, n) {
  const g = {}, k = actor.kind, who = back.map(x => x.kind).join(', ');
  const check = (what, fn) => t.check(`${k} acts while ${who} ${back.length > 1 ? 'are' : 'is'} away: ${what}`, fn);
  let again;

  await check('before', async () => {
    await rest('/friend/import_friend', { ownerUserID: me, friendUserIDs: [u.old, u.kept] });
    for (const name of ['left', 'quiet']) g[name] = await groupOf(u.old, [me, u.kept]);
    for (const name of ['ended', 'given']) g[name] = await create(actor, name, [u.old]);
    await actor.call('addBlack', { toUserID: u.bad, ex: '' });
    for (const from of [u.old, u.kept]) await write(from, me, 'before');
    await Promise.all([actor, ...back].map(same));
    await Promise.all(back.map(x => x.kill()));
  });
  await check('what it does', async () => {
    await actor.call('addFriend', { toUserID: u.fresh, reqMsg: 'alone' });
    await as(u.fresh, '/friend/add_friend_response', { fromUserID: me, toUserID: u.fresh, handleResult: 1, handleMsg: 'yes' });
    await as(u.asks, '/friend/add_friend', { fromUserID: u.asks, toUserID: me, reqMsg: 'hello' });
    await actor.call('acceptFriendApplication', { toUserID: u.asks, handleMsg: 'yes' });
    await actor.call('deleteFriend', u.old);
    await actor.call('updateFriends', { friendUserIDs: [u.kept], remark: 'alone', ex: 'x', isPinned: true });
    await actor.call('removeBlack', u.bad);
    await actor.call('addBlack', { toUserID: u.good, ex: 'alone' });
    g.made = await create(actor, 'made', [u.old], [u.kept]);
    g.joined = await groupOf(u.old, [u.kept], { needVerification: 2 });
    await actor.call('joinGroup', { groupID: g.joined, reqMsg: '', joinSource: 3 });
    await actor.call('quitGroup', g.left);
    await actor.call('dismissGroup', g.ended);
    await actor.call('setGroupInfo', { groupID: g.given, groupName: 'given away', notification: 'read' });
    await actor.call('setGroupMemberInfo', { groupID: g.given, userID: me, nickname: 'Giver', faceURL: 'http://face.test/giver', ex: 'g' });
    await actor.call('changeGroupMemberMute', { groupID: g.given, userID: u.old, mutedSeconds: 600 });
    await actor.call('transferGroupOwner', { groupID: g.given, newOwnerUserID: u.old });
    await actor.call('setConversation', { conversationID: sg(g.quiet), recvMsgOpt: 2 });
    await actor.call('setConversation', { conversationID: si(me, u.kept), isPinned: true });
    await actor.call('setConversation', { conversationID: si(me, u.kept), isPrivateChat: true });
    await actor.call('setConversation', { conversationID: si(me, u.kept), burnDuration: 60 });
    await actor.call('markConversationMessageAsRead', si(me, u.kept));
    await actor.call('deleteConversationAndDeleteAllMsg', si(me, u.old));
    await write(u.old, me, 'after');
    await actor.call('setSelfInfo', { nickname: 'Alone ' + n, faceURL: 'http://face.test/alone/' + n, ex: 'alone' });
    await same(actor);
  });
  await check('they come back to it', async () => {
    again = await Promise.all(back.map(x => t.login(x.kind, me, { device: x.device })));
    await Promise.all(again.map(same));
    for (const x of again) {
      const self = await x.call('getSelfUserInfo');
      eq([self.nickname, self.faceURL, self.ex], ['Alone ' + n, 'http://face.test/alone/' + n, 'alone'], `${x.name}: its own profile`);
      await x.conversationWhen(si(me, u.kept), v => !v.unreadCount && v.isPinned && v.isPrivateChat && v.burnDuration === 60, 'pinned');
      await x.conversationWhen(si(me, u.old), v => v.unreadCount === 1, 'with 1 unread');
      await x.conversationWhen(sg(g.quiet), v => v.recvMsgOpt === 2, 'quiet');
      await x.conversationWhen(sg(g.given), v => v.groupAtType === 4, 'with the announcement');
      eq((await x.members(g.given)).find(m => m.userID === me).roleLevel, MEMBER, `${x.name}: its role in the group that was given away`);
    }
  });
  await check('they are told', async () => {
    for (const x of again.filter(y => y.kind !== 'J14')) {  // keeps nothing: to it, all is new
      for (const f of [u.fresh, u.asks]) await x.event('OnFriendAdded', has({ userID: f }));
      await x.event('OnFriendDeleted', has({ userID: u.old }));
      await x.event('OnFriendInfoChanged', has({ userID: u.kept, remark: 'alone', isPinned: true }));
      await x.event('OnBlackAdded', has({ userID: u.good, ex: 'alone' }));
      await x.event('OnBlackDeleted', has({ userID: u.bad }));
      for (const name of ['left', 'ended']) await x.event('OnJoinedGroupDeleted', has({ groupID: g[name] }));
      await x.event('OnGroupInfoChanged', has({ groupID: g.given, groupName: 'given away', notification: 'read' }));
      await x.event('OnGroupMemberInfoChanged', has({ groupID: g.given, userID: me, nickname: 'Giver', ex: 'g' }));
      await x.event('OnSelfInfoUpdated', has({ userID: me, nickname: 'Alone ' + n }));
    }
  });
  return again ?? back;
}

export default async function (t) {
  const me = await t.user('me'), c = {}, device = {};
  for (const k of KINDS) device[k] = await t.device(k);
  await Promise.all(KINDS.map(async k => { c[k] = await t.login(k, me, { device: device[k] }); }));
  const peers = {};
  for (const k of KINDS) {
    peers[k] = await t.user('o' + k.toLowerCase());
    await turn(t, c, k, me, peers[k], await t.user('p' + k.toLowerCase()));
  }
  await t.check('a clearing for all devices empties those that are there', async () => {
    const conv = si(me, peers.N15);
    await rest('/msg/clear_conversation_msg', { userID: me, conversationIDs: [conv], deleteSyncOpt: { IsSyncSelf: true } });
    for (const k of KINDS.slice(0, 3)) {                  // J14 keeps its cache until its next login
      await c[k].conversationWhen(conv, v => v.unreadCount === 0, 'with nothing unread');
      await until(async () => (await texts(c[k], conv)).length === 0, `${k} without messages`, WAIT);
    }
  });

  const NAMES = ['old', 'kept', 'fresh', 'asks', 'bad', 'good'];
  const users = async n => Object.fromEntries(await Promise.all(NAMES.map(async x => [x, await t.user(x + n)])));
  [c.N15, c.N10, c.W385] = await meanwhile(t, c.J14, [c.N15, c.N10, c.W385], me, await users(1), 1);
  await meanwhile(t, c.N15, [c.J14], me, await users(2), 2);
}
