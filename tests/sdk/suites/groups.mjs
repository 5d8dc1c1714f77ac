// Groups, between every pair of cores: each change by one client, what the others are told of it, and that afterwards the groups and members in
// every client's own database equal the server's, member by member. Then the same changes while somebody is away. Then the versions in the
// notices, which clients take for the next step of what they have.
import { eq, ok, refused, until } from '../lib/assert.mjs';
import { difference, groupsAtClient, groupsAtServer, membersAtClient, membersAtServer } from '../lib/picture.mjs';
import { rest, userToken } from '../lib/rest.mjs';
import { watch } from '../lib/proxy.mjs';
import { tap } from '../lib/tap.mjs';
import { api, run, WAIT } from '../lib/env.mjs';

const KINDS = ['N15', 'N10', 'W385', 'J14'];
const MEMBER = 20, ADMIN = 60, OWNER = 100;
const PAGE = { pageNumber: 1, showNumber: 500 };

const sg = g => 'sg_' + g;
const memberAt = async (groupID, userID) => (await rest('/group/get_group_members_info', { groupID, userIDs: [userID] })).members?.[0];

// ---- what clients do

const create = async (c, name, members = [], admins = [], more = {}) => (await c.call('createGroup', {
  memberUserIDs: members, adminUserIDs: admins, ownerUserID: c.userID, groupInfo: { groupType: 2, groupName: name, ...more },
})).groupID;
const invite = (c, groupID, ...users) => c.call('inviteUserToGroup', { groupID, reason: 'come', userIDList: users });
const join = (c, groupID) => c.call('joinGroup', { groupID, reqMsg: 'let me in', joinSource: 3 });
const accept = (c, groupID, fromUserID) => c.call('acceptGroupApplication', { groupID, fromUserID, handleMsg: 'yes' });
const refuse = (c, groupID, fromUserID) => c.call('refuseGroupApplication', { groupID, fromUserID, handleMsg: 'no' });
const kick = (c, groupID, ...users) => c.call('kickGroupMember', { groupID, reason: 'out', userIDList: users });
const quit = (c, groupID) => c.call('quitGroup', groupID);
const transfer = (c, groupID, newOwnerUserID) => c.call('transferGroupOwner', { groupID, newOwnerUserID });
const dismiss = (c, groupID) => c.call('dismissGroup', groupID);
const setGroup = (c, groupID, more) => c.call('setGroupInfo', { groupID, ...more });
const setMember = (c, groupID, userID, more) => c.call('setGroupMemberInfo', { groupID, userID, ...more });
const muteMember = (c, groupID, userID, mutedSeconds) => c.call('changeGroupMemberMute', { groupID, userID, mutedSeconds });
// W385 gives its own core an argument too many and fails before it asks the server.
const muteGroup = (c, groupID, isMute) => c.kind === 'W385'
  ? rest(`/group/${isMute ? '' : 'cancel_'}mute_group`, { groupID }, { token: c.token })
  : c.call('changeGroupMute', { groupID, isMute });

// ---- what is expected of them

// Every client shows of these groups what the server shows of them.
async function same(clients, ...groups) {
  await Promise.all(clients.map(async c => {
    await until(async () => {
      const [mine, theirs] = await Promise.all([groupsAtClient(c, groups), groupsAtServer(c.userID, groups)]);
      const d = difference(mine, theirs);
      ok(!d, d);
      return true;
    }, `${c.name} as the server`, WAIT);
  }));
}

const told = (c, event, groupID, from, fits = () => true) => c.event(event, d => d && d.groupID === groupID && fits(d), { from });
const gone = (c, groupID) => until(async () => !(await c.groups() || []).some(g => g.groupID === groupID), `${c.name} without ${groupID}`, WAIT);
const has = (c, groupID) => until(async () => (await c.groups() || []).some(g => g.groupID === groupID), `${c.name} with ${groupID}`, WAIT);
const seen = (c, groupID, type) => c.message(m => m.groupID === groupID && m.contentType === type);

