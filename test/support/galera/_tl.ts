import { makeHosts, startCluster, must, synced, eventually, status } from '/work/main/test/support/galera/hosts.ts';
import { writeFileSync } from 'node:fs';
const set = await makeHosts({octet:205, third: 5, count:3});
try {
  const T=Date.now(); const say=(w)=>console.log(((Date.now()-T)/1000).toFixed(1), w);
  await startCluster(set.hosts); say('cluster');
  const [a,b,c]=set.hosts;
  const before=(await c.log()).length;
  process.kill(await c.pid(),'SIGKILL'); say('killed');
  await must(c.script('join',{PEERS:a.address+','+b.address, DONOR:b.id})); say('join returned');
  await synced(c); say('synced');
  writeFileSync('/tmp/g5/c.log',(await c.log()).slice(before)); writeFileSync('/tmp/g5/a.log',await a.log());
  process.kill(await c.pid(),'SIGKILL'); say('killed2');
  await eventually('evicted',30, async()=> (await status(a,'wsrep_cluster_size'))==='2'?true:undefined); say('evicted');
  await must(c.script('join',{PEERS:a.address+','+b.address, DONOR:b.id})); say('join returned');
  await synced(c); say('synced');
} finally { await set.dispose(); }
