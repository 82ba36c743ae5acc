/*
 * Evidence once: a certificate chain, a TLSA set or an MTA-STS policy is written in full when it is first seen since the
 * start, under its digest; each attempt cites the digest. It counts as written when the record that holds it is durable;
 * until then each attempt writes it again, and so does a relay that starts anew, so that a record never cites what its
 * own journal does not have, but for policies, which the ledger's own journal has.
 */
#include "delivery/delivery_priv.h"
#include "delivery/report_priv.h"
#include "transport/sts_quest.h"

#include <stdio.h>

#define SEEN_MAX 10000 /* then all are forgotten: writing one again does no harm */
#define TEXT_MAX (256 * 1024)

static bool is_written(const struct sp_attempt *a, struct sp_bytes sum)
{
    for (size_t i = 0; i < a->fresh_count; i++)
        if (sp_bytes_eq(sum, sp_bytes(a->fresh[i], SP_SHA256_LEN)))
            return true;
    return sp_map_find(a->d->evidence, sum) != NULL;
}

/* returns: false if there was no room for it */
static bool write_object(struct sp_attempt *a, const char *kind, const char *digest,
                         struct sp_bytes object)
{
    size_t before = a->event_count;
    struct sp_jw w;

    if (a->fresh_count == SP_FRESH_MAX || !sp_report_begin(a, &w, "evidence.recorded", a->ns, 0))
        return false;
    sp_jw_cstr(&w, "digest", digest);
    sp_jw_cstr(&w, "kind", kind);
    sp_jw_text(&w, "object", object);
    if (strcmp(kind, "sts") == 0) /* with whose it is, so that the ledger can remember it too */
        sp_sts_put_evidence(&w, a->route->domain, a->route->sts.id, &a->route->sts,
                            a->route->sts.fetched_at_ms);
    sp_report_end(a, &w);
    return a->event_count > before;
}

/* Sets the next digest to be cited, and counts it not. returns: it */
static const char *name_digest(struct sp_attempt *a, const char *kind, struct sp_bytes sum)
{
    char *digest = a->cited[a->cited_count];
    struct sp_buf text;

    sp_buf_init(&text, 2 * SP_SHA256_LEN);
    sp_hex_encode(&text, sum);
    (void)snprintf(digest, SP_DIGEST_MAX, "%s:%.*s", kind, SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
    return digest;
}

/* Writes the object unless it was, and notes its digest for citing: no digest without its object. */
static void cite(struct sp_attempt *a, const char *kind, struct sp_bytes raw,
                 struct sp_bytes (*show)(struct sp_buf *out, struct sp_bytes raw))
{
    uint8_t sum[SP_SHA256_LEN];
    struct sp_buf text;
    const char *digest;

    if (raw.len == 0 || a->cited_count == SP_CITED_MAX)
        return;
    sp_crypt_sha256(raw, sum);
    digest = name_digest(a, kind, sp_bytes(sum, sizeof(sum)));
    sp_buf_init(&text, TEXT_MAX);
    if (is_written(a, sp_bytes(sum, sizeof(sum)))) {
        a->cited_count++;
    } else if (write_object(a, kind, digest, show(&text, raw))) {
        memcpy(a->fresh[a->fresh_count++], sum, sizeof(sum));
        a->cited_count++;
    }
    sp_buf_clear(&text);
}

void sp_report_evidence_durable(struct sp_delivery *d, const uint8_t (*sums)[SP_SHA256_LEN],
                                size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sp_map_count(d->evidence) >= SEEN_MAX) {
            sp_map_free(d->evidence);
            d->evidence = sp_map_new();
        }
        (void)sp_map_put(d->evidence, sp_bytes(sums[i], SP_SHA256_LEN), d);
    }
}

static struct sp_bytes as_base64(struct sp_buf *out, struct sp_bytes raw)
{
    sp_base64_encode(out, raw);
    return sp_buf_bytes(out);
}

static struct sp_bytes as_is(struct sp_buf *out, struct sp_bytes raw)
{
    (void)out;
    return raw;
}

/* The usable records, one a line, as a zone file has them. */
static void write_tlsa(const struct sp_hop *h, struct sp_buf *out)
{
    for (size_t i = 0; i < h->tlsa_count; i++) {
        const struct sp_tlsa *t = &h->tlsa_set[i];

        sp_buf_printf(out, "_%u._tcp.%.*s. TLSA %u %u %u ", h->port, SP_FMT(h->base), t->usage,
                      t->selector, t->matching_type);
        sp_hex_encode(out, t->data);
        sp_buf_put_cstr(out, "\n");
    }
}

/*
 * The ledger had the policy when it was fetched: whole or, beyond what a domain may have a day, its digest. So it is cited though its
 * text may be put away by now, or too long to be written once more beside an attempt: by its digest the one that decided is found.
 */
static void cite_policy(struct sp_attempt *a, const struct sp_sts_policy *p)
{
    size_t before = a->cited_count;

    cite(a, "sts", p->text, as_is);
    if (a->cited_count > before || before == SP_CITED_MAX)
        return;
    (void)name_digest(a, "sts", sp_bytes(p->sum, sizeof(p->sum)));
    a->cited_count++;
}

void sp_report_evidence(struct sp_attempt *a)
{
    const struct sp_route *r = a->route;
    struct sp_buf tlsa;

    a->cited_count = 0;
    cite(a, "chain", a->chain, as_base64);
    if (r == NULL)
        return;
    sp_buf_init(&tlsa, TEXT_MAX);
    if (a->seen_hop < r->hop_count)
        write_tlsa(&r->hops[a->seen_hop], &tlsa);
    cite(a, "tlsa", sp_buf_bytes(&tlsa), as_is);
    sp_buf_clear(&tlsa);
    if (r->sts.mode != SP_STS_MODE_NONE)
        cite_policy(a, &r->sts);
}
