// Friends between every two neighbours of a ring of families: application, refusal, acceptance, remark, pin, blacklist, names and faces,
// deletion, with the data that each side's callbacks carry; then the same while the other side is away. Afterwards a client's own picture
// of its friends, blacks and requests equals the server's, member by member. What a user's other devices see is in devices.mjs.
import { bare, eq, ok, refused, until } from '../lib/assert.mjs';
import { rest, userToken } from '../lib/rest.mjs';
import { si } from '../lib/messages.mjs';
import { WAIT } from '../lib/env.mjs';

const PAIRS = [['N15', 'N10'], ['N10', 'W385'], ['W385', 'J14'], ['J14', 'N15'], ['N15', 'W385']];
const KINDS = ['N15', 'N10', 'W385', 'J14'];
const PAGE = { pageNumber: 1, showNumber: 500 };

const FRIEND = ['ownerUserID', 'userID', 'nickname', 'faceURL', 'remark', 'createTime', 'addSource', 'operatorUserID', 'ex', 'isPinned'];
const BLACK = ['ownerUserID', 'userID', 'nickname', 'faceURL', 'createTime', 'addSource', 'operatorUserID', 'ex'];
const REQUEST = ['fromUserID', 'fromNickname', 'fromFaceURL', 'toUserID', 'toNickname', 'toFaceURL', 'handleResult', 'reqMsg', 'createTime',
  'handlerUserID', 'handleMsg', 'handleTime', 'ex'];

// what families write as false, null or not at all is one
const pick = (v, names) => bare(Object.fromEntries(names.map(n => [n, v[n]]))) ?? {};
const list = (l, names) => (l || []).map(v => pick(v, names));
const flat = v => ({ ...v, ...(v.friendUser || v.blackUserInfo), createTime: v.createTime, ex: v.ex });
const byUser = l => [...l].sort((x, y) => (x.userID < y.userID ? -1 : 1));
const has = want => d => Object.entries(want).every(([k, v]) => (d?.[k] ?? '') === v);

// friends in the order of the server's list; requests newest first
async function server(userID) {
  return {
    friends: list((await rest('/friend/get_friend_list', { userID, pagination: PAGE })).friendsInfo?.map(flat), FRIEND),
    blacks: list((await rest('/friend/get_black_list', { userID, pagination: PAGE })).blacks?.map(flat), BLACK),
    received: list((await rest('/friend/get_friend_apply_list', { userID, pagination: PAGE, handleResults: [] })).FriendRequests, REQUEST),
    sent: list((await rest('/friend/get_self_friend_apply_list', { userID, pagination: PAGE, handleResults: [] })).friendRequests, REQUEST),
  };
}

async function client(c) {
  const friends = list((await c.friends())?.map(flat), FRIEND);
  // a page may come from the server; the whole list is the local database's
  if (c.kind !== 'J14') eq(byUser(list(await c.call('getFriendList', false), FRIEND)), byUser(friends), `${c.name}: its local friends, against its pages,`);
  return {
    friends, blacks: list((await c.blacks())?.map(flat), BLACK),
    received: list(await c.applications('Recipient'), REQUEST), sent: list(await c.applications('Applicant'), REQUEST),
  };
}

async function same(c, userID) {
  for (const part of ['friends', 'blacks', 'received', 'sent']) {
    await until(async () => {
      const [mine, theirs] = await Promise.all([client(c), server(userID)]);
      // a local database has its own order of friends
      eq(part === 'friends' ? byUser(mine[part]) : mine[part], part === 'friends' ? byUser(theirs[part]) : theirs[part], part);
      return true;
    }, `${c.name}: its ${part} as the server has them`, WAIT);
  }
}

// The notice 1201 as a message of the chat.
const welcome = (c, conv) => until(async () => (await c.history(conv)).messageList?.find(m => m.contentType === 1201), `${c.name}: the acceptance in the chat`, WAIT);

