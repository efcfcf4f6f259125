# shellcheck shell=bash
# What the rig's guest is made of. A change here, in image.sh or in agent makes a new image.

GUEST_PACKAGES=systemd,systemd-sysv,udev,kmod,dbus,adduser,procps,iproute2,e2fsprogs,strace,gpiod,v4l-utils,libgstreamer1.0-0,libgstreamer-plugins-base1.0-0,gstreamer1.0-plugins-base,gstreamer1.0-plugins-good,libturbojpeg0
# To make it and to run it.
HOST_PACKAGES=(mmdebstrap arch-test qemu-system-arm qemu-utils qemu-user-static e2fsprogs cpio gcc-aarch64-linux-gnu libc6-dev-arm64-cross make python3)
