#!/bin/bash
# Runs in the guest's root on the builder: prepares every server, and has each one serve once. Side by side, because
# most of them wait most of the time. One that fails ends the build with its name and the end of its log.
set -euo pipefail
cd "$(dirname "$0")"

declare -A running
for server in web app db stream tools; do
    "./$server.sh" >"/tmp/$server.log" 2>&1 </dev/null &
    running[$server]=$!
done
failed=0
for server in "${!running[@]}"; do
    if ! wait "${running[$server]}"; then
        failed=1
        printf 'The server %s could not be prepared in the guest image. The end of its log:\n' "$server" >&2
        tail --lines=25 "/tmp/$server.log" >&2
    fi
done
[ "$failed" = 0 ] || exit 1

# ffmpeg made the clip and has no further use in the guest.
apt-get purge --quiet=2 --yes --auto-remove ffmpeg >/tmp/purge.log 2>&1 || { cat /tmp/purge.log >&2; exit 1; }
find /var/log -type f -exec truncate --size=0 {} +
rm -rf /var/cache/apt/*.bin /var/lib/apt/lists/* /var/log/apt /var/cache/debconf/*-old
