// What was sent while a client was away: it arrives after the next login, all of it is in the history, the unread count is right;
// on the same installation and on a fresh one, between every pair of families.
import { eq, ok, until } from '../lib/assert.mjs';
import { si } from '../lib/messages.mjs';
import { WAIT } from '../lib/env.mjs';

const KINDS = ['N15', 'N10', 'W385', 'J14'];
const COUNT = 25;                                       // more than a page of history

const texts = l => l.filter(m => m.contentType === 101).map(m => m.textElem.content);

export default async function (t) {
  const id = {}, c = {};
  for (const k of KINDS) { id['from' + k] = await t.user('f' + k.toLowerCase()); id[k] = await t.user('t' + k.toLowerCase()); }
  await Promise.all(KINDS.map(async k => { c[k] = await t.login(k, id['from' + k]); }));

  for (const z of KINDS) {
    const device = await t.device(z), first = await t.login(z, id[z], { device });
    const said = {};
    for (const a of KINDS) {
      await t.check(`${a} greets ${z} online`, async () => {
        const r = await c[a].say(`hello from ${a}`, id[z]);
        await first.message(r.clientMsgID);
        said[a] = [`hello from ${a}`];
      });
    }
    await t.check(`${z} answers N15 and has read nothing else`, async () => { await first.say('answer', id.fromN15); said.N15?.push('answer'); });
    await first.kill();

    await Promise.all(KINDS.map(a => t.check(`${a} sends ${COUNT} texts while ${z} is away`, async () => {
      for (let i = 1; i <= COUNT; i++) { const s = `${a} ${i} for ${z}`; await c[a].say(s, id[z]); said[a].push(s); }
    })));

    const again = await t.login(z, id[z], { device });
    for (const a of KINDS) {
      const conv = si(id['from' + a], id[z]);
      // J14 keeps nothing: its next login is a fresh installation
      if (z !== 'J14') await t.check(`${z} is shown the newest message of ${a} after login`, async () => {
        await again.message(m => m.sendID === id['from' + a] && m.textElem?.content === said[a].at(-1));
      });
      await t.check(`${z} counts what ${a} sent as unread`, async () => {
        // N15's greeting was read by answering it
        const want = COUNT + (a === 'N15' ? 0 : 1);
        await again.conversationWhen(conv, x => x.unreadCount === want, `with ${want} unread`);
      });
      await t.check(`${z} has the whole history with ${a}, in order`, async () => {
        eq(texts(await again.wholeHistory(conv)), said[a], 'texts');
      });
    }
    await again.kill();

    const fresh = await t.login(z, id[z]);
    for (const a of KINDS) {
      const conv = si(id['from' + a], id[z]);
      await t.check(`a fresh ${z} has the whole history with ${a}, in order, with consecutive seqs`, async () => {
        const all = (await fresh.wholeHistory(conv)).filter(m => m.contentType === 101);
        eq(texts(all), said[a], 'texts');
        eq(all.map(m => m.seq), all.map((_, i) => i + 1), 'seqs');
      });
      await t.check(`a fresh ${z} counts what ${a} sent as unread`, async () => {
        const want = COUNT + (a === 'N15' ? 0 : 1);
        await fresh.conversationWhen(conv, x => x.unreadCount === want, `with ${want} unread`);
      });
    }
    await fresh.kill();
  }

  await t.check('a message to somebody who never logged in waits', async () => {
    const u = await t.user('late');
    const r = await c.N15.say('for later', u);
    const late = await t.login('N10', u);
    await until(async () => (await late.history(si(id.fromN15, u))).messageList?.some(m => m.clientMsgID === r.clientMsgID && m.seq === 1), 'the message in the history', WAIT);
    await late.kill();
  });
}
