#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Instructions of a resume and a yield, in a guest that counts them:
#
#	selftests/vm/vm.sh run --icount -k 6.12 -- selftests/bench/resume.sh
#
# KTAP, as resume.c says.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$selftests"

insmod "$KO"
"$OUTPUT/bench_resume"