// The applications of a group as a side of them is shown them: the client's list is the server's. The newest, or undefined.
async function application(c, side, groupID) {
  const page = { groupIDs: [groupID], handleResults: [], pagination: PAGE };
  const theirs = (side === 'Recipient' ? await rest('/group/get_recv_group_applicationList', { fromUserID: c.userID, ...page })
    : await rest('/group/get_user_req_group_applicationList', { userID: c.userID, ...page })).groupRequests || [];
  const mine = (await c.groupApplications(side, [groupID]) || []).filter(r => r.groupID === groupID); // J14 asks for all
  const form = (r, user, group, message, time) => [group.groupID, group.groupName, group.memberCount, user.userID, user.nickname,
    r.handleResult, r.reqMsg, message, r.reqTime, r.handleUserID, time, r.joinSource, c.kind === 'J14' ? '' : r.inviterUserID];
  eq(mine.map(r => form(r, r, r, r.handledMsg, r.handledTime)),
    theirs.map(r => form(r, r.userInfo, r.groupInfo, r.handleMsg, r.handleTime)), `${c.name}: applications`);
  return mine[0];
}
const decided = (userID, result, message, by) => d =>
  d.userID === userID && d.handleResult === result && d.handledMsg === message && d.handleUserID === by;

// ---- one owner's core, the others in other parts

