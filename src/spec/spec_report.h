/*-------------------------------------------------------------------------
 *
 * spec_report.h
 *	  Errors as data, for what reports on specifications.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SPEC_REPORT_H
#define APIBASE_SPEC_REPORT_H

#include "postgres.h"

#include "utils/elog.h"

/*
 * Call fn(arg) in a subtransaction.  NULL when it returned; otherwise the
 * error, if it is of a kind that a specification can cause.  Any other error
 * (out of memory, a cancelled query, a broken catalog) is raised again.
 */
extern ErrorData *apibase_spec_try(void (*fn) (void *arg), void *arg);

#endif							/* APIBASE_SPEC_REPORT_H */
