"""A deployment of two droplets by python-digitalocean, unchanged. It takes the
API's address from DIGITALOCEAN_END_POINT."""
import os
import time

import digitalocean

token = os.environ["DIGITALOCEAN_ACCESS_TOKEN"]
os.environ["DIGITALOCEAN_END_POINT"] = os.environ["DIGITALOCEAN_API_URL"] + "/v2/"
cloud = digitalocean.Manager(token=token)


def finished(droplet):
    for _ in range(100):
        if all(a.status == "completed" for a in droplet.get_actions()) and droplet.load().status == "active":
            return droplet
        time.sleep(0.2)
    raise SystemExit("waited in vain for " + droplet.name)


assert cloud.get_account().status == "active"
key = digitalocean.SSHKey(token=token, name="python", public_key=os.environ["PUBLIC_KEY"])
key.create()
assert key.load_by_pub_key(os.environ["PUBLIC_KEY"]).name == "python"

one = digitalocean.Droplet(token=token, name="one.example.com", region="fra1", image="debian-13-x64", size_slug="s-1vcpu-1gb",
                           ssh_keys=[key], tags=["python"], user_data="#cloud-config\n{}\n", ipv6=True, monitoring=True)
one.create()
two = digitalocean.Droplet.create_multiple(token=token, names=["two.example.com", "three.example.com"], region="fra1",
                                           image="debian-13-x64", size_slug="s-1vcpu-1gb", tags=["python"])
one = finished(one)
two = [finished(d) for d in two]
assert one.ip_address and one.private_ip_address and one.ip_v6_address, one
assert len(cloud.get_all_droplets(tag_name="python")) == 3
assert len(cloud.get_all_droplets(params={"per_page": 2})) == 3  # two pages

tag = digitalocean.Tag(token=token, name="later")
tag.create()
tag.add_droplets([str(one.id)])
assert [d.id for d in cloud.get_all_droplets(tag_name="later")] == [one.id]
tag.remove_droplets([str(one.id)])

ip = digitalocean.FloatingIP(token=token, droplet_id=one.id)
ip.create()
for _ in range(100):
    try:
        ip.assign(two[0].id)
        break
    except digitalocean.DataReadError as e:
        assert "pending event" in str(e), e
        time.sleep(0.2)
for _ in range(100):
    if (ip.load().droplet or {}).get("id") == two[0].id:
        break
    time.sleep(0.2)
assert ip.load().droplet["id"] == two[0].id
assert [i.ip for i in cloud.get_all_floating_ips()] == [ip.ip]

domain = digitalocean.Domain(token=token, name="python.example.com", ip_address=ip.ip)
domain.create()
domain.create_new_domain_record(type="A", name="www", data=ip.ip)
assert {r.type for r in domain.get_records()} >= {"NS", "A"}
domain.destroy()

wall = digitalocean.Firewall(token=token, name="python", droplet_ids=[one.id], inbound_rules=[
    digitalocean.InboundRule(protocol="tcp", ports="80", sources=digitalocean.Sources(addresses=["0.0.0.0/0", "::/0"]))])
wall.create()
wall.add_tags(["later"])
assert wall.load().tags == ["later"]
wall.destroy()

try:
    cloud.get_droplet(1)
    raise SystemExit("droplet 1 is there")
except digitalocean.NotFoundError:
    pass
try:
    digitalocean.Manager(token="wrong").get_account()
    raise SystemExit("a wrong token was taken")
except digitalocean.DataReadError as e:
    assert "authenticate" in str(e), e
try:
    digitalocean.Droplet(token=token, name="a_b", region="fra1", image="debian-13-x64", size_slug="s-1vcpu-1gb").create()
    raise SystemExit("a droplet of a bad name was made")
except digitalocean.DataReadError as e:
    assert "hostname" in str(e), e

ip.destroy()
for d in [one, *two]:
    d.destroy()
tag.delete()
key.load_by_pub_key(os.environ["PUBLIC_KEY"]).destroy()
print("done")
