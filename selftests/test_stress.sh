#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything at random, in all contexts at once, for a short time. Longer: make stress.

exec "$(dirname "${BASH_SOURCE[0]}")/.output/costack_stress" 8
