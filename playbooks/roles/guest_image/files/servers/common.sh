# Sourced by the servers' scripts.
# shellcheck shell=bash
set -Eeuo pipefail
trap 'echo "$0, line $LINENO: this failed: $BASH_COMMAND"' ERR

# await SECONDS COMMAND...: until the command succeeds; after SECONDS says so and fails.
await() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= end)); then
            echo "in vain waited for: $*" >&2
            "$@" >&2 || true
            return 1
        fi
        sleep 0.2
    done
}
