# SPDX-License-Identifier: GPL-2.0
"""
report.py RAW-DIR - writes RESULTS.md and the plots beside this file, and results.json into
RAW-DIR, from what run.sh put there: a file of lines "PART NAME SIZE ROUND ..." for each rig.
"""
import json
import os
import statistics
import subprocess
import sys

RAW = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    """{"PART NAME SIZE": [rounds]}, and what the file says of itself"""
    figures, said = {}, ""
    try:
        with open(f"{RAW}/{name}.txt", encoding="utf-8") as lines:
            for line in lines:
                words = line.split()
                if line.startswith("# ") and not said:
                    said = line[2:].strip()
                elif len(words) > 3 and words[2].isdigit():
                    figures[" ".join(words[:3])] = [float(word) for word in words[3:]]
    except FileNotFoundError:
        pass
    return figures, said


kernels = sorted(f[len("instructions-"):-len(".txt")] for f in os.listdir(RAW)
                 if f.startswith("instructions-") and f.endswith(".txt"))
rigs = {k: read(f"instructions-{k}") for k in kernels}
for other in ("uml", "native", "cpus", "lines", "here"):
    rigs[other] = read(other)
with open(f"{RAW}/results.json", "w", encoding="utf-8") as f:
    json.dump({rig: {"on": said, "figures": figures} for rig, (figures, said) in rigs.items()},
              f, indent=1)


def median(rig, key):
    rounds = rigs[rig][0].get(key)
    return statistics.median(rounds) if rounds else None


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def cell(rig, key, digits=0):
    """The median, and the spread in brackets where there is one to see"""
    rounds = rigs[rig][0].get(key)
    if not rounds:
        return "–"
    low, mid, high = (number(v, digits) for v in
                      (min(rounds), statistics.median(rounds), max(rounds)))
    return mid if low == high else f"{mid} ({low}..{high})"


def figure(key, times=1):
    """Of all kernels, in a sentence"""
    values = [median(k, key) for k in kernels]
    return " / ".join(number(v and v * times, 1) for v in values)


def ratio(rig, a, b):
    a, b = median(rig, a), median(rig, b)
    return a / b if a is not None and b else None


page = []


def table(head, rows):
    page.append("| " + " | ".join(head) + " |")
    page.append("|" + "---|" * len(head))
    page.extend("| " + " | ".join(row) + " |" for row in rows)
    page.append("")


def target(rows, what, limit, value_of, ok, on, why=""):
    """A row for each rig of @on: the figure, and whether it is what was aimed at"""
    for rig in on:
        value = value_of(rig)
        if value is None:
            verdict = "not measured"
        else:
            verdict = "met" if ok(value) else "**not met**" + (f": {why}" if why else "")
        rows.append([what, limit, {"uml": "UML", "native": "this processor",
                                   "lines": "–"}.get(rig, rig), number(value, 2), verdict])


