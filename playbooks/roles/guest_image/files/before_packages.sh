#!/bin/sh
# Runs on the builder when the essential packages are unpacked and before the kernel is: $1 is the guest's root.
# A small initramfs with just the drivers of a virtio guest, quick to unpack also where the CPU is emulated.
set -eu
root=$1

mkdir -p "$root/etc/initramfs-tools/conf.d" "$root/etc/initramfs-tools/hooks"
cat >"$root/etc/initramfs-tools/conf.d/sodbench" <<'END'
MODULES=list
BUSYBOX=n
COMPRESS=lz4
RESUME=none
END
cat >"$root/etc/initramfs-tools/hooks/sodbench" <<'END'
#!/bin/sh
set -e
if [ "$1" = prereqs ]; then
    exit 0
fi
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_blk virtio_net virtio_rng ext4
END
chmod 0755 "$root/etc/initramfs-tools/hooks/sodbench"

# Of Postfix only its smtp-sink is used.
echo 'postfix postfix/main_mailer_type select No configuration' | chroot "$root" debconf-set-selections

# Java's packages put alternatives there, and no manual pages are unpacked that would make the folder.
mkdir -p "$root/usr/share/man/man1"
