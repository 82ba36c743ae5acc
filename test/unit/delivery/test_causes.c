/*
 * What each check's failure means for each rung: one thing at a time is broken in a world where all else holds, the facts
 * go the way that an attempt takes them, and the state of every rung is written down (docs/fail-closed.md).
 */
#include "delivery/outcome.h"
#include "support/check_main.h"
#include "support/doc_table.h"

#define DAY ((int64_t)24 * 3600 * 1000)

/* What kind of event it is decides what must not come of it. */
enum kind {
    ANSWER, /* the check answered: no */
    ERROR,  /* it gave no answer: the rungs that hang on it must wait */
    BREACH, /* a promise is not kept: nothing may go there */
};

/* Zero is: all holds. */
struct check {
    const char *name;
    enum kind kind;
    enum sp_rc keys, sealer, portal, route, host;
    enum sp_rc tlsa_rc; /* of the look-up */
    enum sp_tlsa_state tlsa;
    enum sp_rc tls;
    enum sp_rc lacks;
    enum sp_rc sts_why;
    bool bad_dane, bad_chain, bad_name, expired, bad_sts_host, remembers_dane, no_portal;
};

#define NO_DANE .tlsa = SP_TLSA_NONE, .tlsa_rc = SP_E_DANE_NONE
#define NO_STS  .sts_why = SP_E_STS_NONE

static const struct check checks[] = {
    {"nothing is broken", ANSWER, .tlsa = SP_TLSA_USABLE},
    {"keeper: no key", ANSWER, .keys = SP_E_KEYS_NONE, .tlsa = SP_TLSA_USABLE},
    {"keeper: the key has expired", ANSWER, .keys = SP_E_KEYS_EXPIRED, .tlsa = SP_TLSA_USABLE},
    {"keeper: the key is not usable", ANSWER, .keys = SP_E_KEYS_UNUSABLE, .tlsa = SP_TLSA_USABLE},
    {"keeper dead", ERROR, .keys = SP_E_ROLE_GONE, .tlsa = SP_TLSA_USABLE},
    {"keeper hangs", ERROR, .keys = SP_E_JOB_DEADLINE, .tlsa = SP_TLSA_USABLE},
    {"sealer dead, or talks nonsense", ERROR, .sealer = SP_E_ROLE_GONE, .tlsa = SP_TLSA_USABLE},
    {"sealer hangs", ERROR, .sealer = SP_E_JOB_DEADLINE, .tlsa = SP_TLSA_USABLE},
    {"sealer: S/MIME or PGP failed", ERROR, .sealer = SP_E_SMIME_FAILED, .tlsa = SP_TLSA_USABLE},
    {"sealer: this key can't be used", ANSWER, .sealer = SP_E_KEYS_UNUSABLE,
     .tlsa = SP_TLSA_USABLE},
    {"portal dead, or talks nonsense", ERROR, .portal = SP_E_ROLE_GONE, .tlsa = SP_TLSA_USABLE},
    {"portal hangs", ERROR, .portal = SP_E_JOB_DEADLINE, .tlsa = SP_TLSA_USABLE},
    {"there is no portal", ANSWER, .no_portal = true, .tlsa = SP_TLSA_USABLE},
    {"resolver silent for MX", ERROR, .route = SP_E_DNS_TIMEOUT},
    {"resolver: SERVFAIL for MX", ERROR, .route = SP_E_DNS_SERVFAIL},
    {"resolver: MX is bogus", ERROR, .route = SP_E_DNS_BOGUS},
    {"resolver talks nonsense", ERROR, .route = SP_E_DNS_MALFORMED},
    {"TLSA silent", ERROR, .host = SP_E_DNS_TIMEOUT, .tlsa = SP_TLSA_ERROR,
     .tlsa_rc = SP_E_DNS_TIMEOUT},
    {"TLSA bogus", ERROR, .host = SP_E_DNS_BOGUS, .tlsa = SP_TLSA_ERROR, .tlsa_rc = SP_E_DNS_BOGUS},
    {"TLSA denied, STS holds", ANSWER, NO_DANE},
    {"TLSA denied, no STS", ANSWER, NO_DANE, NO_STS},
    {"TLSA denied, DANE is remembered, no STS", ANSWER, NO_DANE, NO_STS, .remembers_dane = true},
    {"TLSA unusable, no STS", ANSWER, .tlsa = SP_TLSA_UNUSABLE, .tlsa_rc = SP_E_DANE_UNUSABLE,
     NO_STS},
    {"STS policy not to be had", ANSWER, NO_DANE, .sts_why = SP_E_FETCH_FAILED},
    {"STS record not to be had", ANSWER, NO_DANE, .sts_why = SP_E_DNS_TIMEOUT},
    {"host unreachable", ERROR, .host = SP_E_HOP_UNREACHABLE, .tlsa = SP_TLSA_USABLE},
    {"host unreachable, promises nothing", ERROR, .host = SP_E_HOP_UNREACHABLE, NO_DANE, NO_STS},
    {"connection lost", ERROR, .host = SP_E_HOP_LOST, .tlsa = SP_TLSA_USABLE},
    {"host talks nonsense", ERROR, .host = SP_E_SMTP_REPLY, .tlsa = SP_TLSA_USABLE},
    {"plain text behind STARTTLS", ERROR, .host = SP_E_SMTP_INJECTION, .tlsa = SP_TLSA_USABLE},
    {"host puts off (4xx)", ERROR, .host = SP_E_HOP_DEFERRED, .tlsa = SP_TLSA_USABLE},
    {"host left alone by us for a while", ERROR, .host = SP_E_HOP_PAUSED, .tlsa = SP_TLSA_USABLE},
    {"STARTTLS stripped, DANE promised", BREACH, .tls = SP_E_TLS_ABSENT, .tlsa = SP_TLSA_USABLE},
    {"STARTTLS stripped, STS enforced", BREACH, .tls = SP_E_TLS_ABSENT, NO_DANE},
    {"no STARTTLS, nothing promised", ANSWER, .tls = SP_E_TLS_ABSENT, NO_DANE, NO_STS},
    {"no STARTTLS, DANE is remembered", ANSWER, .tls = SP_E_TLS_ABSENT, NO_DANE, NO_STS,
     .remembers_dane = true},
    {"handshake fails, DANE promised", BREACH, .tls = SP_E_TLS_HANDSHAKE, .tlsa = SP_TLSA_USABLE},
    {"handshake fails, nothing promised", ANSWER, .tls = SP_E_TLS_HANDSHAKE, NO_DANE, NO_STS},
    {"certificate does not match TLSA", BREACH, .bad_dane = true, .tlsa = SP_TLSA_USABLE},
    {"certificate has expired, DANE matches", ANSWER, .bad_chain = true, .expired = true,
     .tlsa = SP_TLSA_USABLE},
    {"certificate has expired, STS enforced", BREACH, .bad_chain = true, .expired = true, NO_DANE},
    {"certificate of another name, STS enforced", BREACH, .bad_name = true, NO_DANE},
    {"host is not one of the STS policy's", BREACH, .bad_sts_host = true, NO_DANE},
    {"certificate has expired, nothing promised", ANSWER, .bad_chain = true, .expired = true,
     NO_DANE, NO_STS},
    {"certificate of another name, nothing promised", ANSWER, .bad_name = true, NO_DANE, NO_STS},
    {"untrusted certificate, nothing promised", ANSWER, .bad_chain = true, NO_DANE, NO_STS},
    {"host lacks what the bytes need", ANSWER, .lacks = SP_E_HOP_LACKS, .tlsa = SP_TLSA_USABLE},
};

