#!/bin/sh
# Runs in the root that the packages were unpacked into, by its busybox: builds what a small guest boots, in
# /small/made, from /small/tree and the sources next to it. It starts no program of the guest.
set -euo pipefail
cd /small
base=/small/base measured=/small/measured made=/small/made
busybox mkdir -p bin "$base" "$measured" "$made"
for applet in $(busybox --list); do
    busybox ln -sf /usr/bin/busybox "bin/$applet"
done
export PATH=/usr/sbin:/usr/bin:/small/bin LC_ALL=C.UTF-8

# Copies files into the tree $1, and with programs and libraries what they are linked to.
take() {
    tree=$1
    shift
    for path; do
        echo "$path"
        case $path in
        *.so* | /usr/bin/* | /usr/sbin/*)
            # A script is not linked to anything; a shared object may be linked statically.
            { /lib64/ld-linux-x86-64.so.2 --list "$path" 2>/dev/null || true; } |
                sed -n -e 's/.* => \(\/[^ ]*\) .*/\1/p' -e 's/^[[:blank:]]*\(\/[^ ]*\) (.*/\1/p'
            ;;
        esac
    done | sed -e 's|^/lib|/usr/lib|' | sort -u | while read -r path; do
        [ -e "$base$path" ] || [ -e "$tree$path" ] || { mkdir -p "$tree${path%/*}" && cp -L "$path" "$tree$path"; }
    done
}

archive() {
    (cd "$1" && find . -mindepth 1 | sort | /usr/bin/cpio --quiet --create --format=newc --owner=0:0 --reproducible)
}

cp -R tree/. "$base"
for folder in bin sbin lib lib64; do
    mkdir -p "$base/usr/$folder"
    ln -s "usr/$folder" "$base/$folder"
done
mkdir -p "$base/proc" "$base/sys" "$base/dev" "$base/tmp" "$base/run/sshd" "$base/var/empty"
cp /usr/bin/busybox "$base/usr/bin/busybox"
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$base/usr/bin/$applet"
done
ln -s usr/bin/init "$base/init"
take "$base" /usr/sbin/sshd /usr/bin/ssh-keygen /usr/bin/chrt
for program in memory clocks; do
    gcc -static -s -O2 -Wall -Wextra -Werror -o "$base/usr/bin/sodbench-$program" "$program.c"
done

# In the order in which they are loaded: each after what it needs.
mkdir -p "$base/usr/lib/modules"
version=$(basename /usr/lib/modules/*)
/usr/sbin/depmod "$version"
for name in virtio_pci virtio_rng virtio_net; do
    /usr/sbin/modprobe --set-version "$version" --show-depends "$name" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | while read -r file; do
    [ -e "$base/usr/lib/modules/${file##*/}" ] && continue
    cp "$file" "$base/usr/lib/modules/"
    echo "${file##*/}" >>"$base/usr/lib/modules/order"
done

# What Python loads, as bytecode only: with the sources it is twice as large.
python=$(basename /usr/bin/python3.[0-9]*[0-9])
"$python" closure.py >closure
take "$measured" $(cat closure)
find "$measured/usr/lib" -name '*.py' | xargs "$python" -m compileall -q -b --invalidation-mode unchecked-hash
find "$measured/usr/lib" -name '*.py' -exec rm {} +
ln -s "$python" "$measured/usr/bin/python3"
mkdir -p "$measured/etc/sodbench"
cp /etc/sodbench/attester.toml "$measured/etc/sodbench/attester.toml"

archive "$base" | lz4 -9 -l -q >"$made/initrd"
# The kernel unpacks one archive after another.
{ archive "$base" && archive "$measured"; } | lz4 -9 -l -q >"$made/initrd.measured"
cp /boot/vmlinuz-* "$made/vmlinuz"
"$python" kernel.py "$made/vmlinuz" "$made/vmlinux"
