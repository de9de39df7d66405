// A deployment of two droplets by dots-wrapper, unchanged.
const {createApiClient} = require('dots-wrapper');
const assert = require('node:assert');

const endpoint = process.env.DIGITALOCEAN_API_URL + '/v2';
const cloud = createApiClient({endpoint, token: process.env.DIGITALOCEAN_ACCESS_TOKEN});

const sleep = ms => new Promise(done => setTimeout(done, ms));

async function until(what, look) {
  for (let i = 0; i < 100; i++) {
    const found = await look();
    if (found) return found;
    await sleep(200);
  }
  throw new Error('waited in vain for ' + what);
}

async function refused(status, call) {
  try {
    await call();
  } catch (e) {
    assert.strictEqual(e.response && e.response.status, status, String(e));
    assert.ok(e.response.data.id && e.response.data.message, JSON.stringify(e.response.data));
    return true;
  }
  throw new Error('not refused with ' + status);
}

// retried is a call that may meet a pending event.
const retried = call => until('an accepted call', async () => {
  try {
    return await call();
  } catch (e) {
    assert.strictEqual(e.response && e.response.status, 422, String(e));
  }
});

async function active(id) {
  return until('droplet ' + id, async () => {
    const {data: {droplet}} = await cloud.droplet.getDroplet({droplet_id: id});
    return droplet.status === 'active' && !droplet.locked && droplet;
  });
}

(async () => {
  assert.strictEqual((await cloud.account.getAccount()).data.account.status, 'active');
  assert.ok((await cloud.size.listSizes({per_page: 100})).data.sizes.some(s => s.slug === 's-1vcpu-1gb'));
  assert.ok((await cloud.region.listRegions({})).data.regions.some(r => r.slug === 'fra1'));
  assert.ok((await cloud.image.listImages({type: 'distribution'})).data.images.some(i => i.slug === 'debian-13-x64'));
  const {data: {ssh_key: key}} = await cloud.sshKey.createSshKey({name: 'dots', public_key: process.env.PUBLIC_KEY});

  const spec = {region: 'fra1', size: 's-1vcpu-1gb', image: 'debian-13-x64', ssh_keys: [key.id], tags: ['dots'], user_data: '#cloud-config\n{}\n'};
  const made = await cloud.droplet.createDroplet({...spec, name: 'one.example.com'});
  assert.strictEqual(made.status, 202);
  const action = made.data.links.actions[0].id;
  await until('the creation', async () => (await cloud.action.getAction({action_id: action})).data.action.status === 'completed');
  const one = await active(made.data.droplet.id);
  const both = await cloud.droplet.createDroplets({...spec, names: ['two.example.com']});
  const two = await active(both.data.droplets[0].id);
  assert.strictEqual((await cloud.droplet.listDroplets({tag_name: 'dots'})).data.droplets.length, 2);
  assert.deepStrictEqual((await cloud.droplet.listDropletNeighbors({droplet_id: one.id})).data.droplets, []);

  await cloud.tag.createTag({name: 'later'});
  await cloud.tag.tagResources({tag_name: 'later', resources: [{resource_id: String(one.id), resource_type: 'droplet'}]});
  assert.strictEqual((await cloud.tag.getTag({tag_name: 'later'})).data.tag.resources.droplets.count, 1);

  const {data: {floating_ip: {ip}}} = await cloud.floatingIp.createFloatingIp({droplet_id: one.id});
  const move = await retried(() => cloud.floatingIp.assignIpToDroplet({ip, droplet_id: two.id}));
  const moving = move.data.action.id;
  await until('the move', async () => (await cloud.floatingIp.getFloatingIpAction({ip, action_id: moving})).data.action.status === 'completed');
  assert.strictEqual((await cloud.floatingIp.getFloatingIp({ip})).data.floating_ip.droplet.id, two.id);

  const wall = {name: 'dots', tags: ['dots'], inbound_rules: [{protocol: 'tcp', ports: '80', sources: {addresses: ['0.0.0.0/0']}}]};
  const {data: {firewall}} = await cloud.firewall.createFirewall(wall);
  await cloud.firewall.addRulesToFirewall({firewall_id: firewall.id, inbound_rules: [{protocol: 'tcp', ports: '443', sources: {addresses: ['0.0.0.0/0']}}]});
  assert.strictEqual((await cloud.firewall.getFirewall({firewall_id: firewall.id})).data.firewall.inbound_rules.length, 2);
  await cloud.firewall.deleteFirewall({firewall_id: firewall.id});

  await retried(() => cloud.droplet.snapshotDroplet({droplet_id: one.id, name: 'dots'}));
  const taken = await until('the snapshot', async () => (await cloud.droplet.listDropletSnapshots({droplet_id: one.id})).data.snapshots[0]);
  assert.strictEqual((await cloud.snapshot.listSnapshots({resource_type: 'droplet'})).data.snapshots[0].name, 'dots');
  await cloud.snapshot.deleteSnapshot({snapshot_id: taken.id});

  await refused(404, () => cloud.droplet.getDroplet({droplet_id: 1}));
  await refused(422, () => cloud.droplet.createDroplet({...spec, name: 'a_b'}));
  await refused(401, () => createApiClient({endpoint, token: 'wrong'}).account.getAccount());
  // The list of keys may be asked for ten times a minute.
  await refused(429, async () => { for (let i = 0; i < 12; i++) await cloud.sshKey.listSshKeys({}); });

  await cloud.floatingIp.deleteFloatingIp({ip});
  await cloud.droplet.deleteDropletsByTag({tag_name: 'dots'});
  await until('the end', async () => (await cloud.droplet.listDroplets({})).data.droplets.length === 0);
  await cloud.tag.deleteTag({tag_name: 'later'});
  await cloud.sshKey.destroySshKey({ssh_key_id: key.id});
  console.log('done');
})().catch(e => {
  console.error(e.response ? JSON.stringify(e.response.data) : e);
  process.exit(1);
});