static const struct sp_ladder whole = {
    .rungs = {{SP_RUNG_SMIME, -1, DAY},
              {SP_RUNG_PGP, -1, DAY},
              {SP_RUNG_TLS_DANE, -1, DAY},
              {SP_RUNG_TLS_AUTHENTICATED, -1, DAY},
              {SP_RUNG_TLS_VERIFIED, -1, DAY},
              {SP_RUNG_TLS_ENCRYPTED, -1, DAY},
              {SP_RUNG_PLAIN, -1, DAY},
              {SP_RUNG_PORTAL, -1, DAY}},
    .count = 8,
    .floor = SP_FLOOR_PLAIN,
};

/* The host as a look-up and a handshake show it. */
static struct sp_hop_report report_of(const struct check *c)
{
    struct sp_hop hop = {.tlsa = c->tlsa, .tlsa_why = c->tlsa_rc, .sts_match = !c->bad_sts_host};
    struct sp_route route = {
        .mx_secure = true, .hops = &hop, .hop_count = 1, .sts_why = c->sts_why};
    const struct sp_hop_proof proof = {
        .tls = c->tls == SP_OK,
        .dane_ok = !c->bad_dane && c->tlsa == SP_TLSA_USABLE,
        .chain_ok = !c->bad_chain,
        .name_ok = !c->bad_name,
        .expired = c->expired,
    };
    struct sp_hop_report r = {
        .rc = c->host, .has_before = c->remembers_dane, .before = SP_LEVEL_DANE, .lacks = c->lacks};