async function pair(t, c, id, a, z) {
  const A = c[a], Z = c[z], from = id[a], to = id[z], name = `${a} and ${z}`;
  const request = more => has({ fromUserID: from, toUserID: to, fromNickname: a, toNickname: z, ...more });
  const friend = (owner, user, more) => has({ ownerUserID: owner, userID: user, ...more });

  await t.check(`${name}: an application reaches both sides`, async () => {
    const [ma, mz] = [A.mark(), Z.mark()];
    await A.call('addFriend', { toUserID: to, reqMsg: 'hello', ex: 'x' });
    const fits = request({ reqMsg: 'hello', handleResult: 0, handleMsg: '', ex: 'x' });
    await Z.event('OnFriendApplicationAdded', fits, { from: mz });
    await A.event('OnFriendApplicationAdded', fits, { from: ma });
    const last = (await Z.applications('Recipient')).find(r => r.fromUserID === from);
    eq([last.reqMsg, last.handleResult], ['hello', 0], 'in the list');
  });
  await t.check(`${name}: a refusal reaches both sides, and is final`, async () => {
    const [ma, mz] = [A.mark(), Z.mark()];
    await Z.call('refuseFriendApplication', { toUserID: from, handleMsg: 'no' });
    const fits = request({ reqMsg: 'hello', handleResult: -1, handleMsg: 'no', handlerUserID: to });
    await A.event('OnFriendApplicationRejected', fits, { from: ma });
    await Z.event('OnFriendApplicationRejected', fits, { from: mz });
    let code;
    await Z.call('refuseFriendApplication', { toUserID: from, handleMsg: 'no' }).catch(e => { code = e.errCode; });
    ok([1305, 10006].includes(code), `a second refusal gave ${code}`);
    ok(!(await A.friends())?.some(f => f.userID === to), 'friends after a refusal');
  });
  await t.check(`${name}: asking again, and acceptance: both have a friend and a chat`, async () => {
    const [ma, mz] = [A.mark(), Z.mark()];
    await A.call('addFriend', { toUserID: to, reqMsg: 'please', ex: 'y' });
    await Z.event('OnFriendApplicationAdded', request({ reqMsg: 'please', handleResult: 0, ex: 'y' }), { from: mz });
    await Z.call('acceptFriendApplication', { toUserID: from, handleMsg: 'welcome' });
    await A.event('OnFriendApplicationAccepted', request({ handleResult: 1, handleMsg: 'welcome', handlerUserID: to }), { from: ma });
    await Z.event('OnFriendAdded', friend(to, from, { nickname: a, addSource: 2, operatorUserID: from, remark: '' }), { from: mz });
    // J14 shows its applicant the acceptance only (sdk-clients 11.6)
    if (a !== 'J14') await A.event('OnFriendAdded', friend(from, to, { nickname: z, addSource: 2, operatorUserID: from }), { from: ma });
    await until(async () => (await A.friends())?.some(f => f.userID === to), `${A.name}: the friend in its list`, WAIT);
    const [x, y] = await Promise.all([welcome(A, si(from, to)), welcome(Z, si(from, to))]);
    eq([x.sendID, x.recvID, x.clientMsgID], [to, from, y.clientMsgID], 'the notice');
    eq(JSON.parse(x.notificationElem.detail).request.handleMsg, 'welcome', 'its request');
  });
  await t.check(`${name}: remark, ex and pin show at the one who made them`, async () => {
    const ma = A.mark();
    await A.call('updateFriends', { friendUserIDs: [to], remark: `my ${z}`, ex: 'e' });
    await A.event('OnFriendInfoChanged', friend(from, to, { remark: `my ${z}`, ex: 'e', isPinned: false }), { from: ma });
    await A.call('updateFriends', { friendUserIDs: [to], isPinned: true });
    await A.event('OnFriendInfoChanged', friend(from, to, { remark: `my ${z}`, ex: 'e', isPinned: true }), { from: ma });
    await A.conversationWhen(si(from, to), x => x.showName === `my ${z}`, `named my ${z}`);
    eq((await Z.friends()).find(f => f.userID === from).remark, '', 'remark at the other side');
    // W385 is told, and keeps the old values in its database: it does not write empty ones
    if (a === 'W385') return;
    await A.call('updateFriends', { friendUserIDs: [to], remark: '', ex: '', isPinned: false });
    await A.event('OnFriendInfoChanged', friend(from, to, { remark: '', ex: '', isPinned: false }), { from: ma });
    await A.conversationWhen(si(from, to), x => x.showName === z, `named ${z}`);
  });
  await t.check(`${name}: who is blocked cannot write, and is told nothing else`, async () => {
    const ma = A.mark();
    await A.call('addBlack', { toUserID: to, ex: 'b' });
    await A.event('OnBlackAdded', friend(from, to, { nickname: z, operatorUserID: from, ex: 'b' }), { from: ma });
    await refused(Z.say('are you there', from), 1302, 'writing to who blocked us');
    await A.say('I am', to);
    ok((await Z.friends()).some(f => f.userID === from), 'the friendship ended');
    await A.call('removeBlack', to);
    await A.event('OnBlackDeleted', has({ userID: to }), { from: ma });
    const r = await Z.say('and now', from);
    await A.message(r.clientMsgID);
  });
  await t.check(`${name}: refusals of the server`, async () => {
    await refused(A.call('addFriend', { toUserID: to, reqMsg: '' }), 1304, 'asking a friend');
    await refused(A.call('addFriend', { toUserID: from, reqMsg: '' }), 1301, 'asking oneself');
    await refused(A.call('addFriend', { toUserID: from + 'none', reqMsg: '' }), 1004, 'asking nobody');
  });
  await t.check(`${name}: both sides have what the server has`, async () => { await same(A, from); await same(Z, to); });
}