async function round(t, c, turn) {
  const [a, z, y, x] = [0, 1, 2, 3].map(i => c[KINDS[(turn + i) % 4]]);
  const all = [a, z, y, x], who = `owner ${a.kind}, member ${z.kind}, administrator ${y.kind}, guest ${x.kind}`;
  let g;
  const check = (what, fn) => t.check(`${who}: ${what}`, fn);
  // J14 as a manager looks for an application of who has decided, and finds none
  const hears = list => list.filter(u => u === x || u.kind !== 'J14');
  const leaves = async () => { const at = x.mark(); await quit(x, g); await told(x, 'OnJoinedGroupDeleted', g, at); };

  await check('creates a group', async () => {
    const at = all.map(u => u.mark());
    g = await create(a, 'round ' + turn, [z.userID], [y.userID]);
    const fits = d => d.groupName === 'round ' + turn && d.ownerUserID === a.userID && d.memberCount === 3;
    await Promise.all([a, z, y].map((u, i) => told(u, 'OnJoinedGroupAdded', g, at[i], fits)));
    await Promise.all([z, y].map(u => seen(u, g, 1501)));
    await same(all, g);
    eq((await memberAt(g, y.userID)).roleLevel, ADMIN, 'role of the administrator');
  });
  if (!g) return;
  await check('a member invites the guest, who is in at once', async () => {
    const at = all.map(u => u.mark());
    await invite(z, g, x.userID);
    await told(x, 'OnJoinedGroupAdded', g, at[3]);
    await told(a, 'OnGroupMemberAdded', g, at[0], d => d.userID === x.userID);
    await seen(x, g, 1509);
    await same(all, g);
    eq((await memberAt(g, x.userID)).inviterUserID, z.userID, 'inviter');
  });
  await check('the guest quits', async () => {
    const at = all.map(u => u.mark());
    await quit(x, g);
    await told(x, 'OnJoinedGroupDeleted', g, at[3]);
    await told(a, 'OnGroupMemberDeleted', g, at[0], d => d.userID === x.userID);
    await seen(a, g, 1504);
    await same(all, g);
  });
  await check('the guest applies, the owner accepts', async () => {
    const at = all.map(u => u.mark());
    await join(x, g);
    await Promise.all([a, y].map((u, i) => told(u, 'OnGroupApplicationAdded', g, at[i ? 2 : 0], d => d.userID === x.userID)));
    const sides = [[a, 'Recipient'], [y, 'Recipient'], [x, 'Applicant']];
    for (const [u, side] of sides) {
      const r = await application(u, side, g);
      eq([r.userID, r.reqMsg, r.handleResult], [x.userID, 'let me in', 0], 'the newest application');
    }
    await accept(a, g, x.userID);
    for (const u of hears([y, x])) await told(u, 'OnGroupApplicationAccepted', g, 0, decided(x.userID, 1, 'yes', a.userID));
    await told(x, 'OnJoinedGroupAdded', g, at[3]);
    await same(all, g);
    for (const [u, side] of sides) eq((await application(u, side, g)).handleResult, 1, 'its result');
    await refused(accept(y, g, x.userID), [1206, 10006], 'a second answer');
  });
  await check('the administrator kicks the guest', async () => {
    const at = all.map(u => u.mark());
    await refused(kick(z, g, x.userID), 1002, 'kick by a member');
    await kick(y, g, x.userID);
    await told(x, 'OnJoinedGroupDeleted', g, at[3]);
    await told(z, 'OnGroupMemberDeleted', g, at[1], d => d.userID === x.userID);
    await seen(x, g, 1508);
    await same(all, g);
  });
  await check('the guest applies, the administrator refuses', async () => {
    const at = all.map(u => u.mark());
    await join(x, g);
    await told(y, 'OnGroupApplicationAdded', g, at[2], d => d.userID === x.userID);
    await refuse(y, g, x.userID);
    for (const u of hears([a, x])) await told(u, 'OnGroupApplicationRejected', g, 0, decided(x.userID, -1, 'no', y.userID));
    for (const [u, side] of [[a, 'Recipient'], [x, 'Applicant']]) eq((await application(u, side, g)).handleResult, -1, 'its result');
    await same(all, g);
  });
  await check('everybody needs approval: an invitation is an application', async () => {
    const at = all.map(u => u.mark());
    await setGroup(a, g, { needVerification: 1 });
    await told(z, 'OnGroupInfoChanged', g, at[1], d => d.needVerification === 1);
    await invite(z, g, x.userID);
    // J14 asks for a request of the applicant, whom the notice of an invitation does not name
    if (a.kind !== 'J14') await told(a, 'OnGroupApplicationAdded', g, at[0], d => d.userID === x.userID || d.inviterUserID === z.userID);
    await accept(a, g, x.userID);
    await has(x, g);
    eq((await memberAt(g, x.userID)).inviterUserID, z.userID, 'inviter');
    await same(all, g);
  });
  await check('everybody needs approval: the guest applies; whom an administrator invites is in at once', async () => {
    let at = all.map(u => u.mark());
    await leaves();
    await join(x, g);
    await told(y, 'OnGroupApplicationAdded', g, at[2], d => d.userID === x.userID && d.handleResult === 0);
    ok(!await memberAt(g, x.userID), 'a member without approval');
    await accept(y, g, x.userID);
    await told(x, 'OnJoinedGroupAdded', g, at[3]);
    at = all.map(u => u.mark());
    await leaves();
    await invite(y, g, x.userID);
    await told(x, 'OnJoinedGroupAdded', g, at[3]);
    await same(all, g);
  });
  await check('nobody needs approval: the guest walks in, or a member invites it', async () => {
    await leaves();
    await setGroup(y, g, { needVerification: 2 });
    let at = x.mark();
    await invite(z, g, x.userID);
    await told(x, 'OnJoinedGroupAdded', g, at);
    await leaves();
    at = x.mark();
    await join(x, g);
    await told(x, 'OnJoinedGroupAdded', g, at);
    await seen(z, g, 1510);
    await same(all, g);
  });
  await check('roles go up and down', async () => {
    const at = all.map(u => u.mark());
    await refused(setMember(y, g, a.userID, { roleLevel: MEMBER }), 1002, 'the owner\'s role by an administrator');
    await setMember(a, g, z.userID, { roleLevel: ADMIN });
    await told(x, 'OnGroupMemberInfoChanged', g, at[3], d => d.userID === z.userID && d.roleLevel === ADMIN);
    await same(all, g);
    await setMember(a, g, z.userID, { roleLevel: MEMBER });
    await same(all, g);
  });
  await check('name, face and ex of a member', async () => {
    const at = all.map(u => u.mark()), zed = { nickname: 'Zed', faceURL: 'http://face.test/zed', ex: 'mine' };
    await setMember(z, g, z.userID, zed);
    await Promise.all([a, z, y, x].map((u, i) => told(u, 'OnGroupMemberInfoChanged', g, at[i],
      d => d.userID === z.userID && d.nickname === zed.nickname && d.faceURL === zed.faceURL && d.ex === zed.ex)));
    await setMember(y, g, x.userID, { nickname: 'Guest' });
    await refused(setMember(x, g, z.userID, { nickname: 'no' }), 1002, 'the name of another member');
    await same(all, g);
  });
  await check('a new profile shows in the group, but for what the member is called there', async () => {
    const at = all.map(u => u.mark());
    const look = u => ({ nickname: `${u.kind} ${turn}`, faceURL: `http://face.test/${u.kind}/${turn}` });
    for (const u of [y, x, z]) await u.call('setSelfInfo', look(u));
    const shows = (who, want) => Promise.all(all.map((u, i) => told(u, 'OnGroupMemberInfoChanged', g, at[i],
      d => d.userID === who.userID && d.nickname === want.nickname && d.faceURL === want.faceURL)));
    await shows(y, look(y));
    await shows(x, { ...look(x), nickname: 'Guest' });
    await same(all, g);
    const m = await memberAt(g, z.userID);
    eq([m.nickname, m.faceURL], ['Zed', 'http://face.test/zed'], 'who has a name and a face of its own');
  });
  await check('a member is muted and unmuted', async () => {
    const at = all.map(u => u.mark());
    await muteMember(y, g, z.userID, 600);
    await told(z, 'OnGroupMemberInfoChanged', g, at[1], d => d.userID === z.userID && d.muteEndTime > Date.now());
    await same(all, g);
    await refused(z.say('muted', { groupID: g }), [1402, 10006], 'a message of the muted member');
    await muteMember(y, g, z.userID, 0);
    await same(all, g);
    const r = await z.say('free', { groupID: g });
    await a.message(r.clientMsgID);
  });
  await check('the group is muted and unmuted', async () => {
    const at = all.map(u => u.mark());
    await muteGroup(a, g, true);
    await told(x, 'OnGroupInfoChanged', g, at[3], d => d.status === 3);
    await same(all, g);
    await refused(x.say('muted', { groupID: g }), [1403, 10006], 'a message into the muted group');
    await y.say('an administrator speaks', { groupID: g });
    await muteGroup(y, g, false);
    await same(all, g);
    await x.say('free', { groupID: g });
  });
  await check('an announcement, seen by all, and its end, not seen', async () => {
    const at = all.map(u => u.mark());
    await setGroup(y, g, { notification: 'news of ' + turn });
    await Promise.all([told(z, 'OnGroupInfoChanged', g, at[1], d => d.notification === 'news of ' + turn), seen(x, g, 1519), seen(z, g, 1519)]);
    await Promise.all([a, z, x].map(u => u.conversationWhen(sg(g), k => k.groupAtType === 4, 'marked with the announcement')));
    await same(all, g);
    await setGroup(y, g, { notification: ' ' });
    await same(all, g);
    const r = await a.say('after it', { groupID: g });
    await z.message(r.clientMsgID);
    eq(z.inbox.filter(m => m.groupID === g && m.contentType === 1519).length, 1, 'announcements that were seen');
  });
  await check('name, face, introduction', async () => {
    const at = all.map(u => u.mark());
    await setGroup(a, g, { groupName: 'renamed ' + turn });
    await Promise.all([seen(x, g, 1520), seen(y, g, 1520)]);
    await setGroup(a, g, { introduction: 'what it is', faceURL: 'http://face.test/g', ex: 'ex', lookMemberInfo: 1, applyMemberFriend: 1 });
    await Promise.all(all.map((u, i) => told(u, 'OnGroupInfoChanged', g, at[i], d => d.groupName === 'renamed ' + turn && d.ex === 'ex'
      && d.introduction === 'what it is' && d.faceURL === 'http://face.test/g' && d.lookMemberInfo === 1 && d.applyMemberFriend === 1)));
    await refused(setGroup(z, g, { groupName: 'no' }), 1002, 'the name by a member');
    await same(all, g);
  });
  await check('a muted member becomes the owner', async () => {
    await muteMember(a, g, z.userID, 600);
    await transfer(a, g, z.userID);
    await same(all, g);
    const [old, now] = [await memberAt(g, a.userID), await memberAt(g, z.userID)];
    eq([old.roleLevel, now.roleLevel, now.muteEndTime], [MEMBER, OWNER, 0], 'roles of old and new, and the end of the mute');
    await refused(dismiss(a, g), 1002, 'dismissal by the former owner');
    await seen(x, g, 1507);
  });
  await check('several are kicked at once', async () => {
    await kick(z, g, a.userID, x.userID);
    await Promise.all([gone(a, g), gone(x, g)]);
    await same(all, g);
    await invite(z, g, a.userID, x.userID);
    await Promise.all([has(a, g), has(x, g)]);
    await same(all, g);
  });
  await check('the group is dismissed', async () => {
    const at = all.map(u => u.mark());
    await dismiss(z, g);
    await Promise.all(all.map((u, i) => told(u, 'OnJoinedGroupDeleted', g, at[i])));
    await Promise.all(all.map(u => gone(u, g)));
    await Promise.all([a, y, x].map(u => seen(u, g, 1511)));
    await refused(x.say('too late', { groupID: g }), [1204, 1004, 10006], 'a message into the dismissed group');
    eq((await rest('/group/get_group_member_list', { groupID: g, pagination: PAGE })).total, 0, 'members at the server');
    eq((await rest('/group/get_groups_info', { groupIDs: [g] })).groupInfos[0].status, 2, 'status at the server');
  });
}

