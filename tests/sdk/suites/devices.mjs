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
const position = async (userID, id) =>
  (await rest('/msg/get_conversations_has_read_and_max_seq', { userID, conversationIDs: [id] })).seqs[id];
const texts = async (c, conv) => (await c.wholeHistory(conv)).filter(m => m.contentType === 101).map(m => m.textElem.content);

// What the device shows of everything is what the server shows, sooner or later.
const same = c => until(async () => {
  const theirs = await server(c.userID), d = differs(await client(c, theirs.conversations.map(x => x.conversationID)), theirs, 'all');
  if (d) throw new Error(d);
  return true;
}, `${c.name}: the server's picture`, WAIT);

// ---- one acts, all hear

// What one core will change: other users, and groups that exist before the devices log in.
async function things(t, me, k) {
  const u = {}, g = {};
  for (const n of ['asked', 'refused', 'accepted', 'friend', 'lost', 'black', 'owner']) u[n] = await t.user(n + k.toLowerCase());
  await rest('/friend/import_friend', { ownerUserID: me, friendUserIDs: [u.friend, u.lost] });
  await as(me, '/friend/add_black', { ownerUserID: me, blackUserID: u.black, ex: '' });
  for (const n of ['own', 'given', 'ended']) g[n] = await groupOf(me, [u.asked, u.friend]);
  g.left = await groupOf(u.owner, [me, u.friend]);
  for (const n of ['applied', 'closed']) g[n] = await groupOf(u.owner, [u.friend]);
  return { u, g };
}

