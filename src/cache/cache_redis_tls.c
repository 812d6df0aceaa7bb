/*-------------------------------------------------------------------------
 *
 * cache_redis_tls.c
 *	  TLS for connections to Redis (rediss://), where hiredis has it.
 *
 * hiredis has TLS since 1.0, in a library of its own; APIBASE_REDIS_TLS tells
 * that it is linked.  The certificate of the server is always verified, for
 * the host that the URL (or Sentinel, or the cluster) names, against
 * apibase.redis_tls_ca_file or what the system trusts.
 *
 * The handshake is part of the first write and the first reads, and so within
 * the time of the call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_redis_impl.h"

#include "utils/guc.h"

static char *redis_tls_ca_file;

#ifdef APIBASE_REDIS_TLS

#include <arpa/inet.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "storage/latch.h"

/* A new side of a connection to a host, or NULL. */
static SSL *
new_ssl(const char *host)
{
	SSL_CTX    *context = SSL_CTX_new(TLS_client_method());
	SSL		   *ssl;
	unsigned char address[sizeof(struct in6_addr)];
	bool		good;

	if (context == NULL)
		return NULL;
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	good = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
	if (redis_tls_ca_file[0] != '\0')
		good = good && SSL_CTX_load_verify_locations(context, redis_tls_ca_file, NULL) == 1;
	else
		good = good && SSL_CTX_set_default_verify_paths(context) == 1;
	ssl = good ? SSL_new(context) : NULL;
	SSL_CTX_free(context);		/* ssl keeps it */
	if (ssl == NULL)
		return NULL;

	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	else
		good = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
	if (good)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

bool
cache_redis_tls_begin(CacheRedisLink *link)
{
	SSL		   *ssl;

	ERR_clear_error();
	ssl = new_ssl(link->node.host);
	if (ssl != NULL && redisInitiateSSL(link->context, ssl) == REDIS_OK)
	{
		link->ssl = ssl;		/* the connection's */
		return true;
	}
	if (ssl == NULL)
	{
		const char *reason = ERR_reason_error_string(ERR_peek_last_error());

		cache_redis_call_failed(&link->node, "could not set up TLS: %s", reason ? reason : "unknown reason");
	}
	else
		cache_redis_call_failed(&link->node, "%s", link->context->errstr);
	SSL_free(ssl);
	ERR_clear_error();
	return false;
}

int
cache_redis_tls_events(const CacheRedisLink *link, int events)
{
	if (link->ssl == NULL)
		return events;
	/* a handshake reads while we write, and the other way round */
	return SSL_want_read(link->ssl) ? WL_SOCKET_READABLE : events;
}

const char *
cache_redis_tls_error(const CacheRedisLink *link)
{
	long		result = link->ssl ? SSL_get_verify_result(link->ssl) : X509_V_OK;

	/* errors are kept for the process: none may be left for the server's own connections */
	if (link->ssl)
		ERR_clear_error();
	return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}

#else

/* Without it cache_redis_url.c refuses rediss://, and these are never asked to do anything. */

bool
cache_redis_tls_begin(CacheRedisLink *link)
{
	return false;
}

int
cache_redis_tls_events(const CacheRedisLink *link, int events)
{
	return events;
}

const char *
cache_redis_tls_error(const CacheRedisLink *link)
{
	return NULL;
}

#endif

/* ---- the setting ---- */

static void
assign_ca_file(const char *newval, void *extra)
{
	cache_redis_url_renew();
}

void
cache_redis_tls_define_gucs(void)
{
	DefineCustomStringVariable("apibase.redis_tls_ca_file",
							   "File with the certificates that the certificate of Redis is verified against.",
							   "In PEM format, for rediss:// only. Empty: what the system trusts.",
							   &redis_tls_ca_file,
							   "",
							   PGC_SIGHUP, GUC_NOT_IN_SAMPLE,
							   NULL, assign_ca_file, NULL);
}
