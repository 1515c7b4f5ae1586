# SPDX-License-Identifier: GPL-2.0
# costack: module, BPF programs, tool and tests. `make help` lists the targets.

VERSION := 0.1.0

# Expanded once: GNU make 4.4 expands exported variables for each $(shell), and was seen to hang
# when such a variable has a $(shell) of its own.
ifndef KVER
  KVER := $(shell uname -r)
endif
KDIR ?= /lib/modules/$(KVER)/build
PREFIX ?= /usr/local
DESTDIR ?=
V ?= 0

# clang: the newest one that is there, since plain `clang` is often an old one.
ifndef CLANG
  CLANG := $(shell for c in clang-21 clang-20 clang-19 clang-18 clang-17 clang; do \
	   command -v $$c >/dev/null && echo $$c && break; done)
endif
export CLANG V PREFIX DESTDIR

VM := selftests/vm/vm.sh
KERNELS ?= 6.12 7.3
export KERNELS

ifeq ($(V),1)
  Q =
  msg = @:
else
  Q = @
  msg = @printf '  %-8s %s\n'
  MAKEFLAGS += --no-print-directory
endif

all: kmod bpf user

kmod:
	$(Q)test -e $(KDIR)/Makefile || { \
		echo "make: no kernel build tree at $(KDIR): install linux-headers-$(KVER)" \
		     "or give KDIR=" >&2; exit 1; }
	$(Q)$(MAKE) -C $(KDIR) M=$(CURDIR) COSTACK_VERSION=$(VERSION) V=$(V) modules

bpf:
	$(Q)test -n "$(CLANG)" || { echo "make: no clang: install clang, or give CLANG=" >&2; exit 1; }
	$(Q)$(MAKE) -C bpf

user:
	$(Q)$(MAKE) -C user COSTACK_VERSION=$(VERSION)

selftests: bpf kmod
	$(Q)$(MAKE) -C selftests
	$(Q)$(MAKE) -C $(KDIR) M=$(CURDIR)/selftests/modules V=$(V) \
		KBUILD_EXTRA_SYMBOLS=$(CURDIR)/Module.symvers modules

