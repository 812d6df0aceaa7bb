/*-------------------------------------------------------------------------
 *
 * cache_redis_value.c
 *	  Level 2: names of keys, commands and answers, the form of a value.
 *
 * What comes back from Redis is believed only after its sum was checked, so
 * everything that reads it may rely on the form in which it was written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "cache/cache_redis_value.h"
#include "core/clock.h"

#include "access/xlog.h"
#include "common/base64.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

/* A version outlives all values that name it by this much. */
#define VERSION_MARGIN_SECONDS 86400

/* Larger values stay in level 1: their text could be six times as long. */
#define MAX_VALUE	(64 * 1024 * 1024)

/* What a sum is of begins here. */
#define SUM_HEAD	"{\"sum\":\""
#define SUM_DIGITS	16
#define SUM_END		"\","
#define BODY		(sizeof(SUM_HEAD) - 1 + SUM_DIGITS + sizeof(SUM_END) - 1)

/* From the epoch of PostgreSQL to that of Unix. */
#define EPOCH_DIFFERENCE ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

int			apibase_redis_max_ttl = 30 * 86400;

/* ---- names ---- */

char *
cache_redis_base(void)
{
	return psprintf("%s" UINT64_FORMAT ":", apibase_redis_key_prefix, GetSystemIdentifier());
}

char *
cache_redis_epoch_name(void)
{
	return psprintf("%s" UINT64_FORMAT ":epoch", apibase_redis_key_prefix, GetSystemIdentifier());
}

/* A name below an epoch. */
static void
begin_name(StringInfo name, uint64 epoch, Oid database)
{
	initStringInfo(name);
	appendStringInfo(name, "%s" UINT64_FORMAT ":%016llx:%u:", apibase_redis_key_prefix, GetSystemIdentifier(),
					 (unsigned long long) epoch, database);
}

char *
cache_redis_value_name(uint64 epoch, Oid database, const char *prefix, int prefix_len, const char *key, int len)
{
	StringInfoData name;

	begin_name(&name, epoch, database);
	appendStringInfo(&name, "v%d:", prefix_len);
	appendBinaryStringInfo(&name, prefix, prefix_len);
	appendBinaryStringInfo(&name, key, len);
	return name.data;
}

char *
cache_redis_key_name(uint64 epoch, Oid database, const char *key, int len)
{
	StringInfoData name;

	begin_name(&name, epoch, database);
	appendStringInfoString(&name, "k:");
	appendBinaryStringInfo(&name, key, len);
	return name.data;
}

char *
cache_redis_tag_name(uint64 epoch, Oid database, const char *tag, int len)
{
	StringInfoData name;

	begin_name(&name, epoch, database);
	appendStringInfoString(&name, "t:");
	appendBinaryStringInfo(&name, tag, len);
	return name.data;
}

/* A number and a colon at *next, which then points behind the colon. */
static bool
parse_number(const char **next, const char *end, int base, uint64 *number)
{
	char		digits[24];
	const char *colon = memchr(*next, ':', Min(end - *next, (ptrdiff_t) sizeof(digits)));
	char	   *rest;

	if (colon == NULL || colon == *next || !isxdigit((unsigned char) **next) || colon - *next >= (ptrdiff_t) sizeof(digits))
		return false;
	memcpy(digits, *next, colon - *next);
	digits[colon - *next] = '\0';
	*number = strtou64(digits, &rest, base);
	*next = colon + 1;
	return *rest == '\0';
}

void
cache_redis_parse_name(const char *base, const char *name, size_t len, CacheRedisName *parsed)
{
	const char *next = name + strlen(base);
	const char *end = name + len;
	uint64		number;
	char		kind;

	memset(parsed, 0, sizeof(*parsed));
	if (len < strlen(base) || strncmp(name, base, strlen(base)) != 0)
		return;
	if (end - next == 5 && memcmp(next, "epoch", 5) == 0)
		parsed->kind = CACHE_REDIS_NAME_EPOCH;
	if (!parse_number(&next, end, 16, &parsed->epoch) || !parse_number(&next, end, 10, &number) || next >= end)
		return;
	parsed->database = (Oid) number;
	number = 0;
	kind = *next++;
	if (kind == 'v' ? !parse_number(&next, end, 10, &number) : next >= end || *next++ != ':')
		return;
	if (number >= (uint64) (end - next))
		return;
	parsed->text = next + number;
	parsed->len = (int) (end - parsed->text);
	if (kind == 'v')
		parsed->kind = CACHE_REDIS_NAME_VALUE;
	else if (kind == 'k')
		parsed->kind = CACHE_REDIS_NAME_KEY;
	else if (kind == 't')
		parsed->kind = CACHE_REDIS_NAME_TAG;
}

