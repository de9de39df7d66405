"""Making a droplet ready for a handoff, and starting the app on the new one."""
import concurrent.futures
import os
import subprocess
import sys
import urllib.request

import compiled
import entries
import freeze
import machine
import phase
import standby
import volumes
import web

METADATA = os.environ.get("CATTLE_METADATA", "http://169.254.169.254")
APP = "cattle-app.service"
START_S, MIGRATE_S = 15 * 60, 60 * 60  # seconds
LINES = 5  # of a migration's output that a fault shows


def prepare(arguments: list[str]) -> None:
    """prepare [--adopt]: everything that a handoff needs later and that takes time."""
    adopt("--adopt" in arguments)
    compiled.make()
    spec = machine.spec()
    web.install(spec.get("page", ""))
    freeze.install_keeper()
    install_packages(spec)
    free = os.statvfs(machine.path("/var/lib"))
    machine.say({"entries": freeze.each(entries.of(spec), lambda entry: entry.facts()),
                 "free_bytes": free.f_bavail * free.f_frsize, "phase": phase.read()["phase"],
                 "addresses": {"private": address("private"), "public": address("public")},
                 "port": port(), "host_key": host_key()})


def adopt(anyway: bool) -> None:
    """Takes over the spec that was offered: a new droplet any, another where it has none."""
    own, offered = machine.path("/etc/cattle/state.json"), machine.path("/etc/cattle/state.json.new")
    if os.path.exists(offered) and (anyway or not os.path.exists(own)):
        os.rename(offered, own)
    if anyway and machine.load(machine.kept("phase.json")) is None and not phase.ready():
        web.flag_on()
        phase.write("new")


def install_packages(spec: dict) -> None:
    kinds = {entry["kind"] for entry in spec["entries"]}
    wanted = (["rsync"] if "files" in kinds else []) + (["restic"] if spec.get("backup") else [])
    lacking = [name for name in wanted if machine.run("sh", "-c", f"command -v {name}", check=False).returncode != 0]
    if not lacking:
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    install = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *lacking)
    if machine.run(*install, check=False, timeout=300, env=quiet).returncode != 0:
        machine.run("apt-get", "update", "--quiet", check=False, timeout=300, env=quiet)
        machine.run(*install, timeout=300, env=quiet)


def address(network: str) -> str:
    """This droplet's own, empty where it has none in that network."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{METADATA}/metadata/v1/interfaces/{network}/0/ipv4/address", timeout=3) as answer:
            return answer.read(64).decode().strip()
    except OSError:
        return ""


def port() -> int:
    for line in machine.run("sshd", "-T", check=False).stdout.decode(errors="replace").splitlines():
        if line.startswith("port "):
            return int(line.split()[1])
    return 22


def host_key() -> str:
    return " ".join(web.read(machine.path("/etc/ssh/ssh_host_ed25519_key.pub")).split()[:2])


def start(arguments: list[str]) -> None:
    """start SECONDS [--own]: the app runs, and nobody may write yet. After so many
    seconds it opens by itself where visitors come here. With --own, on the data that
    this droplet had before a copy came to it."""
    volumes.want()
    if "--own" in arguments and standby.pending():
        stand_still()
        standby.take_back()
    freeze_new(float(arguments[0]))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        app = pool.submit(machine.run, "systemctl", "start", APP, timeout=START_S)
        finish_checks()
        app.result()
    machine.say({"phase": "new"})


def freeze_new(seconds: float) -> None:
    """Where the droplet was frozen before, what was paused stays so until it opens."""
    spec, paused = machine.spec(), machine.load(machine.kept("paused.json"))
    web.flag_on()
    phase.write("new", seconds)
    machine.store(machine.kept("paused.json"), {"services": paused["services"] if paused else [], "timers": spec.get("timers") or []})
    machine.write(machine.kept("ready"), b"")
    freeze.start_keeper()


def stand_still() -> None:
    """Before data is put in place: on a droplet that ran before, the app stops, and
    what it was held by lets go."""
    now = phase.read()
    if now["phase"] == "open" and machine.live():
        raise machine.Fault("engine", "visitors come to this droplet: its data is not replaced", side="new")
    if phase.ready():
        web.flag_on()
        machine.remove(machine.kept("ready"))
        machine.run("systemctl", "stop", APP, timeout=120)
    if now["phase"] != "new":
        phase.write("new")
        freeze.wait_for_release()


def migrate(_: list[str]) -> None:
    """The spec's migration, in the new image, on the data that was carried here."""
    spec = machine.spec()
    wanted = spec.get("migrate")
    if wanted:
        volumes.want()
        if spec.get("servers"):
            machine.compose("up", "--detach", "--no-deps", "--no-build", "--wait", *spec["servers"], timeout=300)
        done = machine.compose("run", "--rm", "--no-deps", "-T", wanted["service"], *wanted["command"],
                               check=False, timeout=MIGRATE_S)
        if done.returncode != 0:
            lines = redacted(done.stdout + done.stderr).strip().splitlines()[-LINES:]
            raise machine.Fault("migrate", f"exit status {done.returncode}: " + " / ".join(lines), side="new")
    machine.say({"migrated": bool(wanted)})


def redacted(output: bytes) -> str:
    text = output.decode(errors="replace")
    values = (machine.load(machine.path("/run/cattle/secrets.json")) or {}).values()
    for value in sorted((str(value) for value in values if value), key=len, reverse=True):
        text = text.replace(value, "[secret]")
    return text


def begin_checks(names: list[str]) -> None:
    """Has the entries examined in the background, while the app starts."""
    machine.store(machine.kept("checks.json"), {name: None for name in names})
    subprocess.Popen([sys.executable, sys.argv[0], "check"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL, start_new_session=True)


def check(_: list[str]) -> None:
    finish_checks()


def finish_checks() -> None:
    """Waits for the checks, or makes those that nobody made. A fault for one that found something."""
    file = machine.kept("checks.json")
    with machine.locked("check", wait=600):
        results = machine.load(file) or {}
        for name in [name for name, result in results.items() if result is None]:
            try:
                entries.named(name).check()
                results[name] = "ok"
            except machine.Fault as fault:
                results[name] = {**fault.told(), "entry": name}
            machine.store(file, results)
    for told in results.values():
        if isinstance(told, dict):
            raise machine.Fault(told["code"], told["message"], told["entry"], told["side"])