clean:
	$(Q)rm -f kmod/*.o kmod/*.ko kmod/*.mod kmod/*.mod.c kmod/.*.cmd .*.cmd \
		Module.symvers modules.order kmod/modules.order kmod/.*.d
	$(Q)cd selftests/modules && rm -f *.o *.ko *.mod *.mod.c .*.cmd .*.d \
		Module.symvers modules.order
	$(Q)$(MAKE) -C bpf clean
	$(Q)$(MAKE) -C user clean
	$(Q)$(MAKE) -C selftests clean

## On a machine that takes modules

install: all
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_PATH=$(DESTDIR) modules_install
	$(if $(DESTDIR),,depmod -a $(shell cat $(KDIR)/include/config/kernel.release))
	$(MAKE) -C bpf install
	$(MAKE) -C user install

uninstall:
	rm -f $(DESTDIR)/lib/modules/$(shell cat $(KDIR)/include/config/kernel.release)/updates/kmod/costack.ko*
	$(if $(DESTDIR),,depmod -a $(shell cat $(KDIR)/include/config/kernel.release))
	$(MAKE) -C bpf uninstall
	$(MAKE) -C user uninstall

DKMS_SRC := $(DESTDIR)/usr/src/costack-$(VERSION)

dkms-install:
	install -d $(DKMS_SRC)/kmod $(DKMS_SRC)/bpf
	install -m 644 Kbuild COPYING $(DKMS_SRC)/
	install -m 644 $(filter-out %.mod.c,$(wildcard kmod/*.[chS])) kmod/Kbuild $(DKMS_SRC)/kmod/
	install -m 644 bpf/costack_types.h $(DKMS_SRC)/bpf/
	sed 's/@VERSION@/$(VERSION)/' kmod/dkms.conf > $(DKMS_SRC)/dkms.conf
	$(if $(DESTDIR),,dkms install -m costack -v $(VERSION) -k $(KVER))

## In a throw-away virtual machine, on any machine

# 123 is a fault of the emulator: selftests/vm/README.md.
run:
	$(Q)for again in 1 2 3; do \
		$(VM) run -k $(firstword $(KERNELS)) -t 600 -- \
			bash -c 'selftests/demo/run.sh && echo && selftests/demo/redis.sh'; \
		status=$$?; [ $$status -eq 123 ] || exit $$status; \
	done; exit $$status

test:
	$(Q)selftests/test.sh

# What selftests/prog_tests/{fault,cos_kill,module}.c do a few times in the suite.
ROUNDS ?= 1000
faults:
	$(Q)for kernel in $(KERNELS); do \
		$(VM) run -k $$kernel -c 4 -m 4G -t 7200 -e ROUNDS=$(ROUNDS) -- \
			selftests/.output/test_progs -t fault_ -t cos_kill_anytime -t module_reload || \
			exit; \
	done

# How long: stress on each kernel, fuzz each target.
SECONDS ?= 60

# Everything at random, in all contexts at once, on each of KERNELS.
SEED ?=
stress:
	$(Q)SECONDS_EACH=$(SECONDS) SEED=$(SEED) selftests/stress.sh

# Each target for so long; selftests/fuzz/README.md.
fuzz:
	$(Q)selftests/fuzz/run.sh $(SECONDS)

fuzz-targets: bpf
	$(Q)$(MAKE) -C selftests $(patsubst selftests/progs/%.c,.output/%.o,$(wildcard selftests/progs/tool_*.bpf.c))
	$(Q)$(MAKE) -C selftests/fuzz fuzz

bench:
	$(Q)selftests/bench/run.sh

vm:
	$(Q)$(VM) shell -k $(firstword $(KERNELS))

lint:
	$(Q)selftests/lint.sh

## All kernel types, for those who want more than vmlinux.h

vmlinux.h.full:
	bpftool btf dump file /sys/kernel/btf/vmlinux format c > $@

help:
	@echo 'As root, on any Debian machine (a virtual machine is made, nothing else is touched):'
	@echo '  make run           boot, load the module, follow real TLS and Redis clients'
	@echo '  make test          all tests on all kernels ($(KERNELS)); last line: N passed, N failed'
	@echo '  make faults        loaders killed and the module reloaded ROUNDS=$(ROUNDS) times, and, on a'
	@echo '                     kernel that can, each of its allocations made to fail'
	@echo '  make stress        everything at random, in all contexts at once, for SECONDS=$(SECONDS)'
	@echo '                     on each kernel; SEED= makes the same choices again'
	@echo '  make fuzz          each fuzz target for SECONDS=$(SECONDS), parsers and tool in user space, then'
	@echo '                     the programs in the kernel; last line: N executions, N crashes'
	@echo '  make bench         measure it and what else one could take; writes'
	@echo '                     selftests/bench/RESULTS.md and its plots'
	@echo '  make vm            a shell in the virtual machine, first of KERNELS='
	@echo '  make lint          checkpatch, sparse, W=1, kernel-doc, shellcheck, codespell'
	@echo
	@echo 'On a machine whose kernel takes the module:'
	@echo '  make               build module, programs and tool'
	@echo '  make install       install all three below PREFIX=$(PREFIX) and /lib/modules'
	@echo '  make uninstall     and remove them'
	@echo '  make dkms-install  let DKMS build the module for each kernel'
	@echo '  make kmod bpf user selftests    build one part'
	@echo '  make clean'
	@echo
	@echo 'Variables: KDIR= kernel build tree ($(KDIR))'
	@echo '           KVER= kernel version, KERNELS= versions for run, test and vm'
	@echo '           CLANG= DESTDIR= PREFIX= V=1 (show commands)'
	@echo '           UNTESTED=y (build for a kernel newer than those tested)'

.PHONY: all kmod bpf user selftests clean install uninstall dkms-install run test faults stress fuzz \
	fuzz-targets bench vm lint help