// ---- somebody is away

async function away(t, c, z) {
  const [a, b] = KINDS.filter(k => k !== z).map(k => c[k]);
  const user = await t.user('away' + z.toLowerCase()), device = await t.device(z);
  const first = await t.login(z, user, { device });
  const g = {}, many = [];
  const check = (what, fn) => t.check(`${z} away: ${what}`, fn);

  await check('is in groups before', async () => {
    for (const n of ['kicked', 'dismissed', 'given', 'changed', 'muted', 'unmuted']) g[n] = await create(a, n, [user, b.userID]);
    for (const n of ['accepted', 'refused']) { g[n] = await create(a, n, [b.userID]); await join(first, g[n]); }
    g.lowered = await create(a, 'lowered', [b.userID], [user]);
    g.own = await create(first, 'own', [b.userID]);
    g.large = await create(a, 'large', [user]);
    await muteMember(a, g.unmuted, user, 900);
    await muteGroup(a, g.unmuted, true);
    await same([first, a, b], ...Object.values(g));
  });
  await first.kill();
  await check('what happens meanwhile', async () => {
    g.created = await create(a, 'created', [user, b.userID]);
    g.invited = await create(a, 'invited', [b.userID]);
    await invite(a, g.invited, user);
    await kick(a, g.kicked, user);
    await dismiss(a, g.dismissed);
    await transfer(a, g.given, user);
    await quit(a, g.given);
    await setMember(a, g.changed, user, { roleLevel: ADMIN });
    await setMember(a, g.changed, user, { nickname: 'Away' });
    await kick(a, g.changed, b.userID);
    await setGroup(a, g.changed, { groupName: 'changed its name', notification: 'read this', introduction: 'i', faceURL: 'f', ex: 'e' });
    await muteMember(a, g.muted, user, 900);
    await muteGroup(a, g.muted, true);
    await muteMember(a, g.unmuted, user, 0);
    await muteGroup(a, g.unmuted, false);
    await setMember(a, g.lowered, user, { roleLevel: MEMBER });
    await setMember(b, g.lowered, b.userID, { nickname: 'Bee', faceURL: 'http://face.test/bee', ex: 'b' });
    await b.call('setSelfInfo', { nickname: `${b.kind} without ${z}`, faceURL: `http://face.test/without/${z}` });
    await quit(b, g.own);
    await join(a, g.own);
    await accept(a, g.accepted, user);
    await refuse(a, g.refused, user);
  });
  await check('210 others come into one group: more than a log of changes tells', async () => {
    for (let i = 0; i < 210; i++) many.push(`${run}${z.toLowerCase()}n${i}`);
    await rest('/user/user_register', { users: many.map(userID => ({ userID, nickname: userID, faceURL: '' })) });
    await rest('/group/invite_user_to_group', { groupID: g.large, reason: '', invitedUserIDs: many });
    await rest('/group/kick_group', { groupID: g.large, kickedUserIDs: many.slice(200), reason: '' });
  });
  const again = await t.login(z, user, { device }), { large: _, ...small } = g, others = Object.values(small);
  await check('its login brings it to the server\'s state', async () => {
    await same([again, a, b], ...others);
    // its row of the group keeps the old number of members until the next change: it takes all members anew, and no group with them
    await until(async () => { const d = difference(await membersAtClient(again, g.large), await membersAtServer(g.large)); ok(!d, d); return true; }, 'members of the large group', WAIT);
    const mine = (await again.groups()).map(x => x.groupID);
    const out = ['kicked', 'dismissed', 'refused'];
    for (const n of Object.keys(g)) if (!out.includes(n)) ok(mine.includes(g[n]), `not in the group "${n}"`);
    for (const n of out) ok(!mine.includes(g[n]), `still in the group "${n}"`);
  });
  await check('is told of what came and went, and finds the announcement', async () => {
    // at a login, cores before patch 15 see the conversation first, ask for its group by its id, and then find nothing new in it
    if (z === 'N15') for (const n of ['created', 'invited', 'accepted']) await told(again, 'OnJoinedGroupAdded', g[n], 0);
    if (z !== 'J14') {                                    // keeps nothing: to it, all is new
      for (const n of ['kicked', 'dismissed']) await told(again, 'OnJoinedGroupDeleted', g[n], 0);
      await told(again, 'OnGroupInfoChanged', g.changed, 0, d => d.groupName === 'changed its name' && d.notification === 'read this');
      await told(again, 'OnGroupMemberInfoChanged', g.lowered, 0, d => d.userID === b.userID && d.nickname === 'Bee');
    }
    await again.conversationWhen(sg(g.changed), k => k.groupAtType === 4 && k.showName === 'changed its name', 'with an announcement');
    ok((await again.wholeHistory(sg(g.changed))).some(m => m.contentType === 1519), 'no announcement in the chat');
  });
  await check('finds its applications decided, and decides the one that waits', async () => {
    for (const [n, result] of [['accepted', 1], ['refused', -1]]) eq((await application(again, 'Applicant', g[n])).handleResult, result, n);
    eq((await application(again, 'Recipient', g.own)).userID, a.userID, 'who asks');
    const at = a.mark();
    await accept(again, g.own, a.userID);
    await told(a, 'OnJoinedGroupAdded', g.own, at);
    await same([again, a], g.own);
  });
  await check('may say what its mutes and roles let it', async () => {
    await refused(again.say('muted', { groupID: g.muted }), [1402, 10006], 'a message of the muted member');
    const r = await again.say('free', { groupID: g.unmuted });
    await a.message(r.clientMsgID);
    await refused(setGroup(again, g.lowered, { ex: 'no' }), 1002, 'a change by who is an administrator no more');
    await setGroup(again, g.given, { ex: 'mine now' });
  });
  // J14 asks for the names of the members with it, which it is none of any more
  if (z !== 'J14') for (const [n, last] of [['kicked', 1508], ['dismissed', 1511]]) {
    await check(`reads what was said in the group "${n}" until its end`, async () => {
      const list = await again.wholeHistory(sg(g[n]));
      eq(list.at(-1)?.contentType, last, `the last of ${list.map(m => m.contentType)}`);
    });
  }
  await check('goes on with steps of one', async () => {
    const at = again.mark();
    await setMember(a, g.changed, user, { nickname: 'Back' });
    if (z !== 'J14') await told(again, 'OnGroupMemberInfoChanged', g.changed, at, d => d.userID === user && d.nickname === 'Back');
    await muteGroup(a, g.muted, false);
    await setGroup(a, g.large, { ex: 'next' });
    await same([again, a], ...Object.values(g));
  });
  await again.kill();
  const fresh = await t.login(z, user);
  await check('a fresh installation has the server\'s state', async () => { await same([fresh], ...Object.values(g)); });
  await fresh.kill();
  await check('its groups end', async () => {
    for (const n of Object.keys(g)) if (!['dismissed', 'given', 'own'].includes(n)) await dismiss(a, g[n]);
    for (const n of ['changed', 'muted', 'created']) await gone(a, g[n]);
  });
}

