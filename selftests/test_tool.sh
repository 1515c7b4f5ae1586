#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tool: every command, what it says when something is wrong, and that it leaves
# nothing behind, whenever and however it ends.
set -euo pipefail

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$selftests/.."

TOOL=${TOOL:-user/costack}
BPFFS=/sys/fs/bpf
PINS=$BPFFS/costack
tmp=$(mktemp -d)
cgroup=/sys/fs/cgroup/costack_tool
out=''
err=''
status=0

cleanup()
{
	local d

	for d in "$PINS"/*/; do
		[[ ! -d $d ]] || rm -r "$d" || true
	done
	[[ ! -d $PINS ]] || rmdir "$PINS" || true
	ip link del ct.0 2>/dev/null || true
	[[ ! -d $cgroup ]] || rmdir "$cgroup"
	rm -rf "$tmp"
}
trap cleanup EXIT

absent=$OUTPUT/tool_absent.bpf.o
big=$OUTPUT/tool_big.bpf.o
co_exit=$OUTPUT/tool_co_exit.bpf.o
co_fixed=$OUTPUT/tool_co_fixed.bpf.o
co_helper=$OUTPUT/tool_co_helper.bpf.o
co_size=$OUTPUT/tool_co_size.bpf.o
costack=$OUTPUT/tool_costack.bpf.o
empty=$OUTPUT/tool_empty.bpf.o
events=$OUTPUT/tool_events.bpf.o
fib=bpf/fib.bpf.o
kinds=$OUTPUT/tool_kinds.bpf.o
late=$OUTPUT/tool_late.bpf.o
lirc=$OUTPUT/tool_lirc.bpf.o
net=$OUTPUT/tool_net.bpf.o
ops=$OUTPUT/tool_ops.bpf.o
ops_nolink=$OUTPUT/tool_ops_nolink.bpf.o
refused=$OUTPUT/tool_refused.bpf.o
xdp=$OUTPUT/tool_xdp.bpf.o

# run ARGS... - the tool; sets out, err, status. What stands in via comes before it.
via=()
run()
{
	status=0
	"${via[@]}" "$TOOL" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	# Not $(<...), which forks: there are 250 of these.
	IFS= read -r -d '' out <"$tmp/out" || true
	IFS= read -r -d '' err <"$tmp/err" || true
	out=${out%$'\n'}
	err=${err%$'\n'}
	# What JSON there was is looked at all at once, at the end.
	if [[ ${1:-} == -j ]]; then
		echo "$out" >>"$tmp/all.json"
	fi
}

# matches TEXT REGEX - '-': TEXT is empty; '*': anything
matches()
{
	case $2 in
	-) [[ -z $1 ]] ;;
	'*') ;;
	*) [[ $1 =~ $2 ]] ;;
	esac
}

# expect NAME STATUS STDOUT STDERR ARGS... - what the tool does, as regular expressions
expect()
{
	local name=$1 want=$2 stdout=$3 stderr=$4
	shift 4
	run "$@"
	if [[ $status -eq $want ]] && matches "$out" "$stdout" && matches "$err" "$stderr"; then
		ok "$name"
	else
		local args="$*"
		not_ok "$name" "costack ${args:0:200}" "status $status, not $want" \
			"stdout: ${out//$'\n'/ | }" "wanted: $stdout" \
			"stderr: ${err//$'\n'/ | }" "wanted: $stderr"
	fi
}

# good NAME STDOUT ARGS... - exits 0 and says nothing on stderr
good() { expect "$1" 0 "$2" - "${@:3}"; }

# fails NAME STDERR ARGS... - one line says why; misused: likewise, of the command line
line='[^[:cntrl:]]*'
fails() { expect "$1" 1 - "^costack: $line$2$line\$" "${@:3}"; }
misused() { expect "$1" 2 - "^costack: $line$2$line\$" "${@:3}"; }

nothing_pinned() { [[ ! -e $PINS ]]; }

# What the kernel holds: programs and links, by id.
count_kernel()
{
	bpftool prog show | grep -c '^[0-9]' || true
	bpftool link show | grep -c '^[0-9]' || true
}

# Programs are freed a moment after their last user.
kernel_is_as_before()
{
	local i now

	for ((i = 0; i < 300; i++)); do
		now=$(count_kernel)
		[[ $now != "$before" ]] || return 0
		sleep 0.1
	done
	echo "# programs and links: $now, before: $before" | tr '\n' ' '
	return 1
}

# ends_well NAME PID
ends_well()
{
	status=0
	wait "$2" || status=$?
	check_eq "$1" "$status" 0
}

wait_for() # PATH PID - or until the process, which should make it, has ended
{
	while [[ ! -e $1 ]]; do
		[[ -e /proc/$2 ]] || return 1
	done
}

send() # PORT TEXT [HOST]
{
	printf '%b' "$2" >"/dev/udp/${3:-127.0.0.1}/$1"
}

ktap_begin
unload
before=$(count_kernel)
mkdir "$cgroup"

## The command line

expect "without words: usage, exit status 2" 2 - "^Usage: "
good "help" "^Usage: costack .*OBJECT" help
good "-h" "^Usage: costack .*OBJECT" -h
good "prog help" "prog load FILE" prog help
good "stats help" "--watch" stats help
good "status help" "Exit status" status help
good "coroutine help" "coroutine types" coroutine help
good "top help" "--batch" top help
good "version" "^costack [0-9.]+, libbpf v[0-9.]+$" -V
good "version as JSON" '^\{"version":"[0-9.]+","libbpf_version":' -j version
good "options behind the object" '^\[\]$' prog list -j
good "words can be shortened" - pr li
misused "unknown object" "has no 'nonsense'" nonsense
misused "unknown option" "no option" --nonsense
misused "option without its value" "no option, or wants a value" --bpffs
misused "object without command" "wants a command" prog
misused "unknown command" "prog has no 'eat'" prog eat
misused "empty word" "has no ''" ""
misused "empty command" "prog has no ''" prog ""
misused "list takes no words" "takes no 'x'" prog list x
misused "load without file" "wants a FILE" prog load
misused "load with an empty file name" "wants a FILE" prog load ""
misused "load with an unknown word" "takes no 'eth0'" prog load "$xdp" eth0
misused "name without name" "name wants a NAME" prog load "$xdp" name
misused "dev without interface" "dev wants an interface" prog load "$xdp" dev
misused "cgroup without path" "cgroup wants a PATH" prog load "$xdp" cgroup
misused "count that is no number" "'1x' is not a number" \
	prog load "$events" dev lo --follow count 1x
misused "count of 0" "'0' is not a number" prog follow x count 0
misused "timeout that is too large" "not a number" prog follow x timeout 99999999999999999999
misused "count without follow" "add --follow" prog load "$events" dev lo count 1
misused "unload without name" "wants one NAME" prog unload
misused "coroutine without command" "wants a command" coroutine
misused "coroutine list takes no words" "takes no 'x'" coroutine list x
misused "nor does coroutine types" "takes no 'x'" co types x
misused "top with an unknown word" "takes no 'all'" top all
misused "top without interval" "interval wants a number" top interval
misused "top 0 times" "'0' is not a number" top count 0
misused "stats with an unknown word" "takes no 'all'" stats all
long=$(printf '%0100000d' 7)
misused "very long words" "has no '0000" "$long"
fails "a very long file name" "File name too long" prog load "$long" name x
misused "a very long name" "is no name" prog load "$xdp" name "$long"
fails "a very long bpffs" "no bpffs at" --bpffs "/$long" prog list
for name in ../x a/b -x .x "" "a b" "a~" $'a\nb' a.b x/../../y; do
	misused "no name: '${name//$'\n'/\\n}'" "is no name" prog load "$xdp" name "$name"
done
misused "unload ../x" "is no name" prog unload ../x
misused "attach a program called ../x" "no name of a program" prog attach x ../x dev lo

## Without the module

expect "status without module: 1, and what to do" 1 "not loaded.*insmod kmod/costack.ko" - status
fails "load what needs the module" \
	"calls bpf_costack_[a-z_]*, but the module costack is not loaded: insmod" \
	prog load "$costack" dev lo
fails "stats without module" "module costack is not loaded: insmod" stats
fails "coroutine list without module" "module costack is not loaded: insmod" co list
fails "top without module" "module costack is not loaded: insmod" top
check "nothing is left" nothing_pinned

objcopy -R .BTF "$KO" "$tmp/costack.ko"
if insmod "$tmp/costack.ko" 2>/dev/null; then
	expect "status: module without BTF" 1 "module BTF +NO .*install pahole" - status
	fails "load what needs the module's BTF" "module costack has no BTF" \
		prog load "$costack" dev lo
	unload
else
	not_ok "the module loads without BTF, and the tool says what to do" "insmod failed"
fi
insmod "$KO"

## status, and what it looks at

good "status" "module +ok +version" status
good "status: coroutines" "coroutines +ok +struct costack_ops, [0-9]+ kfuncs" status
good "status as JSON" '"ok":true.*"check":"kfuncs","ok":true' -j status
expect "status: no bpffs" 1 "bpffs +NO .*mount -t bpf" - --bpffs "$tmp" status
expect "status: no debugfs" 1 "debugfs +NO .*cannot be read.*mount -t debugfs" - \
	--debugfs "$tmp" status
expect "status: no debugfs, as JSON" 1 '^\{"ok":false,.*"todo":"mount' - -j --debugfs "$tmp" status
via=(setarch "$(uname -m)" --uname-2.6)
expect "status: kernel too old" 1 "kernel +NO +2\.6.*6\.12 or newer" - status
fails "load: kernel too old" "kernel 2\.6.* is too old: costack needs Linux 6.12" \
	prog load "$xdp" dev lo
via=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fails "load: no rights" "no rights to use BPF: run as root" prog load "$xdp" dev lo
expect "no rights, as JSON" 1 '^\{"error":"no rights' - -j prog list
fails "stats: no rights" "run as root" stats
fails "coroutine types: no rights" "run as root" co types
expect "status: no rights" 1 "rights +NO" - status
via=()

## Files that are no BPF objects

: >"$tmp/empty"
mkfifo "$tmp/fifo"
truncate -s 1G "$tmp/huge"
echo 'int main;' >"$tmp/source.c"
size=$(stat -c %s "$kinds")
printf 'BC\xc0\xde1234' >"$tmp/bitcode"
head -c 40 "$kinds" >"$tmp/short"
head -c $((size / 2)) "$kinds" >"$tmp/half"
head -c $((size - 1)) "$kinds" >"$tmp/cut"
printf '\x7fELF\x02\x02' | cat - <(tail -c +7 "$xdp") >"$tmp/endian"
refuse() { fails "load $1" "$2" prog load "$3" name x; }
refuse "a file that is not there" "cannot open '$tmp/none': No such file" "$tmp/none"
refuse "a directory" "is a directory" "$tmp"
refuse "a FIFO" "is no regular file" "$tmp/fifo"
refuse "a device" "is no regular file" /dev/zero
refuse "an empty file" "is empty" "$tmp/empty"
refuse "1 GB of nothing" "larger than 64 MB" "$tmp/huge"
refuse "a source file" "is no ELF file" "$tmp/source.c"
refuse "bitcode" "is LLVM bitcode" "$tmp/bitcode"
refuse "a program for this machine" "is made for x86-64, not for BPF" "$TOOL"
refuse "a kernel module" "is made for x86-64, not for BPF" kmod/costack.ko
refuse "the other byte order" "has the other byte order" "$tmp/endian"
refuse "40 bytes of an object" "truncated or damaged" "$tmp/short"
refuse "half an object" "truncated or damaged" "$tmp/half"
refuse "an object less one byte" "truncated or damaged" "$tmp/cut"
refuse "an object without programs" "has no BPF programs" "$empty"
misused "a file whose name is no name" "is no name" prog load "$tmp/bit code"
fails "an error is one line, whatever the file is called" 'a\\x0ab\\xff' \
	prog load "$tmp/a"$'\n'"b"$'\xff' name x
expect "and UTF-8 as JSON" 1 '^\{"error":"' - -j prog load "$tmp/a"$'\n'"b"$'\xff\xc3\xa9' name x
crashed=
for ((i = 1; i < 8; i++)); do
	head -c $((size * i / 8)) "$kinds" >"$tmp/cut$i"
	run prog load "$tmp/cut$i" name x
	[[ $status -eq 1 && $err == "costack: "* ]] || crashed+=" $i:$status"
done
check_eq "objects cut anywhere are refused" "$crashed" ""

## What is missing, or too much

fails "no such interface" "no interface 'nowhere'" prog load "$xdp" dev nowhere
fails "XDP without dev" "program pass \(xdp\) wants an interface: add dev" prog load "$xdp"
fails "dev that nobody wants" "no program wants an interface" prog load "$kinds" dev lo
misused "the same dev twice" "named twice" prog load "$xdp" dev lo dev lo
misused "noattach with dev" "leave out one" prog load "$xdp" noattach dev lo
fails "no such cgroup" "no cgroup '/sys/fs/cgroup/none'" \
	prog load "$net" dev lo cgroup /sys/fs/cgroup/none
fails "a cgroup that is none" "is no cgroup" prog load "$net" dev lo cgroup "$tmp"
fails "cgroup program without cgroup" "on_cgroup .* wants a cgroup" prog load "$net" dev lo
fails "cgroup that nobody wants" "no program wants a cgroup" \
	prog load "$xdp" dev lo cgroup "$cgroup"
fails "no bpffs" "no bpffs at $tmp: mount -t bpf" --bpffs "$tmp" prog load "$xdp" dev lo
fails "no such bpffs" "no bpffs at /nowhere" --bpffs /nowhere prog list
fails "what the verifier refuses" "refuses program reads_beyond: R[0-9] .*outside of the" \
	prog load "$refused" dev lo
expect "-d shows the whole log" 1 - "BEGIN PROG LOAD LOG.*R[0-9] .*outside.*costack: " \
	-d prog load "$refused" dev lo
expect "and without -d nothing disturbs JSON" 1 '^\{"error":.*reads_beyond' - \
	-j prog load "$refused" dev lo
fails "a function that is not there" "refers to what this kernel has not: .*no_such_function" \
	prog load "$absent"
fails "a type of program that is not there" "no programs of the type that decode wants" \
	prog load "$lirc"
fails "attached in part: all undone" "cannot attach second to kprobe/no_such_function" \
	prog load "$late"
fails "a map for which there is no memory" "(no memory to load|too large for the kernel).*make its" \
	prog load "$big"
fails "struct_ops without link" "has no link" prog load "$ops_nolink"
fails "unload what is not there" "nothing is loaded as 'none'" prog unload none
fails "follow what is not there" "nothing is loaded as 'none'" prog follow none
fails "attach what is not there" "nothing is loaded as 'none'" prog attach none dev lo
check "after all these nothing is pinned" nothing_pinned
check "and the kernel holds nothing" kernel_is_as_before

## Load, list, unload

expect "load what names its targets" 0 "^tool_kinds: 7 programs loaded$" \
	"^costack: called is loaded, not attached" prog load "$kinds"
good "list shows what is attached to what" \
	"on_fentry .* on bpf_fentry_test1.*on_kprobe .* on bpf_fentry_test1.*on_lsm .*path_chroot.*on_raw_tp .* on sched_process_exit.*on_tp_btf .* on sched_process_fork.*on_tracepoint .* on sched_process_exec.*map +bss.*map +shared" \
	prog list
# Packages of headers have it, too.
# shellcheck disable=SC2016 # another shell's
via=(unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf &&
	mount -t tmpfs none /usr/lib/modules && exec "$@"' -)
good "list without the kernel's BTF" "on_fentry .* tracing .* loaded" prog list
via=()
good "list as JSON" '"name":"tool_kinds","partial":false,"programs":\[' -j prog list
# shellcheck disable=SC2012 # names of ours
check_eq "all is pinned in one place" "$(ls $BPFFS | tr '\n' ' ')" "costack "
fails "the same name twice" "'tool_kinds' is loaded already" prog load "$kinds"
fails "follow without ring buffer" "events of 'tool_kinds' is no ring buffer" prog follow tool_kinds
good "unload" - prog unload tool_kinds
check "unload leaves nothing in bpffs" nothing_pinned
check "nor in the kernel" kernel_is_as_before

good "load struct_ops" "^tool_ops: 3" prog load "$ops"
check "it is registered" grep -qw costack_tool /proc/sys/net/ipv4/tcp_available_congestion_control
good "unload struct_ops" '"unloaded":"tool_ops"' -j prog unload tool_ops
check "it is not any more" grep -qvw costack_tool /proc/sys/net/ipv4/tcp_available_congestion_control

modprobe veth
ip link add ct.0 type veth peer name ct.1
ip link set ct.0 up
ip link set ct.1 up
expect "XDP, TC and cgroup; what is generic is said" 0 '"name":"net"' \
	"^costack: on_xdp on lo runs in generic mode" \
	-j prog load "$net" name net dev lo dev ct.0 cgroup "$cgroup"
good "list shows interfaces, modes and cgroups" \
	"on_cgroup-.* on $cgroup.*on_egress-ct_0 .* tcx_egress on ct.0.*on_egress-lo.*on_tc-ct_0 .* tcx_ingress on ct.0.*on_xdp-ct_0 .* on ct.0 \(native\).*on_xdp-lo .* on lo \(generic\)" \
	prog list
fails "XDP is busy" "cannot attach pass to ct.0: something is attached there already" \
	prog load "$xdp" dev ct.0
fails "busy after the first interface: all undone" "cannot attach pass to lo: something" \
	prog load "$xdp" dev ct.1 dev lo
good "so the first one is free" "^tool_xdp: 1 program loaded" prog load "$xdp" dev ct.1
ip link del ct.0
good "an interface that has gone" "pass-ct_1 .* an interface that is gone" prog list
ip link add ct.0 type veth peer name ct.1
ip link set ct.1 up
good "attach when it has come back" - prog attach tool_xdp dev ct.1
good "and it is attached" "pass-ct_1 .* on ct.1 \(native\)" prog list
run prog unload tool_xdp
good "unload what has lost an interface" - prog unload net

## Attach afterwards

good "load with noattach" "^net: 4 programs loaded, not attached$" \
	prog load "$net" name net noattach
good "nothing is attached" '"links":\[\]' -j prog list
fails "attach without target" "no program for that" prog attach net
fails "attach a program that is not there" "'net' has no program nobody" \
	prog attach net nobody dev lo
fails "attach to what it does not want" "on_cgroup .* wants a cgroup" prog attach net on_cgroup dev lo
fails "attach to too much" "is not attached to that: leave out cgroup" \
	prog attach net on_tc dev lo cgroup "$cgroup"
fails "attach to no interface" "no interface 'nowhere'" prog attach net on_tc dev nowhere
good "attach one" - prog attach net on_tc dev ct.0
fails "attach it again" "on_tc is already attached to ct.0" prog attach net on_tc dev ct.0
fails "attach all, one of which is" "on_tc is already attached" prog attach net dev ct.0
good "which undoes the others" '"links":\[\{"name":"on_tc-ct_0"[^]]*\]' -j prog list
expect "attach all that want an interface" 0 - "on_xdp on lo runs in generic" \
	prog attach net dev lo
good "attach to a cgroup" '"target":"'"$cgroup"'"' -j prog attach net cgroup "$cgroup"
fails "and again" "on_cgroup is already attached" prog attach net cgroup "$cgroup"
good "unload all of it" - prog unload net
expect "tracing with noattach" 0 "not attached$" - prog load "$kinds" noattach name kinds
good "attach fentry" - prog attach kinds on_fentry
good "attach a raw tracepoint" - prog attach kinds on_raw_tp
fails "kprobes cannot be attached later" "can only be attached when it is loaded" \
	prog attach kinds on_kprobe
fails "nor can what is only called" "is not attached to anything" prog attach kinds called
good "unload tracing" - prog unload kinds
check "nothing is left of that" kernel_is_as_before

## Follow

good "load with events" "^tool_events: 1" prog load "$events" dev lo
send 7777 'hello world\x01\\\xff'
send 7777 'six' ::1
send 7778 x
send 7779 x
send 7780 x
good "events that came while nobody looked" \
	'^[0-9:]{8}\.[0-9]{3} 127\.0\.0\.1:[0-9]+ -> 127\.0\.0\.1:7777 hello world\\x01\\x5c\\xff
[0-9:.]{12} \[::1\]:[0-9]+ -> \[::1\]:7777 six
event of type 4711, 48 bytes: 67120000[0]{56}
event of type 0, 3 bytes: 010000
.* \?:65535 -> \?:65535 (\\xff){256}$' \
	prog follow tool_events count 5 timeout 20
send 7777 "$(printf '%0300d' 7)"
send 7780 x
good "events as JSON" '"type":"flow",.*"dev":"lo",.*"src":"127.0.0.1",.*"dport":7777,.*"text":"0{256}"' \
	-j prog follow tool_events count 2 timeout 20
fails "fewer events than wanted" "0 of 1 events came: raise timeout" \
	prog follow tool_events count 1 timeout 1
"$TOOL" prog follow tool_events >"$tmp/follow" 2>&1 &
follower=$!
send 7777 first
until grep -q first "$tmp/follow"; do sleep 0.05; done
fails "two followers" "is followed by another" prog follow tool_events timeout 1
kill -9 $follower
wait $follower 2>/dev/null || true
send 7777 second
good "a follower that was killed does no harm" "second" prog follow tool_events count 1 timeout 20
"$TOOL" prog follow tool_events >"$tmp/follow" 2>&1 &
follower=$!
send 7777 third
until grep -q third "$tmp/follow"; do sleep 0.05; done
kill -INT $follower
ends_well "SIGINT ends following well" $follower
"$TOOL" -j prog follow tool_events >"$tmp/follow" 2>&1 &
follower=$!
send 7777 fourth
until grep -q fourth "$tmp/follow"; do sleep 0.05; done
good "unload while it is followed" - prog unload tool_events
ends_well "ends that" $follower
"$TOOL" prog load "$events" dev lo --follow count 1 timeout 20 >"$tmp/follow" 2>&1 &
follower=$!
wait_for "$PINS/tool_events" $follower || true
send 7777 fifth
ends_well "load and follow" $follower
check "which sees the event" grep -q fifth "$tmp/follow"
mkfifo "$tmp/reader"
"$TOOL" prog follow tool_events >"$tmp/reader" 2>"$tmp/err" &
follower=$!
send 7777 sixth
head -n 1 "$tmp/reader" >"$tmp/follow"
send 7777 seventh
expect_end() { timeout 20 tail --pid="$follower" -f /dev/null; }
check "a reader that goes away ends it" expect_end
run prog unload tool_events

## Killed, stopped, interrupted, raced

# start_load NAME - a loader that is stopped between its first steps and its last
start_load()
{
	local i stat

	for ((i = 0; i < 50; i++)); do
		"$TOOL" prog load "$kinds" name "$1" >"$tmp/loader" 2>&1 &
		loader=$!
		# The last thing made before libbpf loads, which takes a while.
		wait_for "$PINS/$1~/sections" "$loader" || true
		kill -STOP "$loader" 2>/dev/null || true
		while stat=$(cat "/proc/$loader/stat" 2>/dev/null) && [[ $stat != *") "[TZ]* ]]; do
			:
		done
		# What comes after that. It may have got there before it was stopped.
		[[ ! -d $PINS/$1~ || -n $(ls "$PINS/$1~/progs") ]] || return 0
		kill -CONT "$loader" 2>/dev/null || true
		wait "$loader" || true
		"$TOOL" prog unload "$1"
	done
}

start_load victim
kill -9 "$loader"
wait "$loader" 2>/dev/null || true
good "a loader that was killed" "^victim \(partial: its loader was killed" prog list
good "as JSON" '"name":"victim","partial":true,"loading":false' -j prog list
fails "its name" "a loader of 'victim' was killed: costack prog unload victim" \
	prog load "$kinds" name victim
good "unload what it left" - prog unload victim
check "nothing of it is left" nothing_pinned
check "nor in the kernel, either" kernel_is_as_before

start_load slow
good "a loader at work" "^slow \(being loaded\)" prog list
fails "the same name meanwhile" "'slow' is being loaded by another" prog load "$kinds" name slow
fails "unload meanwhile" "'slow' is being loaded" prog unload slow
kill -CONT "$loader"
ends_well "does its work" "$loader"
good "and is unloaded" - prog unload slow

for signal in INT TERM HUP; do
	start_load gone
	kill -$signal "$loader"
	kill -CONT "$loader"
	status=0
	wait "$loader" || status=$?
	check_eq "SIG$signal while loading" "$status $(<"$tmp/loader")" \
		"1 costack: interrupted: everything is undone"
	check "SIG$signal: all undone" nothing_pinned
done
check "nor is anything left in the kernel" kernel_is_as_before

"$TOOL" prog load "$xdp" name race dev lo >"$tmp/race1" 2>&1 &
one=$!
"$TOOL" prog load "$xdp" name race dev lo >"$tmp/race2" 2>&1 &
two=$!
status=0
wait $one || status=$((status + $?))
wait $two || status=$((status + $?))
check_eq "of two loaders at once one wins" "$status" 1
check_eq "and the other says why" \
	"$(cat "$tmp/race1" "$tmp/race2" | grep -c -e '^race: 1 program loaded' -e "'race' is .*loaded")" 2
good "unload what the winner loaded" - prog unload race

mkdir "$tmp/bpf"
mount -t bpf bpf "$tmp/bpf"
expect "load below another bpffs" 0 "^tool_xdp: 1 program loaded" "generic mode" \
	--bpffs "$tmp/bpf" prog load "$xdp" dev lo
umount "$tmp/bpf"
check "with the bpffs all goes that is pinned there" kernel_is_as_before
fails "and the tool says that it has none" "no bpffs at $tmp/bpf: mount -t bpf" \
	--bpffs "$tmp/bpf" prog list

## What others put there

mkdir -p "$tmp/precious" "$PINS/odd/links/deep"
: >"$tmp/precious/file"
ln -s "$tmp/precious" "$PINS/link"
ln -s "$tmp/precious" "$PINS/odd/progs"
ln -s "$tmp/precious/file" "$PINS/odd/links/file"
fails "a symbolic link is not followed" "cannot open $PINS/link" prog unload link
good "nor is it listed" '^odd$' prog list
good "nor those further down" - prog unload odd
check "what they point to is still there" test -e "$tmp/precious/file"
rm "$PINS/link"
rmdir "$PINS"

## With the module

good "load what uses the module" "^tool_costack: 1" prog load "$costack" dev lo
send 7777 x
check_eq "it holds a stack" "$(stat_of live)" 1
good "unload what uses the module" - prog unload tool_costack
check "then the module can be removed at once" rmmod costack
insmod "$KO"

good "stats" "obtained +[0-9]+.*limit_bytes .*iB.*classes.*kmalloc .*contexts.*nmi" stats
good "stats as JSON" '"stats":\{"obtained":[0-9]+,.*"classes":\{"rows":\[\{"backing":"kmalloc","size":512,' \
	-j stats
"$TOOL" stats --watch 1 >"$tmp/watch" 2>&1 &
watcher=$!
until grep -q '/s$' "$tmp/watch"; do sleep 0.1; done
kill -INT $watcher
ends_well "stats --watch prints rates until SIGINT" $watcher
"$TOOL" -j stats watch 1 >"$tmp/watch.json" 2>&1 &
watcher=$!
until [[ $(wc -l <"$tmp/watch.json") -ge 2 ]]; do sleep 0.1; done
kill -TERM $watcher
ends_well "stats --watch as JSON" $watcher
cat "$tmp/watch.json" >>"$tmp/all.json"
check "which has rates" grep -q '"rates":{"stats":{"obtained":' "$tmp/watch.json"
status=0
"$TOOL" -j stats >/dev/full 2>"$tmp/err" || status=$?
check_eq "output that cannot be written" "$status $(grep -c '^costack: cannot write' "$tmp/err")" "1 1"

## Coroutines

# types_named NAME - how many types of that name are attached
types_named() { awk -v name="$1" '/^stacks:/ { exit } $2 == name' "$DEBUGFS/depth" | wc -l; }

good "no coroutines" "^none$" coroutine list
good "no types" "^no types" coroutine types
good "no coroutines, as JSON" '^\{"coroutines":\[\],"more":0\}$' -j co list
good "top of nothing" "no types" top

ip link set ct.0 up
ip addr add 192.0.2.1/24 dev ct.0
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev ct.0
good "load coroutines" "^fib: 2 programs loaded$" prog load "$fib" dev lo
good "and again, elsewhere" '"name":"fib2"' -j prog load "$fib" name fib2 dev ct.1
for ((i = 0; i < 5; i++)); do
	send 7777 x
	send 7777 x 192.0.2.2
done
good "both run" \
	"^id +ops +state.*[0-9]+ +fib +suspended +[0-9]+ .*[0-9]+ +fib +suspended +[0-9]+ .* s +[0-9]+ +[0-9]+ +no" co list
good "as JSON" '"ops":"fib","state":"suspended","cpu":[0-9]+,"age_ms":[0-9]+,"resumes":[0-9]+,.*,"more":0\}$' \
	-j coroutine list
good "types with numbers of their own" \
	"^ops +id +coroutines.*fib +0x[0-9a-f]+ +1 +none +shared.*fib +0x[0-9a-f]+ +1 +none +shared.*execution stacks.*tasks_and_softirqs .*how deep" \
	co types
good "types as JSON" '^\{"types":\[\{"id":"0x[0-9a-f]+","name":"fib",.*"depth":\{"256":[0-9]+,.*"live":\{"256".*"stacks":\[\{"cpu":0,"for":"tasks_and_softirqs","size":[0-9]+,' \
	-j co types
first=$(awk '$2 == "fib" { print $1; exit }' "$DEBUGFS/depth")
good "list shows whose is whose" \
	"fib_ops .*struct_ops, type of coroutines 0x.*fib_ops .*struct_ops, type of coroutines 0x" prog list
good "by the number" "\"name\":\"fib_ops\",[^}]*\"ops_id\":\"$first\"" -j prog list
check_eq "two types" "$(types_named fib) $(awk '$2 == "fib" { print $1 }' "$DEBUGFS/depth" | sort -u | wc -l)" "2 2"
check_eq "no spawn missed its type" "$(stat_of co_fail_type)" 0
# Other packets may come between.
resumes_add_up()
{
	local i

	for ((i = 0; i < 20; i++)); do
		run -j co types
		[[ $(python3 -c 'import json, sys
print(sum(t["resumes"] for t in json.loads(sys.argv[1])["types"]))' "$out") != "$(stat_of co_resumed)" ]] || return 0
	done
	return 1
}
check "resumes are counted by type" resumes_add_up
good "stats shows them" "co_spawned +[0-9]+.*coroutines.*fib +suspended.*depth.*fib +0x.*execution stacks" stats
good "stats as JSON, too" '"coroutines":\{"rows":\[\{"id":.*"depth":\{"rows":.*"stacks":' -j stats
"$TOOL" -j stats --watch 1 >"$tmp/watch.json" 2>&1 &
watcher=$!
rates='"rates":{"stats":{.*"co_resumed":[1-9].*"depth":{.*"resumes":[1-9]'
for ((i = 0; i < 300; i++)); do
	! grep -q "$rates" "$tmp/watch.json" || break
	send 7777 x
	sleep 0.1
done
kill -TERM $watcher
ends_well "stats --watch with coroutines" $watcher
check "it has rates of resumes" grep -q "$rates" "$tmp/watch.json"
cat "$tmp/watch.json" >>"$tmp/all.json"
good "top into a pipe" "^coroutines 2, types 2, .*a second: spawned 0, resumed [0-9]+,.*fib +0x" top
expect_frames() { [[ $(wc -l <"$tmp/out") -eq 2 ]]; }
good "top as JSON" '^\{"seconds":.*"types":\[\{"name":"fib",.*"resumed_per_second":' -j top count 2 interval 1
check "as many times as is said" expect_frames
status=0
script -qec "$TOOL top" /dev/null >"$tmp/screen" < <(sleep 2; printf q; sleep 20) || status=$?
check_eq "top on a terminal ends with q" "$status $(grep -c 'coroutines 2' "$tmp/screen" | sed 's/[1-9].*/+/')" "0 +"

fails "the same name" "'fib' is loaded already" prog load "$fib" dev lo
good "unload one" - prog unload fib
check_eq "its type is gone" "$(types_named fib)" 1
send 7777 x 192.0.2.2
good "the other runs" "^[^ ]+ +ops.*fib +suspended" co list
good "its number is free again" "^fib: 2" prog load "$fib" dev lo
good "unload both" - prog unload fib
good "unload the second" - prog unload fib2
check_eq "no type is left" "$(types_named fib)" 0
good "no coroutine is left" "^none$" co list
check "nothing is pinned" nothing_pinned
check "the kernel holds none of it" kernel_is_as_before

loaders=()
for ((i = 0; i < 3; i++)); do
	"$TOOL" prog load "$fib" name "fib$i" dev lo >"$tmp/fib$i" 2>&1 &
	loaders+=($!)
done
status=0
for pid in "${loaders[@]}"; do
	wait "$pid" || status=$((status + 1))
done
check_eq "loaders at once find different numbers" "$status $(types_named fib)" "0 3"
# What it is without --debugfs: without a look at who has which number.
good "and so they do blindly" "^fib3: 2 programs" --debugfs "$tmp" prog load "$fib" name fib3 dev lo
for ((i = 0; i < 4; i++)); do
	run prog unload "fib$i"
done
check_eq "all are unloaded" "$(types_named fib)" 0
good "load without attaching makes no type" "not attached$" prog load "$fib" noattach
good "there is none" "^no types" co types
good "unload that" - prog unload fib

good "a type with a number of its own" "^tool_co_fixed: 1" prog load "$co_fixed"
fails "which can only be loaded once" \
	"tool_fixed_ops: ops id 0x1267 is taken by ops 'tool_fixed', already loaded\?" \
	prog load "$co_fixed" name again
good "unload it" - prog unload tool_co_fixed
fails "a body that the module refuses" \
	"refuses body tool_exits_earl: instruction [0-9]+: exit without bpf_costack_finish\(\): define it" \
	prog load "$co_exit"
expect "as JSON" 1 '^\{"error":"[^"]*refuses body tool_exits_earl: instruction' - -j prog load "$co_exit"
fails "a type that the module refuses" \
	"refuses ops 'tool_second': frame_size 65537 is out of range" prog load "$co_size"
check_eq "nor is its companion there" "$(types_named tool_first)" 0
fails "a helper that bodies must not call" \
	"tool_helper: .*helper bpf_get_current_task.*costack.bpf.h says what a body may call" \
	prog load "$co_helper"
restrict=$(</proc/sys/kernel/dmesg_restrict)
echo 1 >/proc/sys/kernel/dmesg_restrict
via=(setpriv --bounding-set=-syslog --inh-caps=-syslog)
fails "no right to read the kernel log" \
	"refuses program tool_exits_early: .*the kernel log says why \(dmesg\)" prog load "$co_exit"
via=()
echo "$restrict" >/proc/sys/kernel/dmesg_restrict
check "nothing of these is left" nothing_pinned
check "the kernel is rid of them, too" kernel_is_as_before

## Figures

echo 1 >"$DEBUGFS/latency_enable"
good "latency when it is measured" "latency" stats
echo 0 >"$DEBUGFS/latency_enable"

# Files as nobody should write them. The others are good, so that they are reached.
mkdir "$tmp/debugfs"
for f in stats classes contexts latency coroutines depth; do
	cp "$DEBUGFS/$f" "$tmp/debugfs/$f"
done
cp "$tmp/debugfs/stats" "$tmp/stats.good"
cp "$tmp/debugfs/classes" "$tmp/classes.good"
cp "$tmp/debugfs/coroutines" "$tmp/coroutines.good"
cp "$tmp/debugfs/depth" "$tmp/depth.good"
good "copies of the files are as good" '"obtained"' -j --debugfs "$tmp/debugfs" stats
wrong()
{
	cat >"$tmp/debugfs/$2"
	fails "stats: $1" "$3" --debugfs "$tmp/debugfs" stats
	cp "$tmp/$2.good" "$tmp/debugfs/$2"
}
wrong "an empty file" stats "is not what the module writes" </dev/null
wrong "random bytes" stats "is not what the module writes" < <(head -c 10000 /dev/urandom)
wrong "zeros behind a good beginning" stats "is not what the module writes" \
	< <(echo "costack-stats: 1"; head -c 100 /dev/zero)
wrong "another version" stats "has format 2, this tool knows 1" <<<"costack-stats: 2"
wrong "a version that is none" stats "has format 1x" <<<"costack-stats: 1x"
wrong "a line that is cut off" stats "is not what the module writes" \
	< <(printf 'costack-stats: 1\nobtained: 4')
wrong "a line without value" stats "line 2 is unreadable" <<<$'costack-stats: 1\nobtained:'
wrong "a line of 2 MB" stats "(is not what the module writes|line 2 is unreadable)" \
	< <(echo "costack-stats: 1"; head -c 2000000 /dev/zero | tr '\0' x; echo)
wrong "too many columns" classes "line 2 is unreadable" < <(echo "costack-classes: 1"; seq -s ' ' 99)
wrong "a row with fewer words" classes "line 3 is unreadable" \
	<<<$'costack-classes: 1\na b c\n1 2'
wrong "two columns of one name" classes "line 3 is unreadable" <<<$'costack-classes: 1\na a\n1 2'
wrong "a figure that comes twice" stats "line 3 is unreadable" <<<$'costack-stats: 1\na: 1\na: 2'
wrong "a figure in the place of a table" classes "line 4 is unreadable" \
	<<<$'costack-classes: 1\nrows: 5\na: 6\na b'
wrong "a figure that is called as the table" coroutines "line 4 is unreadable" \
	<<<$'costack-coroutines: 1\na b\n1 2\nrows: 5'
wrong "a row behind the figures with fewer words" coroutines "line 4 is unreadable" \
	<<<$'costack-coroutines: 1\nid ops\nmore: 0\n7'
wrong "a table without columns" depth "line 4 is unreadable" \
	<<<$'costack-depth: 1\na b\n1 2\nstacks:'
wrong "two names for a table" depth "line 2 is unreadable" <<<$'costack-depth: 1\na:\nb:\n1 2'
wrong "two tables of one name" depth "line 5 is unreadable" \
	<<<$'costack-depth: 1\na:\nx y\na:\nx y'
odd() # NAME FILE STDOUT COMMAND... - the file is read, whatever it says
{
	cat >"$tmp/debugfs/$2"
	good "$1" "$3" --debugfs "$tmp/debugfs" "${@:4}"
	run -j --debugfs "$tmp/debugfs" "${@:4}"
	cp "$tmp/$2.good" "$tmp/debugfs/$2"
}
columns="id ops state cpu age_ms resumes kept private"
big_number=99999999999999999999999
odd "more coroutines than are shown" coroutines "^id .*7 +fib .*and 12 more$" co list \
	<<<"costack-coroutines: 1"$'\n'"$columns"$'\n7 fib new 0 1 1 1 0\nmore: 12'
odd "of which stats shows some" coroutines "and 84 more" stats \
	< <(echo "costack-coroutines: 1"; echo "$columns"; seq -f "%.0f fib new 0 1 1 1 0" 100)
odd "coroutines: words in the place of numbers" coroutines "^id .*a +b +c" co list \
	<<<"costack-coroutines: 1"$'\n'"$columns"$'\na b c d e f g h\nmore: many'
odd "coroutines: numbers that are too large" coroutines "^id .*$big_number" co list \
	<<<"costack-coroutines: 1"$'\n'"$columns"$'\n'"$big_number 1 2 -$big_number $big_number $big_number -5 $big_number"
odd "coroutines: other columns" coroutines "^id " co list <<<$'costack-coroutines: 1\nx y\n1 2'
odd "coroutines: none, and no table" coroutines "^none$" co list <<<"costack-coroutines: 1"
odd "coroutines: a figure in the place of the table" coroutines "^none$" co list \
	<<<$'costack-coroutines: 1\nrows: 5'
odd "types: no table" depth "^no types$" co types <<<"costack-depth: 1"
odd "types: figures in the place of tables" depth "^no types$" co types \
	<<<$'costack-depth: 1\nrows: 5\nstacks: 6'
odd "types: strange histograms" depth "x +0x1" co types \
	<<<$'costack-depth: 1\nid name depth_ depth_x depth_99999999999999999999 live_256 depth_256\n0x1 x 1 1 1 1 -1'
odd "top: other columns" depth "types 2" top <<<$'costack-depth: 1\nx y\n1 2\n3 4'
odd "top: a figure in the place of the table" depth "types 0" top <<<$'costack-depth: 1\nrows: 5'
rm "$tmp/debugfs/depth"
fails "types: an older module" "there is no .*depth: use the tool and the module" \
	--debugfs "$tmp/debugfs" co types
fails "top, likewise" "there is no .*depth: use the tool and the module" --debugfs "$tmp/debugfs" top
cp "$tmp/depth.good" "$tmp/debugfs/depth"
rm "$tmp/debugfs/stats"
mkfifo "$tmp/debugfs/stats"
fails "stats: a FIFO" "cannot read .*stats" --debugfs "$tmp/debugfs" stats
rm "$tmp/debugfs/stats"
fails "stats: a file that is not there" "there is no .*mount -t debugfs" --debugfs "$tmp/debugfs" stats

## Completion and manual

complete_words() # WORDS... - the last one is being typed
{
	COMP_WORDS=(costack "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_costack
	printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '
}
complete() { :; }	# no readline here
# shellcheck source=/dev/null
source user/bash-completion/costack
run prog load "$ops" name loaded
check_eq "complete objects" "$(complete_words st)" "stats status "
check_eq "complete commands" "$(complete_words -j prog l)" "list load "
check_eq "complete commands of coroutine" "$(complete_words coroutine "")" "help list types "
check_eq "complete words of top" "$(complete_words top i)" "interval "
check_eq "complete options" "$(complete_words --d)" "--debug --debugfs "
check_eq "complete names" "$(complete_words prog unload l)" "loaded "
check_eq "complete programs" "$(complete_words prog attach loaded tool_s)" "tool_ssthresh "
check_eq "complete interfaces" "$(complete_words prog load x.o dev l)" "lo "
check_eq "complete files" "$(complete_words prog load "$OUTPUT/tool_xd")" "$OUTPUT/tool_xdp.bpf.o "
check_eq "complete keywords" "$(complete_words prog load x.o no)" "noattach "
run prog unload loaded
unset -f complete

missing=
for word in $(run help; grep -o -e '--[a-z]*' <<<"$out" | sort -u) status 'prog load' 'prog attach' \
	'prog list' 'prog follow' 'prog unload' 'coroutine list' 'coroutine types' stats top; do
	grep -qF -e "${word//-/\\-}" user/costack.8 || missing+=" $word"
done
check_eq "the manual knows every option and command" "$missing" ""

## Everything

parse_json() { python3 -m json.tool --json-lines <"$tmp/all.json" >"$tmp/parsed"; }
check "all JSON is JSON" parse_json
check_eq "none of it is empty" "$(grep -c '^$' "$tmp/all.json" || true)" 0
good "nothing is loaded in the end" '^\[\]$' -j prog list
check "nothing is pinned in the end" nothing_pinned
check "the kernel is as before" kernel_is_as_before
unload

ktap_end