def targets():
    rows = []
    uml = ["uml"]
    shared = "counts only on a machine that does nothing else: see its load above"

    def of(key):
        return lambda rig: median(rig, key)

    target(rows, "alloc + free of 16 KB, from C", "≤ 60 instructions",
           of("pairs costack 16384"), lambda v: v <= 60, kernels,
           f"the calls alone are {figure('pairs calls 0')}, the exchanges of the slot "
           f"{figure('pairs exchange 0')}, counting twice, by context, "
           f"{figure('pairs statistics 0', 2)}; the rest is the class of the size, the reference, "
           f"whether there is something to clear, and places for tracepoints")
    target(rows, "the same, 64 KB against 1 KB", "≤ 1.5 ×",
           lambda r: ratio(r, "pairs costack 65536", "pairs costack 1024"),
           lambda v: v <= 1.5, kernels)
    target(rows, "alloc + free of 16 KB, kfunc from XDP", "≤ 120 instructions",
           of("bpf costack 16384"), lambda v: v <= 120, kernels)
    target(rows, "alloc + free of 16 KB, nanoseconds", "≤ 10", of("pairs costack 16384"),
           lambda v: v <= 10, uml,
           "where a machine has one instruction for a CPU's own memory, UML looks up where that "
           "is, ten times for a pair; the next rows have the module as it is on a machine")
    for k in kernels:
        target(rows, f"the same, the module's own machine code for {k} in a plain program", "≤ 10",
               of(f"native costack_{k} 16384"), lambda v: v <= 10, ["native"], shared)
    target(rows, "resume + yield from TC, private stack", "≤ 150 instructions",
           of("tc resume_private 0"), lambda v: v <= 150, kernels)
    target(rows, "switch, there and back, nanoseconds", "≤ 20", of("pairs switch 0"),
           lambda v: v <= 20, uml)
    target(rows, "bpf_timer against resume + yield", "≥ 20 × the instructions",
           lambda r: ratio(r, "bpf later_timer 0", "tc resume_private 0"),
           lambda v: v >= 20, kernels,
           "a timer that fires at once is an interrupt and a callback, no more: see *going on "
           "later* below for what each does in all")
    target(rows, "bpf_wq against resume + yield", "≥ 20 × the instructions",
           lambda r: ratio(r, "bpf later_wq 0", "tc resume_private 0"),
           lambda v: v >= 20, kernels)
    target(rows, "SNI, ClientHello in five segments, against by hand", "≤ 1.15 ×",
           lambda r: ratio(r, "sni sni_five 0", "sni sni_plain_five 0"),
           lambda v: v <= 1.15, kernels)
    target(rows, "SNI, ClientHello in one segment, against by hand", "≤ 1.15 ×",
           lambda r: ratio(r, "sni sni_one 0", "sni sni_plain_one 0"),
           lambda v: v <= 1.15, kernels,
           f"a coroutine is made and given back for one packet, {figure('tc spawn_release 0')} "
           "instructions")
    target(rows, "the same, lines of code", "≤ 0.5 ×",
           lambda r: ratio(r, "lines sni 0", "lines sni_plain 0"), lambda v: v <= 0.5, ["lines"],
           "putting segments in order takes most lines of all three versions; by hand, all of a "
           "ClientHello is copied into 32 KB before it is looked at, so that there is no state to "
           "keep by hand either")
    target(rows, "burst of 64 × 16 KB, interrupts off: failures", "0",
           of("burst burst_costack_failed 16384"), lambda v: v == 0, kernels)
    target(rows, "the same from BPF, in a timer's interrupt", "0",
           of("burst bpf_costack_failed 16384"), lambda v: v == 0, kernels)
    for k in kernels:
        rows.append(["the same, `bpf_obj_new()` of 4,088 bytes (`bpf_mem_alloc`)", "", k,
                     number(median(k, "burst obj_new_failed 4088"), 2), "for comparison"])

    def reuse(rig):
        hits = ratio(rig, "mixed_trim_300 hits 0", "mixed_trim_300 allocs 0")
        return hits and 100 * hits

    target(rows, "reuse, %, demand that rises and falls twice a second, trimmed every 300 ms",
           "≥ 99 %", reuse, lambda v: v >= 99, kernels)

    def trim(rig):
        both = [rigs[rig][0].get(f"mixed_trim_{ms} mixed 0") for ms in (300, 600000)]
        return 100 * (sum(both[0]) / sum(both[1]) - 1) if all(both) else None

    target(rows, "cost of that trimming, %", "≤ 2 %", trim, lambda v: v <= 2, kernels,
           "what is fetched again is zeroed, and each byte of that counts")
    target(rows, "statistics, per operation", "≤ 6 instructions", of("pairs statistics 0"),
           lambda v: v <= 6, kernels, "the counting is one of them: the others ask which context it is")
    target(rows, "2 CPUs against 1, own stacks", "≥ 1.9 ×",
           lambda r: ratio(r, "threads own_costack 1", "threads own_costack 2"),
           lambda v: v >= 1.9, uml, shared)
    target(rows, "2 CPUs against 1, freed on the other CPU", "≥ 1.5 ×",
           lambda r: ratio(r, "threads other_costack 1", "threads other_costack 2"),
           lambda v: v >= 1.5, uml, shared)

    def memory(rig):
        parts = [median(rig, key) for key in ("memory class 512", "memory handle 0")]
        return sum(parts) if None not in parts else None

    target(rows, "bytes per suspended coroutine, dense: memory and handle", "≤ 1,024", memory,
           lambda v: v <= 1024, kernels)

    def dense(rig):
        pair = [median(rig, f"pairs switch{key}") for key in (" 0", "_copy 256")]
        return pair[1] - pair[0] if None not in pair else None

    target(rows, "copies of 256 bytes there and back, nanoseconds", "≤ 30", dense,
           lambda v: v <= 30, uml)
    table(["what", "target", "on", "figure", ""], rows)


