// SPDX-License-Identifier: GPL-2.0
/*
 * Many functions. The kernel numbers those of each module anew, so that one of these has the
 * number that a function of costack has.
 */
#include <linux/module.h>

#define COS_NUMBERS_1(n)							\
	static noinline __used int cos_numbers_##n(void)			\
	{									\
		return 0x##n;							\
	}
#define COS_NUMBERS_8(n)							\
	COS_NUMBERS_1(n##0)							\
	COS_NUMBERS_1(n##1)							\
	COS_NUMBERS_1(n##2)							\
	COS_NUMBERS_1(n##3)							\
	COS_NUMBERS_1(n##4)							\
	COS_NUMBERS_1(n##5)							\
	COS_NUMBERS_1(n##6)							\
	COS_NUMBERS_1(n##7)
#define COS_NUMBERS_64(n)							\
	COS_NUMBERS_8(n##0)							\
	COS_NUMBERS_8(n##1)							\
	COS_NUMBERS_8(n##2)							\
	COS_NUMBERS_8(n##3)							\
	COS_NUMBERS_8(n##4)							\
	COS_NUMBERS_8(n##5)							\
	COS_NUMBERS_8(n##6)							\
	COS_NUMBERS_8(n##7)
#define COS_NUMBERS_512(n)							\
	COS_NUMBERS_64(n##0)							\
	COS_NUMBERS_64(n##1)							\
	COS_NUMBERS_64(n##2)							\
	COS_NUMBERS_64(n##3)							\
	COS_NUMBERS_64(n##4)							\
	COS_NUMBERS_64(n##5)							\
	COS_NUMBERS_64(n##6)							\
	COS_NUMBERS_64(n##7)

#define COS_NUMBERS_4096(n)							\
	COS_NUMBERS_512(n##0)							\
	COS_NUMBERS_512(n##1)							\
	COS_NUMBERS_512(n##2)							\
	COS_NUMBERS_512(n##3)							\
	COS_NUMBERS_512(n##4)							\
	COS_NUMBERS_512(n##5)							\
	COS_NUMBERS_512(n##6)							\
	COS_NUMBERS_512(n##7)

COS_NUMBERS_4096(1)

MODULE_AUTHOR("costack maintainers");
MODULE_DESCRIPTION("Has a function of each number, for the selftests");
MODULE_LICENSE("GPL");