// A new name and face: at the user, at its friends, in their chats, on what the user says then.
async function profiles(t, c, id) {
  for (const [n, k] of KINDS.entries()) {
    const friends = PAIRS.filter(p => p.includes(k)).map(p => (p[0] === k ? p[1] : p[0]));
    await t.check(`${k} has a new name and face: ${friends.join(', ')} see it`, async () => {
      const look = { nickname: `New ${k}`, faceURL: `http://face.test/${k}` }, at = {}, from = {};
      for (const x of KINDS) from[x] = c[x].mark();
      for (const f of friends) at[f] = (await c[f].friends()).find(x => x.userID === id[k]);
      await c[k].call('setSelfInfo', { ...look, ex: 'self' });
      await c[k].event('OnSelfInfoUpdated', has({ userID: id[k], ...look, ex: 'self' }), { from: from[k] });
      const me = await c[k].call('getSelfUserInfo'), [row] = (await rest('/user/get_users_info', { userIDs: [id[k]] })).usersInfo;
      for (const x of [me, row]) eq([x.nickname, x.faceURL, x.ex], [look.nickname, look.faceURL, 'self'], 'its profile');
      for (const f of friends) {
        await c[f].event('OnFriendInfoChanged', has({ userID: id[k], ...look, remark: at[f].remark }), { from: from[f] });
        await c[f].conversationWhen(si(id[f], id[k]), x => x.showName === (at[f].remark || look.nickname) && x.faceURL === look.faceURL,
          `with the name and face of ${k}`);
        await same(c[f], id[f]);
      }
      const r = await c[k].say('new', id[friends[n % 2]]), m = await c[friends[n % 2]].message(r.clientMsgID);
      eq([m.senderNickname, m.senderFaceUrl], [look.nickname, look.faceURL], 'the sender of a message');
    });
  }
}

async function parting(t, c, id, a, z) {
  await t.check(`${a} leaves ${z}: its own list only`, async () => {
    const ma = c[a].mark();
    await c[a].call('deleteFriend', id[z]);
    await c[a].event('OnFriendDeleted', has({ userID: id[z] }), { from: ma });
    await same(c[a], id[a]);
    ok((await c[z].friends()).some(f => f.userID === id[a]), 'the other side lost its friend, too');
    await same(c[z], id[z]);
  });
}

