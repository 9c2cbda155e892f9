#!/bin/sh
# Runs on the builder, in namespaces of its own (mount, network, PID, host name): $1 is the guest's root. What is
# started in there has the guest's name and an empty network, collides with no port of the builder, and ends with it.
set -eu
root=$1

mount --types proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --types tmpfs tmpfs "$root/run"
mount --types tmpfs tmpfs "$root/tmp"
chmod 1777 "$root/tmp"
mkdir -p "$root/run/lock"
hostname sodbench-guest
ip link set lo up
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive chroot "$root" /var/tmp/sodbench/all.sh