def by_size(rig, digits):
    sizes = [512 << i for i in range(8)]
    names = ["costack", "costack_written", "kmalloc", "kzalloc", "kmem_cache", "mempool",
             "kmalloc_nolock", "objpool", "thread_stack", "vmalloc"]
    table(["pair of"] + [f"{s:,}" for s in sizes],
          [[name] + [cell(rig, f"pairs {name} {s}", digits) for s in sizes] for name in names
           if any(f"pairs {name} {s}" in rigs[rig][0] for s in sizes)])


def plot(name, title, xlabel, ylabel, series):
    """@series: {label: [(x, y)]}"""
    series = {label: points for label, points in series.items() if points}
    if not series:
        return
    data = "\n".join(f"$d{i} << EOD\n" + "\n".join(f"{x} {y}" for x, y in points) + "\nEOD"
                     for i, points in enumerate(series.values()))
    lines = ", ".join(f'$d{i} with linespoints lw 2 title "{label}"'
                      for i, label in enumerate(series))
    subprocess.run(["gnuplot"], check=True, text=True, input=f"""{data}
set terminal svg size 800,480 background "white"
set output "{HERE}/{name}.svg"
set title "{title}"
set xlabel "{xlabel}"
set ylabel "{ylabel}"
set logscale xy
set grid
set key outside noenhanced
plot {lines}
""")
    with open(f"{HERE}/{name}.svg", "r+", encoding="utf-8") as f:
        head, rest = f.readline(), f.read()
        f.seek(0)
        f.write(f"{head}<!-- SPDX-License-Identifier: GPL-2.0 -->\n{rest}")
    page.append(f"![{title}]({name}.svg)\n")


def points_of(rig, prefix):
    keys = [key for key in rigs[rig][0] if key.startswith(prefix + " ")]
    return sorted((int(key.split()[2]), median(rig, key)) for key in keys)


def pairs_plot(rig, name, title, ylabel):
    plot(name, title, "bytes", ylabel,
         {label: points_of(rig, f"pairs {label}") for label in
          ("costack", "costack_written", "kmalloc", "kzalloc", "kmem_cache", "mempool",
           "vmalloc")})


def later(rig_list):
    names = {"coroutine": "coroutine, taken from a map and put back", "call": "call, state in a map",
             "tail_call": "tail call, state in a map", "timer": "bpf_timer", "wq": "bpf_wq",
             "task_work": "bpf_task_work"}
    table(["going on later"] + rig_list,
          [[text] + [cell(r, f"bpf later_{name} 0") for r in rig_list]
           for name, text in names.items()])


def either(rig, key):
    """Of what is either cheap or not, by what was done before: both"""
    rounds = rigs[rig][0].get(key)
    return f"{number(min(rounds))} or {number(max(rounds))}" if rounds else "–"


