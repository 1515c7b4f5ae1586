// SPDX-License-Identifier: GPL-2.0
/*
 * Object files, before libbpf sees them: it says little about what is wrong with
 * one, and trusts some of what an ELF file says about itself.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/btf.h>

#include "cmd.h"
#include "object.h"

#define OBJECT_MAX	(64 << 20)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_DATA	ELFDATA2LSB
#else
#define HOST_DATA	ELFDATA2MSB
#endif

static int bad_elf(const char *path)
{
	return fail("%.200s is truncated or damaged: compile it again (clang -g -O2 -target bpf)",
		    path);
}

static const char *machine_name(unsigned int machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86-64";
	case EM_386:
		return "x86";
	case EM_AARCH64:
		return "arm64";
	case EM_RISCV:
		return "RISC-V";
	default:
		return "another machine";
	}
}

static int check_header(const char *path, const struct object_file *file)
{
	static const unsigned char bitcode[] = { 'B', 'C', 0xc0, 0xde };
	Elf64_Ehdr hdr;

	if (!file->size)
		return fail("%.200s is empty: did the compiler fail?", path);
	if (file->size >= sizeof(bitcode) && !memcmp(file->data, bitcode, sizeof(bitcode)))
		return fail("%.200s is LLVM bitcode: compile it without -flto or -emit-llvm", path);
	if (file->size < SELFMAG || memcmp(file->data, ELFMAG, SELFMAG))
		return fail("%.200s is no ELF file: give a BPF object file (clang -g -O2 -target bpf)",
			    path);
	if (file->size < sizeof(hdr))
		return bad_elf(path);
	memcpy(&hdr, file->data, sizeof(hdr));
	if (hdr.e_ident[EI_CLASS] == ELFCLASS64 && hdr.e_machine == EM_BPF &&
	    hdr.e_ident[EI_DATA] != HOST_DATA)
		return fail("%.200s has the other byte order: compile it with clang -target bpf on this machine",
			    path);
	if (hdr.e_ident[EI_CLASS] != ELFCLASS64 || hdr.e_machine != EM_BPF)
		return fail("%.200s is made for %s, not for BPF: compile it with clang -target bpf",
			    path, machine_name(hdr.e_machine));
	if (hdr.e_type != ET_REL)
		return fail("%.200s is no relocatable object: compile it with clang -c -target bpf",
			    path);
	return CMD_OK;
}

/* A string table ends with a zero, or a name in it ends nowhere. */
static bool strings_are_good(const struct object_file *file, const Elf64_Shdr *sec)
{
	return sec->sh_type == SHT_STRTAB && sec->sh_size &&
	       !file->data[sec->sh_offset + sec->sh_size - 1];
}

/*
 * libbpf adds up where something is and how large, in 32 bits, before it looks whether that is
 * there: none may be beyond what a file can have.
 */
static bool symbol_is_good(const Elf64_Sym *sym, const Elf64_Shdr *secs, unsigned int nr)
{
	const Elf64_Shdr *sec;

	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx >= SHN_LORESERVE)
		return sym->st_value <= OBJECT_MAX;
	if (sym->st_shndx >= nr)
		return false;
	sec = &secs[sym->st_shndx];
	return sym->st_value <= sec->sh_size && sym->st_size <= sec->sh_size - sym->st_value;
}

static bool type_is_good(const struct btf_type *t)
{
	const struct btf_var_secinfo *var;
	__u16 i;

	if (btf_is_composite(t))
		return t->size <= OBJECT_MAX;
	if (!btf_is_datasec(t))
		return true;
	for (i = 0, var = btf_var_secinfos(t); i < btf_vlen(t); i++, var++) {
		if (var->offset > OBJECT_MAX)
			return false;
	}
	return true;
}

static bool btf_is_good(const struct object_file *file, const Elf64_Shdr *sec)
{
	struct btf *btf = btf__new(file->data + sec->sh_offset, (__u32)sec->sh_size);
	bool good = true;
	__u32 i;

	/* What it is no BTF for, it says itself when it opens the file. */
	for (i = 1; btf && good && i < btf__type_cnt(btf); i++)
		good = type_is_good(btf__type_by_id(btf, i));
	btf__free(btf);
	return good;
}

static bool symbols_are_good(const struct object_file *file, const Elf64_Shdr *sec,
			     const Elf64_Shdr *secs, unsigned int nr)
{
	size_t i, n = sec->sh_size / sizeof(Elf64_Sym);
	Elf64_Sym sym;

	if (sec->sh_entsize != sizeof(sym) || sec->sh_size % sizeof(sym))
		return false;
	for (i = 0; i < n; i++) {
		memcpy(&sym, file->data + sec->sh_offset + i * sizeof(sym), sizeof(sym));
		if (sym.st_name >= secs[sec->sh_link].sh_size || !symbol_is_good(&sym, secs, nr))
			return false;
	}
	return true;
}