// ---- versions in notices

async function versions(t) {
  const [o, m, n] = await t.users('vo', 'vm', 'vn');
  const token = await userToken(o, 5), listener = await tap(m), as = { token };
  let g;

  // The call's notices, in order, and the log after the call: `steps` later than before it.
  const says = (what, steps, types, call) => t.check(`versions: ${what}`, async () => {
    const before = await log();
    await call();
    const now = await log();
    eq([now.versionID, now.version], [before.versionID, before.version + steps], 'the log');
    for (const [type, back = 0] of types.map(x => [].concat(x))) {
      const { tips, message } = await listener.next(type);
      eq(message.senderNickname, [1502, 1519].includes(type) ? 'Vo' : '', `the sender's name in ${type}`);
      eq([tips.groupMemberVersionID, tips.groupMemberVersion], [now.versionID, now.version - back], `the pair in ${type}`);
      if (!back) eq(tips.group, now.group, `the group in ${type}`);
      if ('groupSortVersion' in tips) eq(tips.groupSortVersion > 0, now.sortVersion > before.version, `the order in ${type}`);
    }
  });
  const log = async () => {
    const r = await rest('/group/get_incremental_group_members', { groupID: g, versionID: '', version: 0 });
    const changed = r.version > 1 ? await rest('/group/get_incremental_group_members', { groupID: g, versionID: r.versionID, version: r.version - 1 }) : r;
    return { ...r, sortVersion: changed.sortVersion, group: (await rest('/group/get_groups_info', { groupIDs: [g] })).groupInfos[0] };
  };
  const set = (...members) => rest('/group/set_group_member_info', { members: members.map(x => ({ groupID: g, ...x })) }, as);

  await t.check('versions: a group to look at', async () => {
    const r = await rest('/group/create_group', { ownerUserID: o, memberUserIDs: [m, n], adminUserIDs: [], groupInfo: { groupName: 'versions', groupType: 2 } }, as);
    g = r.groupInfo.groupID;
    await listener.next(1501);
  });
  await says('a name', 1, [1520], () => rest('/group/set_group_info_ex', { groupID: g, groupName: 'named' }, as));
  await says('an announcement, a name and the rest', 1, [1519, 1520, 1502], () => rest('/group/set_group_info_ex', { groupID: g, notification: 'n', groupName: 'x', ex: 'e' }, as));
  await says('an empty announcement', 1, [1519], () => rest('/group/set_group_info_ex', { groupID: g, notification: ' ' }, as));
  await says('nothing', 0, [], () => rest('/group/set_group_info_ex', { groupID: g }, as));
  await says('the old form', 1, [1519, 1502], () => rest('/group/set_group_info', { groupInfoForSet: { groupID: g, notification: 'o', introduction: 'i' } }, as));
  await says('mute of the group', 1, [1514], () => rest('/group/mute_group', { groupID: g }, as));
  await says('its end', 1, [1515], () => rest('/group/cancel_mute_group', { groupID: g }, as));
  await says('mute of a member', 1, [1512], () => rest('/group/mute_group_member', { groupID: g, userID: m, mutedSeconds: 60 }, as));
  await says('its end', 1, [1513], () => rest('/group/cancel_mute_group_member', { groupID: g, userID: m }, as));
  await says('a role', 1, [1517], () => set({ userID: m, roleLevel: ADMIN }));
  await says('a role and a name', 1, [1518, 1516], () => set({ userID: m, roleLevel: MEMBER, nickname: 'M' }));
  await says('a name in the group', 1, [1516], () => set({ userID: n, nickname: 'N' }));
  await says('three members at once: no single step', 3, [1516, 1516, 1516], () => set({ userID: m, ex: '1' }, { userID: n, ex: '2' }, { userID: o, ex: '3' }));
  await says('one is kicked', 1, [1508], () => rest('/group/kick_group', { groupID: g, kickedUserIDs: [n], reason: '' }, as));
  await says('one is invited', 1, [1509], () => rest('/group/invite_user_to_group', { groupID: g, invitedUserIDs: [n], reason: '' }, as));
  await says('one quits', 1, [1504], () => rest('/group/quit_group', { groupID: g, userID: n }));
  await rest('/group/mute_group_member', { groupID: g, userID: m, mutedSeconds: 60 }, as).catch(() => {});
  await listener.next(1512).catch(() => {});
  await says('a muted member becomes the owner: two steps, each its own notice', 2, [[1513, 1], 1507], () => rest('/group/transfer_group', { groupID: g, oldOwnerUserID: o, newOwnerUserID: m }, as));
  await t.check('versions: N1511 comes when the join log has changed', async () => {
    const before = await rest('/group/get_incremental_join_groups', { userID: m, versionID: '', version: 0 });
    await rest('/group/dismiss_group', { groupID: g });
    const { tips } = await listener.next(1511);
    const now = await rest('/group/get_incremental_join_groups', { userID: m, versionID: before.versionID, version: before.version });
    eq([now.full, now.delete], [false, [g]], 'the join log');
    eq(tips.group.status, 2, 'status in the notice');
  });
  listener.close();
}