// The actor goes on without waiting for the others: what each is told is looked at when all is done. So no two steps change the same thing.
async function turn(t, c, k, me, { u, g }) {
  const all = KINDS.map(x => c[x]), go = all.filter(x => x.kind !== 'J14'), actor = c[k];
  const look = { nickname: 'Me by ' + k, faceURL: 'f/' + k, ex: k };
  const from = new Map(all.map(x => [x, x.mark()])), check = (what, fn) => t.check(`${k} acts: ${what}`, fn);
  const hear = (event, want, list = all) => Promise.all(list.map(x =>
    x.event(event, typeof want === 'function' ? want : has(want), { from: from.get(x) })));

  await check('friends, a blacklist, a profile', async () => {
    await actor.call('addBlack', { toUserID: u.refused, ex: 'b' });
    await actor.call('addFriend', { toUserID: u.asked, reqMsg: 'we four', ex: k });
    await as(u.asked, '/friend/add_friend_response', { fromUserID: me, toUserID: u.asked, handleResult: 1, handleMsg: 'gladly' });
    for (const [who, does] of [['refused', 'refuse'], ['accepted', 'accept']]) {
      await as(u[who], '/friend/add_friend', { fromUserID: u[who], toUserID: me, reqMsg: who });
      await actor.call(does + 'FriendApplication', { toUserID: u[who], handleMsg: does });
    }
    await actor.call('updateFriends', { friendUserIDs: [u.friend], remark: 'by ' + k, ex: 'e', isPinned: true });
    await actor.call('deleteFriend', u.lost);
    await actor.call('setSelfInfo', look);
  });
  await check('its groups', async () => {
    g.made = await create(actor, 'by ' + k, [u.friend]);
    await actor.call('inviteUserToGroup', { groupID: g.own, reason: '', userIDList: [u.accepted] });
    await actor.call('setGroupInfo', { groupID: g.own, notification: 'news by ' + k });
    await actor.call('setGroupMemberInfo', { groupID: g.own, userID: me, nickname: 'I by ' + k });
    await actor.call('setGroupMemberInfo', { groupID: g.own, userID: u.asked, roleLevel: ADMIN });
    await actor.call('changeGroupMemberMute', { groupID: g.own, userID: u.friend, mutedSeconds: 600 });
    if (k !== 'W385') await actor.call('changeGroupMute', { groupID: g.own, isMute: true });
    else await as(me, '/group/mute_group', { groupID: g.own }); // it fails before it asks the server
    await actor.call('kickGroupMember', { groupID: g.given, reason: '', userIDList: [u.friend] });
    await actor.call('transferGroupOwner', { groupID: g.given, newOwnerUserID: u.asked });
    await actor.call('dismissGroup', g.ended);
    await actor.call('quitGroup', g.left);
    for (const [n, handleResult] of [['applied', 1], ['closed', -1]]) {
      await actor.call('joinGroup', { groupID: g[n], reqMsg: 'by ' + k, joinSource: 3 });
      await as(u.owner, '/group/group_application_response', { groupID: g[n], fromUserID: me, handledMsg: n, handleResult });
    }
  });
  await check('all hear of friends, blacklist and profile', async () => {
    await hear('OnFriendApplicationAdded', { fromUserID: me, toUserID: u.asked, reqMsg: 'we four', ex: k });
    await hear('OnFriendApplicationAccepted', { fromUserID: me, toUserID: u.asked, handleMsg: 'gladly' });
    for (const [who, does, event] of [['refused', 'refuse', 'Rejected'], ['accepted', 'accept', 'Accepted']]) {
      await hear('OnFriendApplicationAdded', { fromUserID: u[who], toUserID: me, reqMsg: who });
      await hear('OnFriendApplication' + event, { fromUserID: u[who], toUserID: me, handleMsg: does });
    }
    // J14 shows an acceptance only, but to who accepts
    await hear('OnFriendAdded', { userID: u.asked, addSource: 2 }, go);
    await hear('OnFriendAdded', { userID: u.accepted, addSource: 2 }, all.filter(x => x === actor || go.includes(x)));
    await hear('OnFriendInfoChanged', { userID: u.friend, remark: 'by ' + k, ex: 'e', isPinned: true });
    await hear('OnFriendDeleted', { userID: u.lost });
    await hear('OnBlackAdded', { userID: u.refused, ex: 'b' });
    await hear('OnSelfInfoUpdated', { userID: me, ...look });
    for (const x of all) ok(has(look)(await x.call('getSelfUserInfo')), `${x.name}: its own profile`);
    ok(has(look)((await rest('/user/get_users_info', { userIDs: [me] })).usersInfo[0]), 'the server\'s');
  });
  await check('all hear of groups', async () => {
    await hear('OnJoinedGroupAdded', { groupID: g.made, groupName: 'by ' + k, ownerUserID: me, memberCount: 2 });
    await hear('OnGroupMemberAdded', { groupID: g.own, userID: u.accepted, inviterUserID: me });
    await hear('OnGroupInfoChanged', { groupID: g.own, notification: 'news by ' + k });
    await hear('OnGroupMemberInfoChanged', { groupID: g.own, userID: me, nickname: 'I by ' + k });
    await hear('OnGroupMemberInfoChanged', { groupID: g.own, userID: u.asked, roleLevel: ADMIN });
    await hear('OnGroupMemberInfoChanged', d => has({ groupID: g.own, userID: u.friend })(d) && d.muteEndTime > Date.now());
    await hear('OnGroupInfoChanged', { groupID: g.own, status: 3 });
    await hear('OnGroupMemberDeleted', { groupID: g.given, userID: u.friend });
    await hear('OnGroupMemberInfoChanged', { groupID: g.given, userID: u.asked, roleLevel: OWNER });
    for (const n of ['ended', 'left']) await hear('OnJoinedGroupDeleted', { groupID: g[n] });
    for (const n of ['applied', 'closed']) await hear('OnGroupApplicationAdded', { groupID: g[n], userID: me, reqMsg: 'by ' + k });
    await hear('OnGroupApplicationAccepted', { groupID: g.applied, userID: me, handledMsg: 'applied' });
    await hear('OnGroupApplicationRejected', { groupID: g.closed, userID: me, handledMsg: 'closed' });
    // cores before patch 15 that still synchronise an earlier change of their groups ask for this one by its id, and find nothing new in it
    await hear('OnJoinedGroupAdded', { groupID: g.applied, ownerUserID: u.owner }, [c.N15, c.J14]);
    for (const x of all) await x.conversationWhen(sg(g.own), v => v.groupAtType === 4, 'with the announcement');
  });
  await check('one less in the blacklist; all four have what the server has', async () => {
    await actor.call('removeBlack', u.black);
    await hear('OnBlackDeleted', { userID: u.black });
    await Promise.all(all.map(same));
  });
  await check('reads and empties the chat, which comes back with the next message alone', async () => {
    const conv = si(me, u.friend);
    const says = async content => actor.message((await write(u.friend, me, content)).clientMsgID);
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
    const last = await says('three for ' + k);
    for (const x of all) await x.message(last.clientMsgID);
    eq(await texts(actor, conv), ['three for ' + k], 'texts');
    if (k !== 'J14') await actor.conversationWhen(conv, v => v.unreadCount === 1, 'with 1 unread');
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
  const me = await t.user('me'), c = {}, device = {}, all = {};
  await Promise.all(KINDS.map(async k => { all[k] = await things(t, me, k); }));
  for (const k of KINDS) device[k] = await t.device(k);
  await Promise.all(KINDS.map(async k => { c[k] = await t.login(k, me, { device: device[k] }); }));
  await t.check('all four begin with what the server has', () => Promise.all(KINDS.map(k => same(c[k]))));
  for (const k of KINDS) await turn(t, c, k, me, all[k]);

  await t.check('a clearing for all devices empties those that are there', async () => {
    const conv = si(me, all.N15.u.friend);
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
