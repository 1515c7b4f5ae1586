// SPDX-License-Identifier: GPL-2.0
/* FILE... - what a fuzz target is: here of libFuzzer, or of files alone. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return TARGET(data, size);
}

#ifdef REPLAY
int main(int argc, char **argv)
{
	uint8_t *data;
	long size;
	FILE *f;
	int i;

	for (i = 1; i < argc; i++) {
		f = fopen(argv[i], "rb");
		if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET)) {
			perror(argv[i]);
			return 1;
		}
		/* Exactly as long as it is. */
		data = malloc(size ?: 1);
		if (!data || fread(data, 1, size, f) != (size_t)size) {
			perror(argv[i]);
			return 1;
		}
		fclose(f);
		fprintf(stderr, "%s\n", argv[i]);
		TARGET(data, size);
		free(data);
	}
	return 0;
}
#endif