void
cache_redis_new_version(char *version)
{
	snprintf(version, CACHE_REDIS_VERSION_LEN + 1, "%08x%016llx", cache_redis_server(),
			 (unsigned long long) pg_prng_uint64(&pg_global_prng_state));
}

bool
cache_redis_version_is_mine(const char *version)
{
	char		mine[9];

	snprintf(mine, sizeof(mine), "%08x", cache_redis_server());
	return strncmp(version, mine, 8) == 0;
}

int64
cache_redis_value_ttl(TimestampTz expires)
{
	int64		most = (int64) apibase_redis_max_ttl * 1000;
	int64		left;

	if (expires == DT_NOEND)
		return most;
	left = (expires - apibase_clock_now() + 999) / 1000;
	return Min(left, most);
}

int64
cache_redis_version_ttl(void)
{
	return ((int64) apibase_redis_max_ttl + VERSION_MARGIN_SECONDS) * 1000;
}

/* ---- commands and answers ---- */

/* Add one of these words, the second of which is the key. */
static void
add_command(CacheRedisBatch *batch, int nwords, const char *const *words, const size_t *lens)
{
	CacheRedisCommand *command;

	if (batch->n >= batch->size)
	{
		batch->size = Max(16, batch->size * 2);
		batch->commands = batch->commands ? repalloc(batch->commands, batch->size * sizeof(CacheRedisCommand))
			: palloc(batch->size * sizeof(CacheRedisCommand));
	}
	command = &batch->commands[batch->n++];
	command->argc = nwords;
	command->argv = memcpy(palloc(nwords * sizeof(char *)), words, nwords * sizeof(char *));
	command->argvlen = memcpy(palloc(nwords * sizeof(size_t)), lens, nwords * sizeof(size_t));
	command->key = words[1];
	command->key_len = (int) lens[1];
}

void
cache_redis_batch_get(CacheRedisBatch *batch, const char *name)
{
	const char *words[] = {"GET", name};
	size_t		lens[] = {3, strlen(name)};

	add_command(batch, lengthof(words), words, lens);
}

void
cache_redis_batch_delete(CacheRedisBatch *batch, const char *name)
{
	const char *words[] = {"DEL", name};
	size_t		lens[] = {3, strlen(name)};

	add_command(batch, lengthof(words), words, lens);
}

void
cache_redis_batch_set(CacheRedisBatch *batch, const char *name, const char *text, size_t len, int64 ttl,
					  bool only_if_missing)
{
	const char *words[6] = {"SET", name, text};
	size_t		lens[6] = {3, strlen(name), len};
	int			n = 3;

	if (ttl > 0)
	{
		words[n] = "PX";
		lens[n++] = 2;
		words[n] = psprintf(INT64_FORMAT, ttl);
		lens[n] = strlen(words[n]);
		n++;
	}
	if (only_if_missing)
	{
		words[n] = "NX";
		lens[n++] = 2;
	}
	add_command(batch, n, words, lens);
}

