/*
 * Client sessions to resume, each with the proof of the handshake that made it: a resumed handshake shows no
 * certificate, so what it proves is what the first one proved, for the same names and the same TLSA records (they are in
 * the key), for an hour at most and never past the certificate's end. The hour is that of the first one, however many tickets
 * have followed from it: else busy traffic would never see a certificate again.
 */
#include "tls/tls_priv.h"

#define SESSIONS_MAX 4096
#define AGE_MAX_MS   (60 * 60 * 1000)

struct entry {
    SSL_SESSION *ticket;
    struct sp_tls_evidence *evidence;
};

struct sp_tls_cache {
    struct sp_map *map;
};

struct sp_tls_cache *sp_tls_cache_new(void)
{
    struct sp_tls_cache *cache = sp_calloc(1, sizeof(*cache));

    cache->map = sp_map_new();
    return cache;
}

static void entry_free(struct entry *e)
{
    if (e == NULL)
        return;
    SSL_SESSION_free(e->ticket);
    sp_tls_evidence_free(e->evidence);
    sp_free(e);
}

/* Frees entries older than that (INT64_MAX: all). */
static void purge(struct sp_tls_cache *cache, int64_t before_ms)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    while (sp_map_next(cache->map, &at, &key, &value)) {
        struct entry *e = value;

        if (e->evidence->proved_at_ms < before_ms) {
            sp_map_remove(cache->map, key);
            entry_free(e);
        }
    }
}

void sp_tls_cache_free(struct sp_tls_cache *cache)
{
    if (cache == NULL)
        return;
    purge(cache, INT64_MAX);
    sp_map_free(cache->map);
    sp_free(cache);
}

void sp_tls_cache_put(struct sp_tls_cache *cache, struct sp_bytes key, SSL_SESSION *ticket,
                      const struct sp_tls_evidence *evidence, int64_t now_ms)
{
    struct entry *e = sp_calloc(1, sizeof(*e));

    if (sp_map_count(cache->map) >= SESSIONS_MAX)
        purge(cache, now_ms - AGE_MAX_MS);
    if (sp_map_count(cache->map) >= SESSIONS_MAX)
        purge(cache, INT64_MAX);
    e->ticket = ticket;
    e->evidence = sp_tls_evidence_copy(evidence);
    entry_free(sp_map_put(cache->map, key, e));
}

bool sp_tls_cache_take(struct sp_tls_cache *cache, struct sp_bytes key, int64_t now_ms,
                       SSL_SESSION **ticket, struct sp_tls_evidence **evidence)
{
    struct entry *e = sp_map_find(cache->map, key);
    bool good = e != NULL && now_ms - e->evidence->proved_at_ms < AGE_MAX_MS &&
                now_ms >= e->evidence->proved_at_ms && now_ms < e->evidence->proof.not_after_ms &&
                SSL_SESSION_is_resumable(e->ticket) == 1;

    if (good) {
        (void)SSL_SESSION_up_ref(e->ticket);
        *ticket = e->ticket;
        *evidence = sp_tls_evidence_copy(e->evidence);
    }
    /* a ticket of TLS 1.3 is used once (RFC 8446 C.4); before, a resumed session brings no other one as a rule */
    if (e != NULL && (!good || SSL_SESSION_get_protocol_version(e->ticket) > TLS1_2_VERSION)) {
        (void)sp_map_remove(cache->map, key);
        entry_free(e);
    }
    return good;
}

void sp_tls_cache_drop(struct sp_tls_cache *cache, struct sp_bytes key)
{
    entry_free(sp_map_remove(cache->map, key));
}
