// A user's bare WebSocket: the notifications of groups as the server wrote them, for what no client shows (the versions in them).
import { api, requireSdk, ws, WAIT } from './env.mjs';
import { userToken } from './rest.mjs';

const { WebSocket } = requireSdk('ws');
const { PbCoder: { PushMessages } } = requireSdk('@openim/protocol');

// next(type): the next notification of that type that is no copy in a chat, {message, tips}; each is given once.
export async function tap(userID, platformID = 5) {
  const token = await userToken(userID, platformID), got = [], waits = new Set();
  const socket = new WebSocket(`${ws}?${new URLSearchParams({ sendID: userID, token, platformID, operationID: 'tap' + userID, isBackground: false, sdkType: 'js' })}`);
  socket.on('message', data => {
    const frame = JSON.parse(data.toString());
    if (frame.reqIdentifier !== 2001) return;
    const push = PushMessages.decode(new Uint8Array(Buffer.from(frame.data, 'base64')));
    for (const list of Object.values(push.notificationMsgs || {})) for (const m of list.Msgs || list.msgs || []) {
      got.push({ type: m.contentType, message: m, tips: JSON.parse(JSON.parse(Buffer.from(m.content).toString()).detail) });
    }
    for (const w of [...waits]) w();
  });
  await new Promise((done, no) => { socket.once('open', done); socket.once('error', no); socket.once('close', () => no(new Error('refused by ' + api))); });
  const next = (type, ms = WAIT) => new Promise((done, no) => {
    const timer = setTimeout(() => { waits.delete(step); no(new Error(`no ${type} in ${ms / 1000} s, got ${got.map(x => x.type).join(' ') || 'nothing'}`)); }, ms);
    const step = () => {
      const i = got.findIndex(x => x.type === type);
      if (i < 0) return;
      clearTimeout(timer); waits.delete(step);
      done(got.splice(i, 1)[0]);
    };
    waits.add(step); step();
  });
  return { next, got, close: () => socket.terminate() };
}
