// SPDX-License-Identifier: GPL-2.0
/* Rows of words, for people. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"

#define COLUMNS_MAX	32

bool is_number(struct json_object *val)
{
	return json_object_is_type(val, json_type_int) ||
	       json_object_is_type(val, json_type_double);
}

/**
 * human() - bytes with a unit
 * @bytes: how many
 * @buf: written
 * @len: its size
 *
 * Return: @buf.
 */
const char *human(long long bytes, char *buf, size_t len)
{
	static const char * const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t unit = 0;

	while (v >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		v /= 1024;
		unit++;
	}
	snprintf(buf, len, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
	return buf;
}

static const char *cell(const char *key, struct json_object *val, char *buf, size_t len)
{
	if (!strcmp(key, "size") && is_number(val))
		return human(json_object_get_int64(val), buf, len);
	return json_object_get_string(val);
}

/* Words to the left, numbers and what is in the place of one to the right. */
static bool is_left(const char *key, int column)
{
	static const char * const words[] = { "ops", "id", "state", "for" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(key, words[i]))
			return true;
	}
	return !column;
}

static void print_cell(const char *key, const char *text, size_t width, int column)
{
	printf("%s%*s", column ? "  " : "", is_left(key, column) ? -(int)width : (int)width, text);
}

static bool row_is_zero(struct json_object *row)
{
	json_object_object_foreach(row, key, val) {
		if (is_number(val) && json_object_get_int64(val) && strcmp(key, "log2_ns"))
			return false;
	}
	return true;
}

/**
 * table_print() - print rows in columns as wide as their widest word
 * @rows: JSON objects of the same members
 * @skip_zero: leave out rows whose numbers are all 0
 */
void table_print(struct json_object *rows, bool skip_zero)
{
	size_t i, len, n = json_object_array_length(rows);
	size_t width[COLUMNS_MAX] = {};
	struct json_object *row;
	char buf[32];
	int c;

	for (i = 0; i < n; i++) {
		c = 0;
		json_object_object_foreach(json_object_array_get_idx(rows, i), key, val) {
			len = strlen(cell(key, val, buf, sizeof(buf)));
			if (len < strlen(key))
				len = strlen(key);
			if (len > width[c])
				width[c] = len;
			c++;
		}
	}
	for (i = 0; i < n; i++) {
		row = json_object_array_get_idx(rows, i);
		if (!i) {
			c = 0;
			json_object_object_foreach(row, key, val) {
				(void)val;
				print_cell(key, key, width[c], c);
				c++;
			}
			putchar('\n');
		}
		if (skip_zero && row_is_zero(row))
			continue;
		c = 0;
		json_object_object_foreach(row, key2, val2) {
			print_cell(key2, cell(key2, val2, buf, sizeof(buf)), width[c], c);
			c++;
		}
		putchar('\n');
	}
}
