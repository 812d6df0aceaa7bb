/*-------------------------------------------------------------------------
 *
 * result_payload.h
 *	  What the files of the payload reader share; the idea is in result_payload.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_RESULT_PAYLOAD_H
#define APIBASE_RESULT_PAYLOAD_H

#include "result/result.h"

#include "access/tupdesc.h"
#include "nodes/pg_list.h"

typedef enum ReadMode
{
	PLAINLY,
	TOGETHER,
	SINGLY,
} ReadMode;

/* How a type is read. */
typedef enum TypeKind
{
	KIND_SCALAR,
	KIND_DOCUMENT,				/* json, jsonb */
	KIND_DOMAIN,
	KIND_COMPOSITE,
	KIND_ARRAY,
} TypeKind;

/* What has to be known of a type; kept while a document is read. */
typedef struct PayloadType
{
	Oid			type;
	TypeKind	kind;
	char		category;		/* as in pg_type */
	struct PayloadType *inner;	/* of a domain, what it is over; of an array, its elements */
	int32		inner_typmod;	/* of a domain */
	bool		not_null;		/* a domain that NULL is not a value of */
	bool		has_check;		/* a domain with other constraints */
	void	   *domain_extra;	/* of domain_check() */
	TupleDesc	desc;			/* of a composite type */
	bool		is_table;		/* it is that of a table, whose columns may be NOT NULL */
	FmgrInfo	input;			/* of a scalar; looked up when it is needed */
	Oid			ioparam;
	struct PayloadType *next;
} PayloadType;

/* Where we are in the document. */
typedef struct PayloadPath
{
	const struct PayloadPath *parent;	/* NULL: this is the whole */
	const char *name;			/* NULL: an element */
	int			index;
} PayloadPath;

typedef struct PayloadReader
{
	ReadMode	mode;
	bool		stopped;		/* no need to go on in this mode */
	bool		full;			/* because there are too many faults */
	List	   *faults;
	PayloadType *types;
	MemoryContext context;
} PayloadReader;

/* ---------- result_payload.c ---------- */

/* Note a fault; detail is kept. */
extern void payload_fault(PayloadReader *reader, const PayloadPath *path, int code, char *detail);
extern void payload_wrong_kind(PayloadReader *reader, const PayloadPath *path, const char *wanted);

/* ---------- result_payload_type.c ---------- */

/* A type; the reader keeps it until they are all released, which an error does as well. */
extern PayloadType *payload_type(PayloadReader *reader, Oid oid);
extern void payload_release_types(PayloadReader *reader);

/* Read a scalar that is not null. */
extern void payload_read_scalar(PayloadReader *reader, JsonbValue *json, PayloadType *type, int32 typmod,
								const PayloadPath *path, Datum *value, bool *isnull);

/* Test a value of a domain. */
extern void payload_check_domain(PayloadReader *reader, PayloadType *type, const PayloadPath *path,
								 Datum value, bool isnull);

/* Whether an error says that the data are wrong; it may come from the input function of a type, or only from a domain. */
extern bool payload_is_fault(const ErrorData *error, bool from_input);

#endif							/* APIBASE_RESULT_PAYLOAD_H */
