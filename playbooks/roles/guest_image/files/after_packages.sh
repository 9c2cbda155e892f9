#!/bin/sh
# Runs on the builder when all packages are installed: $1 is the guest's root. Makes the guest boot quickly and then
# stay idle, because its own activity is measured along with the workload.
set -eu
root=$1

# The name and the address come from the kernel command line; these are the fallbacks.
echo sodbench-guest >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 sodbench-guest\n' >"$root/etc/hosts"
# Every guest is a new layer over this image: the same machine each time, with no first boot.
uuidgen | tr -d - >"$root/etc/machine-id"
# The root file system is mounted by the initramfs as the command line says, and not checked again.
: >"$root/etc/fstab"

# No host key is in the image: each boot makes one of its own, in memory alone, before the SSH server starts. The
# controller reads its public half from the console. The line comes twice, as the kernel may write into one of them.
rm -f "$root"/etc/ssh/ssh_host_*
mkdir -p "$root/usr/local/lib/sodbench"
cat >"$root/usr/local/lib/sodbench/host_key" <<'END'
#!/bin/sh
set -eu
key=/run/sodbench/ssh_host_ed25519_key
mkdir -p -m 0700 /run/sodbench
ssh-keygen -q -t ed25519 -N '' -C sodbench-guest -f "$key"
read -r kind public _ <"$key.pub"
for _ in 1 2; do
    printf '\nsodbench-host-key %s %s\n' "$kind" "$public"
done >/dev/console
END
chmod 0755 "$root/usr/local/lib/sodbench/host_key"
cat >"$root/etc/systemd/system/sodbench-host-key.service" <<'END'
[Unit]
Description=Make the SSH host key of this boot and tell its public half on the console
Before=ssh.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/sodbench/host_key

[Install]
RequiredBy=ssh.service
END
cat >"$root/etc/ssh/sshd_config.d/sodbench.conf" <<'END'
HostKey /run/sodbench/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintLastLog no
END

# A guest with a TPM measures what it executes; others are spared the hashing. From the kernel's own policies only
# tcb would do, which also measures every file that root reads: data and logs, never twice the same.
mkdir -p "$root/etc/sodbench"
cat >"$root/etc/sodbench/ima-policy" <<'END'
measure func=BPRM_CHECK mask=MAY_EXEC
measure func=MMAP_CHECK mask=MAY_EXEC
measure func=MODULE_CHECK
END
cat >"$root/etc/systemd/system/sodbench-measured.service" <<'END'
[Unit]
Description=Measure every file that is executed from here on
ConditionKernelCommandLine=sodbench.measured
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
# The kernel takes a policy as the path of its file, once.
ExecStart=/bin/sh -c 'echo /etc/sodbench/ima-policy >/sys/kernel/security/ima/policy'

[Install]
WantedBy=sysinit.target
END

mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n' >"$root/etc/systemd/journald.conf.d/sodbench.conf"

# systemd-network-generator turns ip= of the command line into networkd's configuration.
systemctl --root="$root" --quiet enable systemd-network-generator.service systemd-networkd.service \
    serial-getty@ttyS0.service sodbench-measured.service sodbench-host-key.service
# A workload starts its own server and no other: each would dirty memory and take seconds of the boot.
systemctl --root="$root" --quiet disable apache2.service mariadb.service tomcat10.service
for unit in \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer logrotate.timer man-db.timer systemd-tmpfiles-clean.timer systemd-timesyncd.service \
    getty@tty1.service systemd-networkd-wait-online.service systemd-pstore.service systemd-firstboot.service \
    systemd-repart.service systemd-machine-id-commit.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-pcrphase.service systemd-pcrphase-sysinit.service \
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount \
    modprobe@configfs.service modprobe@drm.service modprobe@fuse.service \
    apache-htcacheclean.service apache-htcacheclean@.service phpsessionclean.timer phpsessionclean.service \
    postfix.service postfix@.service postfix-resolvconf.path postfix-resolvconf.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
rm -f "$root/etc/resolv.conf"
