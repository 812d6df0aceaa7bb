/*-------------------------------------------------------------------------
 *
 * result_status.c
 *	  From SQLSTATEs to HTTP status and type of problem, and back.
 *
 * One table says what clients are told about errors of each SQLSTATE.  What
 * is not in it is the server's or the program's fault: 500, and not a word of
 * its message.  Three ranges are an application's own: class PB has its
 * status in the registry of errors.h, PTxyz says it by itself as PostgREST
 * understands it, and classes that neither the standard nor PostgreSQL uses
 * are 400.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/errors.h"
#include "result/result_impl.h"

typedef struct SqlstateRule
{
	const char *prefix;			/* an SQLSTATE or a class */
	ProblemSqlstate described;
} SqlstateRule;

#define UNAVAILABLE "the service is not available at present"

/*
 * The first that fits counts.  The messages of class 23 have values; what
 * clients are told in their place is in result_constraint.c.  So have those
 * that the input functions of types raise.
 */
static const SqlstateRule rules[] = {
	{"02", {404}},
	{"08", {503, true, UNAVAILABLE}},
	{"0A", {501, true, PROBLEM_INTERNAL}},
	{"22003", {422, false, "a value is out of range"}},
	{"22007", {422, false, "a date or time is malformed"}},
	{"22008", {422, false, "a date or time is out of range"}},
	{"22P02", {422, false, "a value is malformed"}},
	{"22P03", {422, false, "a value is malformed"}},
	{"22", {422}},
	{"23001", {409}},
	{"23503", {409}},
	{"23505", {409}},
	{"23P01", {409}},
	{"23", {422}},
	{"25006", {405}},
	{"28", {403, true, "this is not allowed"}},
	{"40", {503, false, "another transaction has changed the same data; try again"}},
	{"42501", {403, true, "this is not allowed"}},
	{"44", {422, false, "a row does not satisfy the condition of its view"}},
	{"53", {503, true, UNAVAILABLE}},
	{"55P03", {503, false, "another transaction has locked the same data; try again"}},
	{"57014", {504, false, "the time allowed for this is over"}},
	{"57", {503, true, UNAVAILABLE}},
	{"P0001", {400, false, NULL, true}},
	{"P0002", {404}},
	/* classes that would otherwise be an application's */
	{"54", {500, true, PROBLEM_INTERNAL}},
	{"55", {500, true, PROBLEM_INTERNAL}},
	{"58", {500, true, PROBLEM_INTERNAL}},
	{"72", {500, true, PROBLEM_INTERNAL}},
	{"P0", {500, true, PROBLEM_INTERNAL}},
	{"PG", {500, true, PROBLEM_INTERNAL}},
	{"XX", {500, true, PROBLEM_INTERNAL}},
};

/* A kind of problems, as a status of HTTP (RFC 9110 and others) and as the end of a type. */
typedef struct StatusName
{
	int			status;
	const char *title;
	const char *type;			/* NULL: http_xyz */
} StatusName;

static const StatusName status_names[] = {
	{400, "Bad Request", "bad_request"},
	{401, "Unauthorized", "unauthorized"},
	{402, "Payment Required"},
	{403, "Forbidden", "forbidden"},
	{404, "Not Found", "not_found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{407, "Proxy Authentication Required"},
	{408, "Request Timeout"},
	{409, "Conflict", "conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed", "precondition"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content", "validation"},
	{423, "Locked"},
	{424, "Failed Dependency"},
	{425, "Too Early"},
	{426, "Upgrade Required"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{451, "Unavailable For Legal Reasons"},
	{500, "Internal Server Error", "internal"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable", "unavailable"},
	{504, "Gateway Timeout", "timeout"},
	{505, "HTTP Version Not Supported"},
	{506, "Variant Also Negotiates"},
	{507, "Insufficient Storage"},
	{508, "Loop Detected"},
	{511, "Network Authentication Required"},
};

#define REGISTRY_CASE(symbol, a, b, c, status, description) \
	case APIBASE_ERRCODE_##symbol: \
		return status;

/* The status of a code of the registry; 0 for one that is not in it. */
static int
registry_status(int sqlstate)
{
	switch (sqlstate)
	{
			APIBASE_ERRORS(REGISTRY_CASE)
		default:
			return 0;
	}
}

bool
problem_status_is_error(int status)
{
	return status >= 400 && status <= 599;
}

/* The status that PTxyz names; 0 if it is none of an error. */
static int
named_status(const char *code)
{
	int			status = 0;

	if (code[0] != 'P' || code[1] != 'T')
		return 0;
	for (int i = 2; i < 5; i++)
	{
		if (code[i] < '0' || code[i] > '9')
			return 0;
		status = status * 10 + (code[i] - '0');
	}
	return problem_status_is_error(status) ? status : 0;
}

ProblemSqlstate
problem_sqlstate(int sqlstate)
{
	const char *code = unpack_sql_state(sqlstate);
	ProblemSqlstate described = {500, true, PROBLEM_INTERNAL};
	int			status = registry_status(sqlstate);

	/* what only the application's own code can cause; the message names what is inside of it */
	if (status == 500)
		return described;
	if (status == 0)
		status = named_status(code);
	if (status != 0)
		return (ProblemSqlstate) {status, false, NULL, true};
	for (size_t i = 0; i < lengthof(rules); i++)
	{
		if (strncmp(code, rules[i].prefix, strlen(rules[i].prefix)) == 0)
			return rules[i].described;
	}

	/* The standard keeps classes that begin with 0 to 4 or A to H for itself. */
	if ((code[0] >= '5' && code[0] <= '9') || (code[0] >= 'I' && code[0] <= 'Z'))
		described = (ProblemSqlstate) {400, false, NULL, true};
	return described;
}

int
apibase_sqlstate_status(int sqlstate)
{
	return problem_sqlstate(sqlstate).status;
}

bool
apibase_sqlstate_is_internal(int sqlstate)
{
	return problem_sqlstate(sqlstate).internal;
}

bool
apibase_sqlstate_is_retryable(int sqlstate)
{
	return sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE || sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED;
}

int
problem_parse_sqlstate(const char *text)
{
	if (strlen(text) != 5 || strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5)
		return 0;
	if (strncmp(text, "00", 2) == 0 || strncmp(text, "01", 2) == 0) /* successes and warnings */
		return 0;
	return MAKE_SQLSTATE(text[0], text[1], text[2], text[3], text[4]);
}

char *
problem_sqlstate_text(int sqlstate)
{
	return pstrdup(unpack_sql_state(sqlstate));
}

int
problem_status_sqlstate(int status)
{
	return MAKE_SQLSTATE('P', 'T', '0' + status / 100, '0' + status / 10 % 10, '0' + status % 10);
}

static const StatusName *
find_status_name(int status)
{
	for (size_t i = 0; i < lengthof(status_names); i++)
	{
		if (status_names[i].status == status)
			return &status_names[i];
	}
	return NULL;
}

char *
problem_status_type(int status)
{
	const StatusName *name = find_status_name(status);

	if (name && name->type)
		return psprintf("%s%s", problem_type_base, name->type);
	return psprintf("%shttp_%d", problem_type_base, status);
}

const char *
problem_status_title(int status)
{
	const StatusName *name = find_status_name(status);

	if (name)
		return name->title;
	return status < 500 ? "Client Error" : "Server Error";
}
