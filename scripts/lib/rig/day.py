"""The technician's day: steps with checks that can fail, in their order."""

import json
import random
import time

from counter import check, linked
from endurance import cut_in_a_sale
from rig import OWN_ENGINE

STEPS = []


def step(what):
    """A step of the day; its name is the function's."""
    def add(run):
        STEPS.append((run.__name__.replace("_", "-"), what, run))
        return run
    return add


@step("the package is installed with dpkg, its service runs, the binary is the package's")
def install(rig):
    guest = rig.guest
    guest.out(f"dpkg -i /mnt/host/{rig.package.name}", 600)
    rig.note("version", guest.out("till --version"))
    guest.out("getent passwd till && id -nG till | grep -w video | grep -w dialout | grep -w gpio")
    rig.note("ready_s", guest.wait("the service is up", "systemctl is-active --quiet till", 300))
    check(guest.out("stat -c '%U %a' /var/lib/till") == "till 750", "the state folder is not till's alone")
    # Roots alone may open it in a fresh guest: the package's udev rule has to have changed that.
    check(guest.out("stat -c '%G %a' /dev/$(gpiofind presence | cut -d' ' -f1)") == "gpio 660", "the udev rule for lines does not hold")


@step("roles are given by what a device is: /dev/till/tray, pos and scale lead to them")
def assign(rig):
    guest = rig.guest
    listed = json.loads(guest.out("till devices list --json", 120).splitlines()[-1])
    rig.log(json.dumps(listed))
    by_id = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_RIG-{}-if00-port0"
    devices = {"tray": "/dev/v4l/by-path/platform-vivid.0-video-index0", "pos": by_id.format("POS"), "scale": by_id.format("SCALE")}
    guest.out("till devices assign --yes " + " ".join(f"--role {role}={device}" for role, device in devices.items()), 120)
    for role, device in devices.items():
        check(guest.out(f"readlink -f /dev/till/{role}") == guest.out(f"readlink -f {device}"), f"/dev/till/{role} does not lead to {device}")


@step("camera, presence line, serial scale and POS are configured; the counter takes them")
def configure(rig):
    guest = rig.guest
    guest.out(f"install -d -o till -g till /var/lib/till/engines && cp -r /mnt/host/engine {OWN_ENGINE} && till engine check {OWN_ENGINE}", 120)
    # As doctor says of a fresh Debian.
    guest.out("mkdir -p /etc/systemd/journald.conf.d && printf '[Journal]\nSystemMaxUse=200M\n' > /etc/systemd/journald.conf.d/size.conf")
    began = time.monotonic()
    rig.configure()
    rig.note("ready_s", time.monotonic() - began)
    guest.out("till config check --config /etc/till/till.toml && till catalogue check --config /etc/till/till.toml")
    status = rig.counter.status()
    rig.note("engine", f"{status['engine']['name']} on {status['engine']['backend']}")


@step("till doctor finds nothing to mend that is not the emulator's")
def doctor(rig):
    code, output = rig.guest.run("till doctor --json", 120, check=False)
    report = json.loads(output.strip().splitlines()[-1])
    found = {finding["id"]: finding for finding in report["checks"] if finding["status"] in ("warn", "fail")}
    rig.note("checks", len(report["checks"]))
    rig.note("found", sorted(found))
    unexpected = {name: finding["detail"] for name, finding in found.items() if name not in rig.expected_findings}
    check(not unexpected, f"exit code {code}, unexpected: {unexpected}")


@step("a converter on the kernel's IIO is read: the dummy says 73 counts")
def converter(rig):
    output = rig.guest.out("cat /sys/bus/iio/devices/iio:device*/in_voltage0_raw")
    check(output == "73", f"the converter says {output}")


@step("sales of three carts: presence edge, camera, scale, POS, receipt")
def sale(rig):
    for scene in rig.counter.tray.scenes:
        took = rig.counter.sell(scene)
        rig.note(scene.name, {key: round(value, 1) for key, value in took.items()})
    rig.audit()


@step("the camera is pulled in the middle of a sale and comes back: the sale goes on")
def camera_unplugged(rig):
    counter = rig.counter
    scene, mark = counter.tray.scenes[0], counter.pos.mark()
    counter.present(True)
    counter.until("the sale began", lambda status: status["session"]["phase"] != "Idle")
    rig.guest.out("rig-hardware pull-camera")
    rig.note("noticed_s", counter.until("the loss is seen", lambda status: status["cameras"][0]["state"] != "streaming"))
    counter.lay(scene)
    rig.guest.out("rig-hardware camera")
    rig.note("back_s", counter.until("the camera streams again", lambda status: status["cameras"][0]["state"] == "streaming"))
    check(counter.pos.wait(mark, lambda event: event["event"] == "receipt", counter.limit_s), "the sale was not finished")
    counter.leave()
    counter.ready()
    rig.audit()