// Everything that can happen to the lists of somebody who is away: by friends, and by another device of their own.
async function away(t, z) {
  const me = await t.user('z' + z.toLowerCase()), u = {};
  for (const n of ['stays', 'goes', 'leaves', 'asked', 'refuses', 'asks', 'bad', 'good']) u[n] = await t.user(n + z.toLowerCase());
  const device = await t.device(z);
  let Z = await t.login(z, me, { device });
  // a platform that no client of the suite uses
  const token = await userToken(me, 8), own = (path, body) => rest(path, { ownerUserID: me, ...body }, { token });
  const as = async (who, path, body) => rest(path, body, { token: await userToken(who, 8) });

  await t.check(`${z}: friends, a request and a blacklist before it goes`, async () => {
    await rest('/friend/import_friend', { ownerUserID: me, friendUserIDs: [u.stays, u.goes, u.leaves] });
    await Z.call('addFriend', { toUserID: u.asked, reqMsg: 'me' });
    await Z.call('addFriend', { toUserID: u.refuses, reqMsg: 'me' });
    await Z.call('addBlack', { toUserID: u.bad, ex: '' });
    await until(async () => (await Z.friends())?.length === 3, `${Z.name}: three friends`, WAIT);
    await same(Z, me);
  });
  await Z.kill();
  await t.check(`${z} is away while its lists change`, async () => {
    await as(u.asked, '/friend/add_friend_response', { fromUserID: me, toUserID: u.asked, handleResult: 1, handleMsg: 'late' });
    await as(u.refuses, '/friend/add_friend_response', { fromUserID: me, toUserID: u.refuses, handleResult: -1, handleMsg: 'never' });
    await as(u.leaves, '/friend/delete_friend', { ownerUserID: u.leaves, friendUserID: me });
    await as(u.leaves, '/friend/add_black', { ownerUserID: u.leaves, blackUserID: me, ex: '' });
    await as(u.asks, '/friend/add_friend', { fromUserID: u.asks, toUserID: me, reqMsg: 'are you there' });
    await as(u.goes, '/friend/delete_friend', { ownerUserID: u.goes, friendUserID: me });
    await own('/friend/delete_friend', { friendUserID: u.goes });
    await own('/friend/update_friends', { friendUserIDs: [u.stays], remark: 'still', ex: 'e', isPinned: true });
    await own('/friend/remove_black', { blackUserID: u.bad });
    await own('/friend/add_black', { blackUserID: u.good, ex: 'not so good' });
    await as(u.stays, '/user/update_user_info_ex', { userInfo: { userID: u.stays, nickname: 'Renamed', faceURL: 'http://face.test/new' } });
  });
  Z = await t.login(z, me, { device });
  await t.check(`${z} has it all when it comes back`, async () => {
    await same(Z, me);
    eq((await Z.friends()).map(f => [f.userID, f.remark, f.nickname, f.faceURL]).sort(), [
      [u.stays, 'still', 'Renamed', 'http://face.test/new'], [u.leaves, '', 'Leaves' + z.toLowerCase(), ''],
      [u.asked, '', 'Asked' + z.toLowerCase(), ''],
    ].sort(), 'friends');
    const answer = (await Z.applications('Applicant')).find(r => r.toUserID === u.refuses);
    eq([answer.handleResult, answer.handleMsg], [-1, 'never'], 'what it asked for');
    if (z !== 'J14') {                                    // keeps nothing: to it, all is new
      await Z.event('OnFriendAdded', has({ userID: u.asked }));
      await Z.event('OnFriendDeleted', has({ userID: u.goes }));
      await Z.event('OnFriendInfoChanged', has({ userID: u.stays, remark: 'still', isPinned: true, nickname: 'Renamed' }));
      await Z.event('OnBlackAdded', has({ userID: u.good }));
      await Z.event('OnBlackDeleted', has({ userID: u.bad }));
    }
    const m = await welcome(Z, si(me, u.asked));
    eq(m.sendID, u.asked, 'who accepted');
    await Z.conversationWhen(si(me, u.asked), x => x.unreadCount === 1, 'with the acceptance unread');
    await refused(Z.say('where are you', u.leaves), 1302, 'writing to who blocked it meanwhile');
    const key = encodeURIComponent(Buffer.from(JSON.stringify({ sendID: me, recvID: u.good })).toString('base64'));
    await refused(as(u.good, '/msg/send_simple_msg?key=' + key, { content: 'x' }), 1302, 'what somebody writes whom it blocked');
  });
  await t.check(`${z} answers who asked meanwhile`, async () => {
    const mark = Z.mark();
    await Z.call('acceptFriendApplication', { toUserID: u.asks, handleMsg: '' });
    await Z.event('OnFriendAdded', has({ userID: u.asks }), { from: mark });
    await same(Z, me);
  });
  await Z.kill();
  Z = await t.login(z, me);
  await t.check(`a fresh ${z} has it all`, async () => { await same(Z, me); });
  await Z.kill();
}

export default async function (t) {
  const id = {}, c = {};
  for (const k of KINDS) id[k] = await t.user(k.toLowerCase());
  await Promise.all(KINDS.map(async k => { c[k] = await t.login(k, id[k]); }));
  for (const [a, z] of PAIRS) await pair(t, c, id, a, z);
  await profiles(t, c, id);
  for (const [a, z] of PAIRS) await parting(t, c, id, a, z);
  for (const z of KINDS) await away(t, z);
}
