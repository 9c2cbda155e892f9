#!/bin/sh
# Runs on the builder when the packages are unpacked into $1, and before their archives are removed.
set -eu
for archive in "$1"/var/cache/apt/archives/*.deb; do
    dpkg-deb --show --showformat='${Package} ${Version}\n' "$archive"
done >"$1/packages"
[ -s "$1/packages" ]