// ---- groups that were left

// An installation that finds chats of left groups asks for their rows, and cores of before patch 11 then ask for the members of all rows.
async function left(t, kind) {
  const o = await t.user('lo' + kind), m = await t.user('lm' + kind), as = { token: await userToken(o, 9) }, groups = {};
  const device = await t.device(kind);
  for (const name of ['stays', 'kicked', 'over']) {
    const r = await rest('/group/create_group', { ownerUserID: o, memberUserIDs: [m], groupInfo: { groupName: name, groupType: 2 } }, as);
    groups[name] = r.groupInfo.groupID;
  }
  const chats = async () => (await rest('/conversation/get_all_conversations', { ownerUserID: m })).conversations || [];
  await t.check(`${kind}: a group that was left and one that is over keep no other from being synchronised`, async () => {
    await until(async () => (await chats()).length === 3, 'the chats of three groups', WAIT);
    await rest('/group/kick_group', { groupID: groups.kicked, kickedUserIDs: [m], reason: '' }, as);
    await rest('/group/dismiss_group', { groupID: groups.over }, as);
    let c = await t.login(kind, m, { device });
    await same([c], groups.stays);
    await c.kill();
    await rest('/group/set_group_info_ex', { groupID: groups.stays, groupName: 'stays, renamed' }, as);
    c = await t.login(kind, m, { device });
    await same([c], groups.stays, groups.kicked, groups.over);
    await c.kill();
  });
}