@step("the POS's cable is pulled in the middle of a sale and comes back: the sale is booked once")
def serial_unplugged(rig):
    counter = rig.counter
    scene, mark = counter.tray.scenes[0], counter.pos.mark()
    counter.come(scene)
    check(counter.pos.wait(mark, lambda event: event["event"] in ("cart", "offer"), counter.limit_s), "no goods seen")
    rig.unplug("pos")
    rig.note("noticed_s", counter.until("the loss is seen", lambda status: not linked(status)))
    rig.plug("pos")
    rig.note("back_s", counter.until("the link is up again", linked))
    check(counter.pos.wait(mark, lambda event: event["event"] == "receipt", counter.limit_s), "the sale was not finished")
    counter.leave()
    counter.ready()
    rig.audit()


@step("the scale's cable is pulled: nothing is sold without it; back, it weighs again")
def scale_unplugged(rig):
    counter = rig.counter
    rig.unplug("scale")
    rig.note("noticed_s", counter.until("the loss is seen", lambda status: status["trigger"].get("scale_error")))
    rig.plug("scale")
    rig.note("back_s", counter.until("it weighs again", lambda status: status["trigger"]["grams"] is not None and not status["trigger"].get("scale_error")))
    counter.ready()


@step("the power is cut in the middle of a sale: nothing lost, nothing doubled, the file system whole")
def power_cut(rig):
    typical_s = rig.counter.sell(rig.counter.tray.scenes[0])["rest_s"]
    rig.note("cut", cut_in_a_sale(rig, random.Random(rig.seed).uniform(0.1, 1), typical_s))


@step("an upgrade keeps books and edited configuration; so does the way back")
def upgrade(rig):
    guest = rig.guest
    before = guest.out("md5sum /etc/till/till.toml; dpkg-query -W -f '${Version}' till"), rig.counter.books()
    higher = rig.higher_package()
    guest.out(f"dpkg -i /mnt/host/{higher.name}", 600)
    check(guest.out("dpkg-query -W -f '${Version}' till").endswith("+rig"), "the higher version is not there")
    rig.counter.ready()
    check(rig.counter.books()[:len(before[1])] == before[1], "the books changed with the upgrade")
    rig.counter.sell(rig.counter.tray.scenes[0])
    guest.out(f"dpkg -i --force-downgrade /mnt/host/{rig.package.name}", 600)
    rig.counter.ready()
    check(guest.out("md5sum /etc/till/till.toml; dpkg-query -W -f '${Version}' till") == before[0], "configuration or version after the way back")
    rig.audit()


@step("the disk is full: selling stops and says so; with room again it sells")
def disk_full(rig):
    guest, counter = rig.guest, rig.counter
    guest.run("fallocate -l $(($(df --output=avail -B1 /var/lib/till | tail -1) - 65536)) /var/lib/till/ballast; dd if=/dev/zero of=/var/lib/till/ballast2 bs=4k; sync", 300, check=False)
    free = guest.out("df --output=avail -B1 /var/lib/till | tail -1")
    mark = counter.pos.mark()
    counter.come(counter.tray.scenes[0])
    rig.note("said_s", counter.until("a full disk is said", lambda status: status["outbox"]["error"] or (status["session"]["attention"] or "").lower().find("disk") >= 0))
    rig.note("free_bytes", int(free))
    rig.note("error", counter.status()["outbox"]["error"])
    check(counter.pos.wait(mark, lambda event: event["event"] == "receipt", 5) is None, "sold on a full disk")
    guest.out("rm -f /var/lib/till/ballast /var/lib/till/ballast2; sync")
    check(counter.pos.wait(mark, lambda event: event["event"] == "receipt", counter.limit_s), "with room again, the sale was not finished")
    counter.leave()
    counter.ready()
    rig.audit()


@step("a reboot in order: ready by itself, and it sells")
def reboot(rig):
    rig.guest.off()
    rig.note("boot_s", rig.power_on())
    rig.note("ready_s", rig.counter.ready())
    rig.counter.sell(rig.counter.tray.scenes[1])
    rig.audit()


@step("one sale with the demo's own network: thirteen seconds a picture when emulated, so the watchdog waits longer")
def sale_demo_engine(rig):
    rig.guest.out("mkdir -p /etc/systemd/system/till.service.d && printf '[Service]\\nWatchdogSec=120\\n' > /etc/systemd/system/till.service.d/rig.conf && systemctl daemon-reload")
    limit_s, rig.counter.limit_s = rig.counter.limit_s, 900
    try:
        rig.configure("/usr/share/till/engines/demo")
        rig.note("sale", {key: round(value, 1) for key, value in rig.counter.sell(rig.counter.tray.scenes[0]).items()})
        rig.note("picture_ms", rig.counter.status()["engine"]["latency_ms_p50"])
    finally:
        rig.counter.limit_s = limit_s
        rig.guest.out("rm /etc/systemd/system/till.service.d/rig.conf && systemctl daemon-reload")
        rig.configure()
    rig.audit()


@step("removal keeps the books, purge destroys them")
def purge(rig):
    guest = rig.guest
    guest.out("dpkg -r till", 300)
    guest.out("test -d /var/lib/till/outbox && test -e /etc/till/till.toml")
    guest.out("dpkg -P till", 300)
    guest.out("! test -e /var/lib/till && ! test -e /etc/till")
