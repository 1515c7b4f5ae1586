// SPDX-License-Identifier: GPL-2.0
/* Errors and JSON. Whatever goes out is one line and valid UTF-8. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"

/* Length of the valid UTF-8 character that begins here, or 0. */
static size_t utf8_len(const unsigned char *s)
{
	static const unsigned int smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int point;
	size_t len, i;

	if (s[0] < 0x80)
		return 1;
	len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	point = s[0] & (0xff >> (len + 1));
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (s[i] & 0x3f);
	}
	if (point < smallest[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	return len;
}

/* File names, section names and logs can hold anything; a terminal should not. */
static void clean(char *dst, size_t size, const char *src)
{
	const unsigned char *s = (const unsigned char *)src;
	size_t at = 0, len;

	while (*s && at + 5 < size) {
		len = utf8_len(s);
		/* 0xc2 0x80 to 0x9f are control characters, too. */
		if (!len || *s < ' ' || *s == 0x7f || (len == 2 && *s == 0xc2 && s[1] < 0xa0)) {
			at += (size_t)snprintf(dst + at, size - at, "\\x%02x", *s++);
			continue;
		}
		memcpy(dst + at, s, len);
		at += len;
		s += len;
	}
	dst[at] = '\0';
}

static void verror(const char *fmt, va_list ap)
{
	char raw[2048], text[4096];

	vsnprintf(raw, sizeof(raw), fmt, ap);
	clean(text, sizeof(text), raw);
	if (opts.json) {
		struct json_object *obj = json_object_new_object();

		add_text(obj, "error", text);
		print_json(obj);
		json_object_put(obj);
	} else {
		fprintf(stderr, "costack: %s\n", text);
	}
}

/**
 * fail() - say in one line what is wrong and what to do
 * @fmt: as printf; "what is wrong: what to do"
 *
 * Return: CMD_FAILED.
 */
int fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(fmt, ap);
	va_end(ap);
	return CMD_FAILED;
}

/**
 * usage() - say in one line what is wrong with the command line
 * @fmt: as printf
 *
 * Return: CMD_USAGE.
 */
int usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(fmt, ap);
	va_end(ap);
	return CMD_USAGE;
}

/**
 * note() - a remark for a person, on stderr
 * @fmt: as printf
 */
void note(const char *fmt, ...)
{
	char raw[1024], text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	clean(text, sizeof(text), raw);
	fprintf(stderr, "costack: %s\n", text);
}

/**
 * print_json() - print one JSON value and a newline
 * @obj: the value
 */
void print_json(struct json_object *obj)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	flags |= opts.pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED :
			       JSON_C_TO_STRING_PLAIN;
	puts(json_object_to_json_string_ext(obj, flags));
	fflush(stdout);
}

/**
 * add_text() - add a string to a JSON object
 * @obj: the object
 * @key: its name there
 * @text: the string; what is not UTF-8 is escaped
 */
void add_text(struct json_object *obj, const char *key, const char *text)
{
	char buf[4096];

	clean(buf, sizeof(buf), text);
	json_object_object_add(obj, key, json_object_new_string(buf));
}

/**
 * add_number() - add a number to a JSON object
 * @obj: the object
 * @key: its name there
 * @number: the number
 */
void add_number(struct json_object *obj, const char *key, long long number)
{
	json_object_object_add(obj, key, json_object_new_int64(number));
}

/**
 * get_text() - a member of a JSON object as text
 * @obj: the object
 * @key: name of the member
 *
 * Return: its text, valid while the object is; empty when there is none.
 */
const char *get_text(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_string(val) : "";
}

/**
 * get_number() - a member of a JSON object as a number
 * @obj: the object
 * @key: name of the member
 *
 * Return: the number; 0 when there is none.
 */
long long get_number(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_int64(val) : 0;
}

/**
 * get_array() - a member of a JSON object that is an array
 * @obj: the object
 * @key: name of the member
 *
 * Return: the array, @obj's; NULL when there is none of that name.
 */
struct json_object *get_array(struct json_object *obj, const char *key)
{
	struct json_object *val;

	if (!json_object_object_get_ex(obj, key, &val))
		return NULL;
	return json_object_is_type(val, json_type_array) ? val : NULL;
}
