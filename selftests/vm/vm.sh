#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
set -euo pipefail
VMDIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export VMDIR
TREE=$(cd "$VMDIR/../.." && pwd)
. "$VMDIR/lib.sh"
. "$VMDIR/root.sh"
. "$VMDIR/build.sh"
case ${1:-} in
setup) setup_root "${2:-}" ;;
chroot) shift; use_root; in_root "$TREE" "$@" ;;
*) usage_error "unknown command" ;;
esac