def bpf(rig_list):
    rows = [(name, size) for name, sizes in
            (("costack", (1024, 4096, 16384, 65536)), ("obj_new", (1024, 4088)),
             ("hash", (1024, 4096, 16384)), ("arena", (4096, 16384, 65536))) for size in sizes]
    table(["pair from BPF", "bytes"] + rig_list,
          [[name, f"{size:,}"] + [(either if name == "obj_new" else cell)(r, f"bpf {name} {size}")
                                  for r in rig_list] for name, size in rows])


def sni(rig_list):
    what = {"other": "a packet that is none of its business", "syn": "SYN",
            "one": "ClientHello in one segment", "five": "ClientHello in five segments",
            "bytes": "bytes for a connection half-way"}
    for rig in rig_list:
        table([f"TLS example, {rig}", "coroutine", "frames", "by hand", "user space"],
              [[text] + [cell(rig, f"sni {version}_{key} 0")
                         for version in ("sni", "sni_frames", "sni_plain", "sni_user")]
               for key, text in what.items()])
    table(["lines of code", "coroutine", "frames", "by hand"],
          [["without comments"] + [cell("lines", f"lines {version} 0")
                                   for version in ("sni", "sni_frames", "sni_plain")]])


page.append("""<!-- SPDX-License-Identifier: GPL-2.0 -->
<!-- Written by report.py: `make bench` makes it anew. -->
# How costack stands beside what one could take instead

`make bench` made this page. Figures are medians of rounds, with the lowest and highest in
brackets. Instructions were counted in an emulated machine with one CPU, whose clock counts them
(`vm.sh run --icount`): they repeat, and say nothing of caches. A string instruction counts once
for each byte or word, so clearing and copying look dearer there than they are. Emulated machines
have no times: nanoseconds are from a kernel that is a program of this machine (User Mode Linux,
UML below), or from plain programs.
""")
for rig, (_, said) in rigs.items():
    if said:
        page.append(f"- {rig}: {said}")
page.append("\n## Targets\n")
targets()
page.append("""## Taking and giving back, from C

One loop for each; sizes are not known to the compiler. The kernel was told not to clear what it
allocates (`init_on_alloc=0`), which is better for all others; what costack gives out reads as
zero all the same. *costack_written*: all of the stack was handed out, and is cleared for the
next one, as *kzalloc* clears. *thread_stack*: the idea of the kernel's cache of thread stacks,
two for each CPU, cleared when taken. *vmalloc* cannot be called by programs.
""")
for k in kernels:
    page.append(f"Instructions, {k}:\n")
    by_size(k, 0)
if kernels:
    pairs_plot(kernels[-1], "pairs", f"take and give back, {kernels[-1]}", "instructions")
    plot("live", f"take and give back, of 512 bytes, with others live, {kernels[-1]}",
         "stacks live", "instructions",
         {name: points_of(kernels[-1], f"live live_{name}") for name in ("costack", "kmem_cache")})
if rigs["uml"][0]:
    page.append("""Nanoseconds, User Mode Linux. Disabling interrupts takes some 500 ns there, which
inflates what does that: objpool, vmalloc, kmalloc and mempool from 16 KB up. The CPU's own counters, one
instruction on a machine, are what the compiler makes of an addition (`uml/uml.h`).
""")
    by_size("uml", 1)
    pairs_plot("uml", "pairs-ns", "take and give back, User Mode Linux", "nanoseconds")
    table(["nanoseconds for a pair, both CPUs together", "1 thread", "2 threads"],
          [[name] + [cell("uml", f"threads {name} {n}", 1) for n in (1, 2)]
           for name in ("own_costack", "own_kmem_cache", "other_costack", "other_kmem_cache")])
    plot("live-ns", "take and give back, of 512 bytes, with others live, User Mode Linux",
         "stacks live", "nanoseconds",
         {name: points_of("uml", f"live live_{name}") for name in ("costack", "kmem_cache")})
