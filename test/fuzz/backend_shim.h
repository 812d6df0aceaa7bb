/*-------------------------------------------------------------------------
 *
 * backend_shim.h
 *	  What a fuzz target needs of a backend, without a server.
 *
 * backend_shim.c replaces three parts of the server: memory contexts (every
 * chunk is a malloc of its own, so that AddressSanitizer sees each overrun and
 * each use after free, pfree or deletion of a context), error reports (the
 * message is formatted and checked, then a longjmp), and the stack check.
 * All else is the server's own code, linked from the bitcode that its package
 * ships.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BACKEND_SHIM_H
#define BACKEND_SHIM_H

#include "postgres.h"

/* Set up contexts and the encoding UTF8; once. */
extern void shim_init(void);

/*
 * Call fn(arg) in a memory context of its own.  True when it returned, false
 * when it raised an error; shim_error then holds it until the next call.
 */
extern bool shim_try(void (*fn) (void *arg), void *arg);
extern ErrorData *shim_error(void);

/* Delete what shim_try allocated; aborts when a permanent context has grown. */
extern void shim_reset(void);

/* Print why, and abort: libFuzzer then keeps the input. */
extern void shim_fail(const char *fmt,...) __attribute__((format(printf, 1, 2), noreturn));

#endif							/* BACKEND_SHIM_H */
