// What a user is shown, by the server's REST interface and by a client, in one form: to be compared member by member.
import { rest } from './rest.mjs';

const PAGE = { pageNumber: 1, showNumber: 500 };

const pick = (v, names) => Object.fromEntries(names.map(n => [n, v[n] ?? null]).map(([n, x]) => [n, x === null || x === false || x === '' ? 0 : x === true ? 1 : x]));
const sorted = (list, key) => [...list].sort((x, y) => (key(x) < key(y) ? -1 : 1));

const FRIEND = ['userID', 'nickname', 'faceURL', 'remark', 'createTime', 'addSource', 'operatorUserID', 'ex', 'isPinned'];
// names and faces of blocked users are read again at login only
const BLACK = ['userID', 'createTime', 'addSource', 'operatorUserID', 'ex'];
const GROUP = ['groupID', 'groupName', 'notification', 'introduction', 'faceURL', 'ownerUserID', 'createTime', 'memberCount', 'ex', 'status', 'creatorUserID',
  'groupType', 'needVerification', 'lookMemberInfo', 'applyMemberFriend', 'notificationUpdateTime', 'notificationUserID'];
const MEMBER = ['groupID', 'userID', 'roleLevel', 'joinTime', 'nickname', 'faceURL', 'joinSource', 'operatorUserID', 'ex', 'muteEndTime', 'inviterUserID'];
const CONVERSATION = ['conversationID', 'conversationType', 'userID', 'groupID', 'recvMsgOpt', 'isPinned', 'isPrivateChat', 'burnDuration', 'groupAtType', 'ex',
  'attachedInfo', 'msgDestructTime', 'isMsgDestruct'];

// What a message opens at a client begins with these, and a 0 of the server does not replace them.
const BEGINNING = { burnDuration: 30, msgDestructTime: 604800 };

export function conversationsForm(list) {
  const form = c => Object.fromEntries(Object.entries(pick(c, CONVERSATION)).map(([k, v]) => [k, v === BEGINNING[k] ? 0 : v]));
  return sorted((list || []).map(form), c => c.conversationID);
}

// A message that was refused opens a conversation at its sender only.
const refusedHere = c => { try { return JSON.parse(c.latestMsg).status === 3; } catch { return false; } };

// ---- groups and their members

const serverGroups = async u => (await rest('/group/get_joined_group_list', { fromUserID: u, pagination: PAGE })).groups || [];
const serverMembers = async groupID => (await rest('/group/get_group_member_list', { groupID, pagination: PAGE })).members || [];
const clientMembers = async (c, groupID) => await c.call('getGroupMemberList', { groupID, filter: 0, offset: 0, count: PAGE.showNumber }) || [];

async function membersOf(groups, read) {
  const members = {};
  for (const g of groups) members[g.groupID] = await read(g.groupID);
  return members;
}

const memberForm = list => sorted(list.map(m => pick(m, MEMBER)), m => m.userID);
const groupForm = (groups, members) => ({
  groups: sorted(groups.map(g => pick(g, GROUP)), g => g.groupID),
  members: Object.fromEntries(Object.keys(members).sort().map(g => [g, memberForm(members[g])])),
});

export const membersAtServer = async groupID => memberForm(await serverMembers(groupID));
export const membersAtClient = async (c, groupID) => memberForm(await clientMembers(c, groupID));

// What a user is shown of groups, by the server and by a client. only: ids of the groups that matter.
export async function groupsAtServer(u, only) {
  const groups = (await serverGroups(u)).filter(g => !only || only.includes(g.groupID));
  return groupForm(groups, await membersOf(groups, serverMembers));
}
export async function groupsAtClient(c, only) {
  const groups = (await c.groups() || []).filter(g => !only || only.includes(g.groupID));
  return groupForm(groups, await membersOf(groups, g => clientMembers(c, g)));
}

// ---- everything, in one form

export async function server(u) {
  const friends = (await rest('/friend/get_friend_list', { userID: u, pagination: PAGE })).friendsInfo || [];
  const blacks = (await rest('/friend/get_black_list', { userID: u, pagination: PAGE })).blacks || [];
  const groups = await serverGroups(u);
  const conversations = (await rest('/conversation/get_all_conversations', { ownerUserID: u })).conversations || [];
  const members = await membersOf(groups, serverMembers);
  return form(friends.map(f => ({ ...f, ...f.friendUser, ex: f.ex, createTime: f.createTime })), blacks.map(b => ({ ...b, ...b.blackUserInfo, ex: b.ex })), groups, members, conversations);
}

// known: the conversations that the server has.
export async function client(c, known) {
  const groups = await c.groups() || [], members = await membersOf(groups, g => clientMembers(c, g));
  const flat = f => ({ ...f, ...(f.friendUser || f.blackUserInfo || {}), ex: f.ex, createTime: f.createTime });
  return form((await c.friends() || []).map(flat), (await c.blacks() || []).map(flat), groups, members,
    (await c.conversations() || []).filter(x => known.includes(x.conversationID) || !refusedHere(x)));
}

function form(friends, blacks, groups, members, conversations) {
  return {
    friends: sorted(friends.map(f => pick(f, FRIEND)), f => f.userID),
    blacks: sorted(blacks.map(b => pick(b, BLACK)), b => b.userID),
    ...groupForm(groups, members),
    conversations: conversationsForm(conversations),
  };
}

// Where two pictures differ first, as text; undefined when they do not.
export function difference(mine, theirs, path = '') {
  if (mine === theirs) return;
  if (!mine || !theirs || typeof mine !== 'object' || typeof theirs !== 'object') return `${path} is ${JSON.stringify(mine)}, expected ${JSON.stringify(theirs)}`;
  for (const k of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
    const d = difference(mine[k], theirs[k], `${path}.${k}`);
    if (d) return `${d} (${mine.groupID || theirs.groupID || ''} ${mine.userID || theirs.userID || ''})`.replace(/ \(\s*\)/, '').slice(0, 300);
  }
}
