/*-------------------------------------------------------------------------
 *
 * context.h
 *	  The request that the current transaction serves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CONTEXT_H
#define APIBASE_CONTEXT_H

#include "utils/jsonb.h"

/* The settings that describe a request and hold a JSON object. */
typedef enum ApibaseContextDocument
{
	APIBASE_CONTEXT_HEADERS,
	APIBASE_CONTEXT_COOKIES,
	APIBASE_CONTEXT_CLAIMS
} ApibaseContextDocument;

#define APIBASE_CONTEXT_NDOCUMENTS	(APIBASE_CONTEXT_CLAIMS + 1)

extern void apibase_context_define_gucs(void);

/*
 * The parsed setting, or NULL when there is none.  It belongs to the module
 * and lives until the setting changes or the transaction ends: copy what must
 * live longer than the current call.  Raises PB002 when it is malformed.
 */
extern Jsonb *apibase_context_document(ApibaseContextDocument which);

/* A header by name, regardless of case; palloc'd, or NULL when there is none. */
extern char *apibase_context_header(const char *name);

/* Whether a text is a traceparent, as W3C Trace Context has it. */
extern bool apibase_context_is_traceparent(const char *text);

/* The header traceparent, palloc'd; NULL where there is none, or a malformed one. */
extern char *apibase_context_traceparent(void);

/* The id of the request, palloc'd. */
extern char *apibase_context_request_id(void);

#endif							/* APIBASE_CONTEXT_H */