    route.sts.mode = c->sts_why == SP_OK ? SP_STS_MODE_ENFORCE : SP_STS_MODE_NONE;
    r.verdict = sp_hop_judge(&route, &hop, &proof, c->tls);
    if (!sp_hop_has_dane(&route, &hop) && c->tlsa != SP_TLSA_ERROR)
        r.dane_why = hop.tlsa_why;
    if (route.sts.mode != SP_STS_MODE_ENFORCE && !sp_hop_has_dane(&route, &hop))
        r.auth_why = c->sts_why;
    return r;
}

static void stand(const struct check *c, struct sp_standing *s)
{
    struct sp_hop_report r = report_of(c);

    *s = (struct sp_standing){.ladder = &whole, .has_portal = !c->no_portal, .expire_ms = 2 * DAY};
    sp_outcome_begin(s);
    sp_outcome_keys(s, c->keys, c->keys);
    if (c->route != SP_OK)
        sp_outcome_route_failed(s, c->route);
    else
        sp_outcome_hop(s, &r);
    for (size_t i = 0; i < 2; i++)
        if (c->sealer != SP_OK && s->rungs[i].status == SP_STATUS_POSSIBLE)
            sp_outcome_rung_failed(s, i, c->sealer);
    if (c->portal != SP_OK)
        sp_outcome_rung_failed(s, whole.count - 1, c->portal);
}

/* What must hold whatever the rung's exact state: said again, in other words than the code has. */
static void must_hold(const struct check *c, const struct sp_standing *s)
{
    size_t possible = 0;

    for (size_t i = 0; i < whole.count; i++) {
        enum sp_rung rung = whole.rungs[i].rung;
        enum sp_rung_status status = s->rungs[i].status;
        bool is_road = rung <= SP_RUNG_TLS_DANE;

        ck_assert_msg(s->rungs[i].known, "%s: %s", c->name, sp_rung_name(rung));
        possible += status == SP_STATUS_POSSIBLE;
        if (is_road && (c->route != SP_OK || c->host != SP_OK))
            ck_assert_msg(status == SP_STATUS_UNREACHABLE || status == SP_STATUS_UNAVAILABLE,
                          "%s: %s", c->name, sp_rung_name(rung));
        if (sp_rung_is_crypto(rung) && c->kind == ERROR && (c->keys != SP_OK || c->sealer != SP_OK))
            ck_assert_msg(status == SP_STATUS_UNREACHABLE, "%s: %s", c->name, sp_rung_name(rung));
        if (c->kind == BREACH && rung != SP_RUNG_PORTAL)
            ck_assert_msg(status == SP_STATUS_BROKEN, "%s: %s", c->name, sp_rung_name(rung));
        if (is_road && rung != SP_RUNG_PLAIN && c->tls != SP_OK)
            ck_assert_msg(status != SP_STATUS_POSSIBLE, "%s: %s", c->name, sp_rung_name(rung));
    }
    if (c->kind == ANSWER && c->tlsa == SP_TLSA_USABLE && !c->lacks && !c->keys && !c->sealer &&
        !c->no_portal && !c->expired)
        ck_assert_uint_eq(possible, whole.count);
}

START_TEST(each_check_that_fails_closes_what_hangs_on_it)
{
    struct sp_buf out;

    sp_buf_init(&out, 65536);
    sp_buf_put_cstr(&out, "| what fails |");
    for (size_t i = 0; i < whole.count; i++)
        sp_buf_printf(&out, " %s |", sp_rung_name(whole.rungs[i].rung));
    sp_buf_put_cstr(&out, " why |\n|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t n = 0; n < SP_ARRAY_LEN(checks); n++) {
        struct sp_standing s;
        enum sp_rc why = SP_OK;

        stand(&checks[n], &s);
        must_hold(&checks[n], &s);
        sp_buf_printf(&out, "| %s |", checks[n].name);
        for (size_t i = 0; i < whole.count; i++) {
            sp_buf_printf(&out, " %s |", sp_rung_status_name(s.rungs[i].status));
            if (why == SP_OK)
                why = s.rungs[i].why;
        }
        sp_buf_printf(&out, " %s |\n", why == SP_OK ? "" : sp_rc_name(why));
    }
    ck_assert(sp_buf_rc(&out) == SP_OK);
    doc_table(SP_SOURCE_DIR, "docs/fail-closed.md", "causes", sp_buf_bytes(&out));
    sp_buf_clear(&out);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, each_check_that_fails_closes_what_hangs_on_it);
}

SP_TEST_MAIN("delivery.causes", add)