static bool sections_are_good(const struct object_file *file)
{
	Elf64_Shdr *secs, *sec;
	bool good = false;
	Elf64_Ehdr hdr;
	size_t len;
	int i;

	memcpy(&hdr, file->data, sizeof(hdr));
	len = (size_t)hdr.e_shnum * sizeof(*secs);
	if (!hdr.e_shnum || hdr.e_shentsize != sizeof(*secs) || hdr.e_shoff > file->size ||
	    len > file->size - hdr.e_shoff || hdr.e_shstrndx >= hdr.e_shnum)
		return false;
	secs = malloc(len);
	if (!secs)
		return false;
	memcpy(secs, file->data + hdr.e_shoff, len);
	/* First all bounds, since sections refer to each other. */
	for (i = 0; i < hdr.e_shnum; i++) {
		sec = &secs[i];
		if (sec->sh_type == SHT_NULL)
			continue;
		/* .bss takes no room in the file, but must not take any in memory. */
		if (sec->sh_type == SHT_NOBITS ? sec->sh_size > OBJECT_MAX :
		    (sec->sh_offset > file->size || sec->sh_size > file->size - sec->sh_offset))
			goto out;
	}
	if (!strings_are_good(file, &secs[hdr.e_shstrndx]))
		goto out;
	for (i = 0; i < hdr.e_shnum; i++) {
		sec = &secs[i];
		if (sec->sh_name >= secs[hdr.e_shstrndx].sh_size)
			goto out;
		if (sec->sh_type == SHT_STRTAB && !strings_are_good(file, sec))
			goto out;
		if (sec->sh_type == SHT_PROGBITS &&
		    !strcmp((char *)file->data + secs[hdr.e_shstrndx].sh_offset + sec->sh_name,
			    ".BTF") && !btf_is_good(file, sec))
			goto out;
		if (sec->sh_type == SHT_SYMTAB &&
		    (sec->sh_link >= hdr.e_shnum ||
		     !strings_are_good(file, &secs[sec->sh_link]) ||
		     !symbols_are_good(file, sec, secs, hdr.e_shnum)))
			goto out;
		if (sec->sh_type == SHT_REL &&
		    (sec->sh_entsize != sizeof(Elf64_Rel) || sec->sh_link >= hdr.e_shnum ||
		     secs[sec->sh_link].sh_type != SHT_SYMTAB || sec->sh_info >= hdr.e_shnum))
			goto out;
	}
	good = true;
out:
	free(secs);
	return good;
}

static int read_all(const char *path, int fd, size_t size, struct object_file *file)
{
	ssize_t n;

	file->data = malloc(size + 1);
	if (!file->data)
		return fail("no memory to read %.200s", path);
	while (file->size < size) {
		n = read(fd, file->data + file->size, size - file->size);
		if (n < 0)
			return fail("cannot read %.200s: %s", path, strerror(errno));
		if (!n)
			break;
		file->size += (size_t)n;
	}
	return CMD_OK;
}

/**
 * object_read() - read an object file and see that it is one
 * @path: the file
 * @file: written; to be freed with object_free(), also after a failure
 *
 * Return: CMD_OK, or CMD_FAILED after saying what is wrong with it.
 */
int object_read(const char *path, struct object_file *file)
{
	struct stat st;
	int fd, ret;

	file->data = NULL;
	file->size = 0;
	/* Without O_NONBLOCK the open of a FIFO waits for its writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fail("cannot open '%.200s': %s", path, strerror(errno));
	if (fstat(fd, &st))
		ret = fail("cannot open '%.200s': %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		ret = fail("%.200s is a directory: give a BPF object file", path);
	else if (!S_ISREG(st.st_mode))
		ret = fail("%.200s is no regular file: give a BPF object file", path);
	else if (st.st_size > OBJECT_MAX)
		ret = fail("%.200s is larger than %d MB: that is no BPF object file", path,
			   OBJECT_MAX >> 20);
	else
		ret = read_all(path, fd, (size_t)st.st_size, file) ?: check_header(path, file);
	close(fd);
	if (!ret && !sections_are_good(file))
		ret = bad_elf(path);
	return ret;
}

/**
 * object_free() - forget an object file
 * @file: the file
 */
void object_free(struct object_file *file)
{
	free(file->data);
	file->data = NULL;
	file->size = 0;
}