/* Copy a reply, without raising an error: it has to be freed. */
static CacheRedisAnswer
answer_of(const redisReply *reply)
{
	CacheRedisAnswer answer = {.kind = CACHE_REDIS_NO_ANSWER};

	if (reply == NULL)
		return answer;
	switch (reply->type)
	{
		case REDIS_REPLY_NIL:
			answer.kind = CACHE_REDIS_NIL;
			break;
		case REDIS_REPLY_STATUS:
		case REDIS_REPLY_INTEGER:
			answer.kind = CACHE_REDIS_DONE;
			break;
		case REDIS_REPLY_STRING:
			answer.text = palloc_extended(reply->len + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
			if (answer.text == NULL)
				break;
			memcpy(answer.text, reply->str, reply->len);
			answer.text[reply->len] = '\0';
			answer.len = reply->len;
			answer.kind = CACHE_REDIS_TEXT;
			break;
		default:
			break;
	}
	return answer;
}

CacheRedisAnswer *
cache_redis_batch_run(CacheRedisBatch *batch)
{
	CacheRedisAnswer *answers = palloc0(Max(batch->n, 1) * sizeof(CacheRedisAnswer));
	redisReply **replies;

	if (batch->n == 0)
		return answers;
	replies = palloc0(batch->n * sizeof(redisReply *));
	if (cache_redis_pipeline(batch->commands, batch->n, replies) > 0)
	{
		for (int i = 0; i < batch->n; i++)
			answers[i] = answer_of(replies[i]);
	}
	cache_redis_free(replies, batch->n);
	pfree(replies);
	return answers;
}

/* ---- what a value depends on ---- */

void
cache_redis_depend(CacheRedisDependencies *on, CacheRedisDependencyKind kind, Oid database, const char *name)
{
	CacheRedisDependency *item;

	for (int i = 0; i < on->n; i++)
	{
		if (on->items[i].kind == kind && strcmp(on->items[i].name, name) == 0)
			return;
	}
	item = &on->items[on->n++];
	item->kind = kind;
	item->name = name;
	if (kind == CACHE_REDIS_ON_KEY)
		item->slot = cache_slot_of_key(apibase_cache_key_hash(database, name, strlen(name)));
	else
		item->slot = cache_slot_of_tag(database, name, strlen(name));
	item->version[0] = '\0';
}

/* Who depends on a tag "a:b" depends on "a:*" as well. */
void
cache_redis_depend_on_tag(CacheRedisDependencies *on, Oid database, const char *tag)
{
	char		all_parts[APIBASE_CACHE_MAX_TAG + 2];

	cache_redis_depend(on, CACHE_REDIS_ON_TAG, database, tag);
	if (cache_tag_of_parts(tag, strlen(tag), all_parts) > 0)
		cache_redis_depend(on, CACHE_REDIS_ON_PARTS, database, pstrdup(all_parts));
}

/* ---- values as text ---- */

static uint64
sum_of(const char *text, size_t len, const ApibaseCacheKey *key)
{
	return hash_bytes_extended((const unsigned char *) text + BODY, (int) (len - BODY), key->hash);
}

/* One object of names and versions. */
static void
append_versions(StringInfo text, const char *name, const CacheRedisDependencies *on, CacheRedisDependencyKind kind)
{
	const char *separator = "";

	appendStringInfo(text, ",\"%s\":{", name);
	for (int i = 0; i < on->n; i++)
	{
		if (on->items[i].kind != kind)
			continue;
		appendStringInfoString(text, separator);
		escape_json(text, on->items[i].name);
		appendStringInfo(text, ":\"%s\"", on->items[i].version);
		separator = ",";
	}
	appendStringInfoChar(text, '}');
}

static void
append_value(StringInfo text, const CacheItem *item)
{
	if (item->kind == APIBASE_CACHE_JSONB)
	{
		Jsonb	   *jsonb = palloc(VARHDRSZ + item->value_len);

		SET_VARSIZE(jsonb, VARHDRSZ + item->value_len);
		memcpy(VARDATA(jsonb), item->value, item->value_len);
		JsonbToCString(text, &jsonb->root, (int) item->value_len);
		pfree(jsonb);
	}
	else if (item->kind == APIBASE_CACHE_DATUM)
	{
		int			size = pg_b64_enc_len((int) item->value_len);
		int			len;

		enlargeStringInfo(text, size + 2);
		appendStringInfoChar(text, '"');
		/* void: characters before 18, bytes from then on */
		len = pg_b64_encode((const void *) item->value, (int) item->value_len, text->data + text->len, size);
		text->len += Max(len, 0);
		appendStringInfoChar(text, '"');
	}
	else
		appendStringInfoString(text, "null");
}

bool
cache_redis_encode(StringInfo text, const CacheItem *item, const CacheRedisDependencies *on)
{
	char		sum[SUM_DIGITS + 1];

	if (item->value_len > MAX_VALUE)
		return false;
	initStringInfo(text);
	appendStringInfo(text, SUM_HEAD "%0*d" SUM_END, SUM_DIGITS, 0);
	appendStringInfo(text, "\"key\":\"%s\"", on->items[0].version);
	append_versions(text, "tags", on, CACHE_REDIS_ON_TAG);
	append_versions(text, "parts", on, CACHE_REDIS_ON_PARTS);
	appendStringInfo(text, ",\"created\":" INT64_FORMAT, item->created + EPOCH_DIFFERENCE);
	if (item->expires == DT_NOEND)
		appendStringInfoString(text, ",\"expires\":null");
	else
		appendStringInfo(text, ",\"expires\":" INT64_FORMAT, item->expires + EPOCH_DIFFERENCE);
	appendStringInfo(text, ",\"cost\":%u,\"kind\":\"%c\",\"value\":", item->cost, item->kind);
	append_value(text, item);
	appendStringInfoChar(text, '}');

	snprintf(sum, sizeof(sum), "%016llx", (unsigned long long) sum_of(text->data, text->len, &item->key));
	memcpy(text->data + sizeof(SUM_HEAD) - 1, sum, SUM_DIGITS);
	return true;
}

/* ---- and back ---- */

static bool
sum_is_right(const char *text, size_t len, const ApibaseCacheKey *key)
{
	char		head[BODY + 1];

	if (len <= BODY || len > MaxAllocSize || strlen(text) != len)
		return false;
	snprintf(head, sizeof(head), SUM_HEAD "%016llx" SUM_END, (unsigned long long) sum_of(text, len, key));
	return memcmp(text, head, BODY) == 0;
}

static JsonbValue *
member(Jsonb *jsonb, const char *name)
{
	return getKeyJsonValueFromContainer(&jsonb->root, name, (int) strlen(name), NULL);
}

/* A member that is a number; null is otherwise. */
static int64
number_of(Jsonb *jsonb, const char *name, int64 otherwise)
{
	JsonbValue *value = member(jsonb, name);

	if (value == NULL || value->type != jbvNumeric)
		return otherwise;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

static char *
string_of(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static bool
take_version(const JsonbValue *value, CacheRedisDependency *item)
{
	if (value == NULL || value->type != jbvString || value->val.string.len != CACHE_REDIS_VERSION_LEN)
		return false;
	memcpy(item->version, value->val.string.val, CACHE_REDIS_VERSION_LEN);
	item->version[CACHE_REDIS_VERSION_LEN] = '\0';
	return true;
}

/* One object of names and versions. */
static bool
take_versions(Jsonb *jsonb, const char *name, Oid database, CacheRedisDependencyKind kind, CacheRedisDependencies *on)
{
	JsonbValue *object = member(jsonb, name);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (object == NULL || object->type != jbvBinary || !JsonContainerIsObject(object->val.binary.data))
		return false;
	iterator = JsonbIteratorInit(object->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			if (on->n >= (int) lengthof(on->items))
				return false;
			cache_redis_depend(on, kind, database, string_of(&value));
		}
		else if (token == WJB_VALUE && !take_version(&value, &on->items[on->n - 1]))
			return false;
	}
	return true;
}

/* The value itself. */
static bool
take_data(Jsonb *jsonb, CacheRedisValue *value)
{
	JsonbValue *kind = member(jsonb, "kind");
	JsonbValue *data = member(jsonb, "value");
	int			size;
	int			len;

	if (kind == NULL || kind->type != jbvString || kind->val.string.len != 1 || data == NULL)
		return false;
	value->kind = kind->val.string.val[0];
	value->data = NULL;
	switch (value->kind)
	{
		case APIBASE_CACHE_NOTHING:
			return true;
		case APIBASE_CACHE_JSONB:
			value->data = (struct varlena *) JsonbValueToJsonb(data);
			return true;
		case APIBASE_CACHE_DATUM:
			if (data->type != jbvString)
				return false;
			size = pg_b64_dec_len(data->val.string.len);
			value->data = palloc(VARHDRSZ + size);
			len = pg_b64_decode(data->val.string.val, data->val.string.len, (void *) VARDATA(value->data), size);
			if (len < 0)
				return false;
			SET_VARSIZE(value->data, VARHDRSZ + len);
			return true;
	}
	return false;
}

bool
cache_redis_decode(const char *text, size_t len, Oid database, const ApibaseCacheKey *key, CacheRedisValue *value,
				   CacheRedisDependencies *on)
{
	Jsonb	   *jsonb;
	int64		expires;

	if (!sum_is_right(text, len, key))
		return false;
	jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	on->n = 0;
	cache_redis_depend(on, CACHE_REDIS_ON_KEY, database, pnstrdup(key->name, key->len));
	if (!take_version(member(jsonb, "key"), &on->items[0]) ||
		!take_versions(jsonb, "tags", database, CACHE_REDIS_ON_TAG, on) ||
		!take_versions(jsonb, "parts", database, CACHE_REDIS_ON_PARTS, on) ||
		!take_data(jsonb, value))
		return false;
	value->created = number_of(jsonb, "created", 0) - EPOCH_DIFFERENCE;
	expires = number_of(jsonb, "expires", PG_INT64_MAX);
	value->expires = expires == PG_INT64_MAX ? DT_NOEND : expires - EPOCH_DIFFERENCE;
	value->cost = (uint32) number_of(jsonb, "cost", 0);
	value->tags = palloc(on->n * sizeof(char *));
	value->ntags = 0;
	for (int i = 0; i < on->n; i++)
	{
		if (on->items[i].kind == CACHE_REDIS_ON_TAG)
			value->tags[value->ntags++] = on->items[i].name;
	}
	return true;
}