// ---- a group that changes while somebody learns of it

// The row of the group comes with the joined groups, all members after that: a core takes no row with all members.
async function between(t, kind) {
  const o = await t.user('bo' + kind), m = await t.user('bm' + kind), as = { token: await userToken(o, 9) };
  const change = more => rest('/group/set_group_info_ex', { groupID, ...more }, as);
  const { groupInfo: { groupID } } = await rest('/group/create_group', { ownerUserID: o, memberUserIDs: [m], groupInfo: { groupName: 'old', groupType: 2 } }, as);
  let times = 0;
  const proxy = await watch(api, async path => {
    if (path !== '/group/get_incremental_group_members_batch' || times++) return;
    await change({ groupName: 'new' });
    await rest('/group/set_group_member_info', { members: [{ groupID, userID: o, nickname: 'O' }] }, as);
  });
  await t.check(`${kind}: a group that changes between the answers of its first synchronisation`, async () => {
    const c = await t.login(kind, m, { api: proxy.url });
    await same([c], groupID);
    ok(times > 0, 'no such request');
    await change({ ex: 'later' });
    await same([c], groupID);
    await c.kill();
  });
  proxy.close();
}

export default async function (t) {
  for (const k of KINDS) if (k !== 'J14') { await left(t, k); await between(t, k); }
  const c = {};
  await Promise.all(KINDS.map(async k => { c[k] = await t.login(k, await t.user(k.toLowerCase())); }));
  for (let turn = 0; turn < KINDS.length; turn++) await round(t, c, turn);
  for (const z of KINDS) await away(t, c, z);
  await versions(t);
}
