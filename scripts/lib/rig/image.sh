#!/usr/bin/env bash
# Makes the guest of the rig: image.sh CACHE. Leaves CACHE/{vmlinuz,initrd,root.img};
# what is there already and made of the same is kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../setup.sh"
. "$here/packages.sh"
cache=$1
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# What it is made of is its key.
sum() { sha256sum | cut -c1-16; }
tree=$cache/tree-$(sum <<< "$GUEST_PACKAGES").tar
key=$(cd "$here" && cat packages.sh image.sh agent init hardware feed.c | sum)
if [ "$(cat "$cache/key" 2>/dev/null)" != "$key" ]; then rm -f "$cache/root.img" "$cache/initrd"; fi
[ "$(id -u)" = 0 ] || die "an image of another architecture is made by root: run it as root"
apt_install "${HOST_PACKAGES[@]}"
dpkg --print-foreign-architectures | grep -qx arm64 || { dpkg --add-architecture arm64; apt_is_fresh=; rm -f "$cache/kernel"; }

# The processor's programs run through qemu-user: the kernel has to know them by their first bytes.
if [ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; then
  [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  cat /usr/lib/binfmt.d/qemu-aarch64.conf > /proc/sys/fs/binfmt_misc/register
fi

# Debian's kernel of the day; a cache keeps the one that it was made with.
if [ ! -s "$cache/kernel" ]; then
  apt_update
  apt-cache depends linux-image-arm64:arm64 | sed -n 's/.*Depends: linux-image-\(6\.1\.[^ ]*-arm64\).*/\1/p' | head -n 1 > "$cache/kernel"
fi
KERNEL=$(cat "$cache/kernel")
[ -n "$KERNEL" ] || die "Debian 12's kernel for arm64 is not in apt's lists: this needs Debian 12"

debs=$cache/debs
mkdir -p "$debs"
# fetch PACKAGE FOLDER: unpacks a package's files without installing it.
fetch() {
  local file
  file=$debs/${1%%:*}.deb
  if [ ! -s "$file" ]; then
    apt_update
    (cd "$debs" && rm -f "${1%%:*}"_*.deb && apt-get download -qq "$1" && mv "${1%%:*}"_*.deb "$file")
  fi
  dpkg-deb -x "$file" "$2"
}

if [ ! -s "$tree" ]; then
  rm -f "$cache"/tree-*.tar
  say "Debian for arm64 (6 to 8 minutes)"
  mmdebstrap --quiet --format=tar --architectures=arm64 --variant=minbase --mode=root --skip=check/qemu --include="$GUEST_PACKAGES" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm "$cache/tree.new"
  mv "$cache/tree.new" "$tree"
fi

# Modules that Debian's kernel lacks, from its own sources: lines (gpio-sim) and a converter (IIO dummy).
modules=$cache/modules
if [ ! -e "$modules/done" ]; then
  say "kernel modules: gpio-sim, IIO dummy"
  kbuild=$cache/kbuild
  mkdir -p "$kbuild" "$modules"
  fetch "linux-headers-$KERNEL:arm64" "$kbuild"
  fetch "linux-headers-${KERNEL%-arm64}-common" "$kbuild"
  fetch linux-kbuild-6.1 "$kbuild"
  fetch linux-source-6.1 "$kbuild"
  headers=$kbuild/usr/src/linux-headers-$KERNEL
  sed -i "s#^include /usr/src/#include $kbuild/usr/src/#" "$headers/Makefile"
  wanted=(drivers/gpio/gpio-sim.c drivers/gpio/gpiolib.h kernel/irq/irq_sim.c drivers/iio/dummy/iio_simple_dummy.c
    drivers/iio/dummy/iio_simple_dummy.h drivers/iio/dummy/iio_simple_dummy_buffer.c drivers/iio/industrialio-configfs.c
    drivers/iio/industrialio-sw-device.c)
  tar -C "$modules" --transform 's#.*/##' -xf "$kbuild/usr/src/linux-source-6.1.tar.xz" "${wanted[@]/#/linux-source-6.1/}"
  # Not exported to modules; the same through what is.
  sed -i 's/irq_to_desc(\([a-z_.>-]*\))/irq_data_to_desc(irq_get_irq_data(\1))/' "$modules/irq_sim.c"
  cat > "$modules/Kbuild" <<'K'
obj-m := gpio-sim-rig.o industrialio-configfs.o industrialio-sw-device.o iio_dummy.o
gpio-sim-rig-y := gpio-sim.o irq_sim.o
iio_dummy-y := iio_simple_dummy.o iio_simple_dummy_buffer.o
ccflags-y := -DCONFIG_IRQ_SIM=1 -DCONFIG_IIO_SIMPLE_DUMMY_BUFFER=1 -DCONFIG_IIO_SW_DEVICE=1 -DCONFIG_IIO_CONFIGFS=1
K
  make -s -C "$headers" M="$modules" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- modules > "$cache/modules.log" 2>&1 ||
    die "the modules don't build: see $cache/modules.log"
  touch "$modules/done"
fi

if [ ! -s "$cache/root.img" ] || [ ! -s "$cache/initrd" ]; then
  say "the guest's disk"
  stage=$(mktemp -d "$cache/stage.XXXXXX")
  trap 'rm -rf "$stage"' EXIT
  root=$stage/root
  mkdir -p "$root"
  tar -C "$root" -xpf "$tree" --exclude='./dev/*'
  # Beside it first: unpacked over the tree, its folder /lib would take the place of the link to /usr/lib.
  fetch "linux-image-$KERNEL:arm64" "$stage/kernel"
  mkdir -p "$root/usr/lib/modules"
  mv "$stage/kernel/lib/modules/$KERNEL" "$root/usr/lib/modules/"
  install -D -t "$root/lib/modules/$KERNEL/extra" "$modules"/*.ko
  depmod -b "$root" "$KERNEL"
  cp "$stage/kernel/boot/vmlinuz-$KERNEL" "$cache/vmlinuz"
  rm -rf "${root:?}/boot"/* "$root/usr/share/doc" "$root/var/cache/apt"/*
  install -D -m 755 "$here/agent" "$root/usr/local/sbin/rig-agent"
  install -D -m 755 "$here/hardware" "$root/usr/local/sbin/rig-hardware"
  aarch64-linux-gnu-gcc -O2 -Wall -Wextra -Werror -static -o "$root/usr/local/sbin/rig-feed" "$here/feed.c"
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/etc/systemd/system/sysinit.target.wants" "$root/mnt/host"
  cat > "$root/etc/systemd/system/rig-agent.service" <<'U'
[Unit]
Description=Commands from the rig's host
DefaultDependencies=no
After=systemd-udevd.service systemd-tmpfiles-setup.service local-fs.target
BindsTo=dev-virtio\x2dports-agent.device
After=dev-virtio\x2dports-agent.device
[Service]
ExecStart=/usr/local/sbin/rig-agent
Restart=always
[Install]
WantedBy=multi-user.target
U
  # What a real box has soldered in is there before the counter starts.
  cat > "$root/etc/systemd/system/rig-hardware.service" <<'U'
[Unit]
Description=Lines, converter and camera of the rig
DefaultDependencies=no
After=systemd-udevd.service systemd-modules-load.service local-fs.target
Before=sysinit.target systemd-udev-settle.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/rig-hardware all
[Install]
WantedBy=sysinit.target
U
  cat > "$root/etc/systemd/system/rig-feed.service" <<'U'
[Unit]
Description=Pictures of the host before the rig's camera
DefaultDependencies=no
[Service]
ExecStart=/usr/local/sbin/rig-feed /dev/v4l/by-path/platform-vivid.0-video-index1 /mnt/host/scene 640 480
U
  ln -sf ../rig-agent.service "$root/etc/systemd/system/multi-user.target.wants/rig-agent.service"
  ln -sf ../rig-hardware.service "$root/etc/systemd/system/sysinit.target.wants/rig-hardware.service"
  # Nothing here needs them, and a hundred boots wait for each.
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount modprobe@drm.service modprobe@fuse.service \
    modprobe@efi_pstore.service modprobe@loop.service modprobe@dm_mod.service systemd-logind.service getty@tty1.service \
    serial-getty@ttyAMA0.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
  done
  echo rig > "$root/etc/hostname"
  printf '%s\n' '/dev/vda / ext4 rw,errors=remount-ro 0 1' 'host /mnt/host 9p trans=virtio,version=9p2000.L,ro 0 0' > "$root/etc/fstab"
  printf '%s\n' configfs 9pnet_virtio 9p > "$root/etc/modules-load.d/rig.conf"
  # The journal of a guest whose power is cut is read afterwards.
  mkdir -p "$root/var/log/journal"
  truncate -s 1400M "$stage/root.img"
  mke2fs -q -t ext4 -d "$root" -L rig "$stage/root.img"

  initrd=$stage/initrd
  mkdir -p "$initrd"/{bin,dev,proc,root,modules}
  fetch busybox-static:arm64 "$stage/busybox"
  cp "$stage/busybox/bin/busybox" "$initrd/bin/busybox"
  install -m 755 "$here/init" "$initrd/init"
  for module in virtio_pci virtio_blk ext4; do
    modprobe -S "$KERNEL" -d "$root" --show-depends "$module" | sed -n 's/^insmod //p'
  done | awk '!seen[$1]++ { print $1 }' | while read -r file; do
    cp "$file" "$initrd/modules/" && basename "$file" >> "$initrd/modules/order"
  done
  (cd "$initrd" && find . | cpio -o -H newc --quiet | gzip -1) > "$cache/initrd"
  mv "$stage/root.img" "$cache/root.img"
  echo "$key" > "$cache/key"
fi