page.append("""## From BPF

Instructions. From XDP, but for arenas, which 6.12 lets only sleepable programs have. *obj_new*:
`bpf_obj_new()` and `bpf_obj_drop()`, 4,088 bytes at most: little while what the CPU has cached is
neither too little nor too much, and much when each pair goes to the kernel's allocator. *hash*: insert and delete in a hash
map that is not preallocated, the value copied in.
""")
bpf(kernels)
page.append("""Going on later: all that the CPU does more than for an event with an empty program,
interrupts, workers and switches of tasks included. The coroutine is kept in a hash map and
looked up, as the others' state is; a resume and a yield alone are among the targets.
""")
later(kernels)
page.append("""## The job: server names of TLS connections

Instructions for a packet, by three versions of the same program (`sni.sh`). The one by hand
clears a map value of 32 KB, and each byte of that counts. *User space*: a parser that gets a copy
of each packet by AF_PACKET (`af_packet.c`), without waking or switching to it; it puts no segments
in order, so it does less.
""")
sni(kernels)
page.append("## Switches\n")
table(["there and back, nanoseconds", ""],
      [["costack_switch(), User Mode Linux", cell("uml", "pairs switch 0", 1)],
       ["Boost.Context, jump_fcontext()", cell("native", "native jump_fcontext 0", 1)],
       ["swapcontext()", cell("native", "native swapcontext 0", 1)],
       ["two threads with semaphores", cell("native", "native pthreads 0", 1)]])
page.append("""## More of it: coroutines, CPUs, memory

Instructions for a resume and a yield of one of many coroutines, dense, looked up in a map:
""")
many = sorted({int(key.split()[2]) for k in kernels for key in rigs[k][0]
               if key.startswith("bpf many ")})
table(["coroutines live"] + [f"{n:,}" for n in many],
      [[k] + [cell(k, f"bpf many {n}") for n in many] for k in kernels])
page.append(f"""Pairs of taking and giving back a stack of 16 KB from C: {figure("pairs costack 16384")}
instructions in a new pool, {figure("mixed_trim_300 costack_aged 16384")} in one that 48
million operations of all sizes have aged.

How CPUs get into each other's way: for a thousand stacks, how often a list that all CPUs share is
changed, and how often that had to be tried again since another CPU was faster. A CPU's own
stacks are on no such list; there are no locks. CPUs were emulated ones (`cpus.sh`), two of them at
once at most.
""")
cpus = [1, 2, 4, 8]
table(["CPUs"] + [str(n) for n in cpus],
      [[f"{text}, {kind}"] + [cell("cpus", f"cpus {what}_{kind} {n}", 3) for n in cpus]
       for what, text in (("own", "own stacks"), ("other", "given back by another CPU"))
       for kind in ("exchanges", "retries")])
page.append("""What using the end of one of 1,000 stacks costs, nanoseconds for eight cache lines (`native.c`):
all ends in the same sets of the caches, as allocators place them, or spread over 64 lines. That
is what could be gained by colouring, which is not done: it would take room off each stack.
""")
table(["bytes from one stack to the next", "same", "spread"],
      [[f"{size:,}"] + [cell("native", f"native ends_{how} {size}", 1)
                        for how in ("same", "coloured")] for size in (16384, 65536)])
page.append("""## What this does not say

How it does on a processor with the caches of packets in use: run `make bench` where `/dev/kvm`
works, or `BENCH=here make bench` as root on a machine whose kernel takes the module, for times of
all that is above (neither was tried yet, but for the parts in an emulated machine). Nor how more
than two CPUs do, nor NUMA.

Instructions repeat, within 2 % as a rule. What may differ by more from run to run is `kmalloc()` of
64 KB and `vmalloc()`, by how memory is fragmented, `bpf_obj_new()`, as said above, and costack with
ten others live.
""")
if rigs["here"][0]:
    page.append("Nanoseconds, here:\n")
    by_size("here", 1)
    bpf(["here"])
    later(["here"])
with open(f"{HERE}/RESULTS.md", "w", encoding="utf-8") as f:
    f.write("\n".join(page).rstrip("\n") + "\n")
