/*
 * Fail closed, as a whole: every rule of the shipped policies, every state of keys, sealer, portal, resolver and host,
 * every age, through the decisions of delivery. An oracle of its own says what a copy may travel on; and nothing that
 * merely went wrong may open a lower rung before its time. The tables in docs/fail-closed.md are made here.
 */
#include "delivery/outcome.h"
#include "support/check_main.h"
#include "support/doc_table.h"
#include "unit/delivery/shipped.h"

#define HOUR      ((int64_t)3600 * 1000)
#define STEPS_MAX 40
#define DOC       "docs/fail-closed.md"

enum key { KEY_THERE, KEY_NONE, KEY_ERROR, KEY_STATES };
enum helper { HELPER_WORKS, HELPER_FAILS, HELPER_REFUSES, HELPER_STATES };
enum host_kind { HOST_SHOWS, HOST_BROKEN, HOST_SILENT };

struct host {
    enum host_kind kind;
    enum sp_level level;
    bool has_before;
    enum sp_level before;
    enum sp_rc lacks;
    bool no_dane; /* that there is no such promise is known without the host */
    bool no_auth;
};

struct world {
    enum key smime, pgp;
    enum helper sealer, portal; /* REFUSES: there is no portal */
    enum sp_rc route;
    struct host hosts[2];
    size_t host_count;
    int64_t age_ms;
};

struct tally {
    uint64_t worlds, sent, waits, ends, below;
    unsigned rungs; /* bits */
};

/* ck_assert writes to a file each time that it holds: too slow for millions of times */
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x))                                                                                  \
            ck_abort_msg("%s", #x);                                                                \
    } while (0)

/* ---- the oracle: what is right, said a second time and in other words ---- */

static bool may_travel(enum sp_rung rung, enum sp_floor floor, bool is_sealed)
{
    static const int strength[] = {[SP_RUNG_PLAIN] = 0,        [SP_RUNG_TLS_ENCRYPTED] = 1,
                                   [SP_RUNG_TLS_VERIFIED] = 2, [SP_RUNG_TLS_AUTHENTICATED] = 3,
                                   [SP_RUNG_TLS_DANE] = 4,     [SP_RUNG_SMIME] = 5,
                                   [SP_RUNG_PGP] = 5,          [SP_RUNG_PORTAL] = 5};
    static const int least[] = {[SP_FLOOR_PLAIN] = 0,        [SP_FLOOR_TLS_ENCRYPTED] = 1,
                                [SP_FLOOR_TLS_VERIFIED] = 2, [SP_FLOOR_TLS_AUTHENTICATED] = 3,
                                [SP_FLOOR_TLS_DANE] = 4,     [SP_FLOOR_SEALED] = 5};

    return strength[rung] >= least[floor] || (is_sealed && strength[rung] > 0);
}

static enum key key_of(const struct world *w, enum sp_rung rung)
{
    return rung == SP_RUNG_SMIME ? w->smime : w->pgp;
}

/* Whether this world really gives the rung its protection. */
static bool is_true(const struct world *w, enum sp_rung rung, size_t hop)
{
    const struct host *h = &w->hosts[hop];
    bool talks = w->route == SP_OK && hop < w->host_count && h->kind == HOST_SHOWS;

    if (rung == SP_RUNG_PORTAL)
        return w->portal != HELPER_REFUSES;
    if (sp_rung_is_crypto(rung))
        return key_of(w, rung) == KEY_THERE && talks;
    return talks && (unsigned)h->level >= (unsigned)rung && h->lacks == SP_OK;
}

/* Whether the rung is missing for a reason that is no answer: it may be there, and somebody may be hiding it. */
static bool is_unsure(const struct world *w, enum sp_rung rung)
{
    bool all_silent = true;

    if (rung == SP_RUNG_PORTAL)
        return w->portal == HELPER_FAILS;
    if (sp_rung_is_crypto(rung) && key_of(w, rung) != KEY_THERE)
        return key_of(w, rung) == KEY_ERROR;
    if (sp_rung_is_crypto(rung) && w->sealer != HELPER_WORKS)
        return w->sealer == HELPER_FAILS;
    for (size_t i = 0; i < w->host_count; i++)
        all_silent = all_silent && w->hosts[i].kind != HOST_SHOWS;
    if (w->route != SP_OK || !all_silent)
        return w->route != SP_OK;
    for (size_t i = 0; i < w->host_count; i++) {
        const struct host *h = &w->hosts[i];
        bool known = (rung == SP_RUNG_TLS_DANE && h->no_dane) ||
                     (rung == SP_RUNG_TLS_AUTHENTICATED && h->no_auth);

        if (h->kind == HOST_BROKEN || !known)
            return true;
    }
    return false;
}

/* ---- one life of a recipient at one moment ---- */

static struct sp_hop_report report_of(const struct host *h, size_t n)
{
    struct sp_hop_report r = {
        .hop = n, .has_before = h->has_before, .before = h->before, .lacks = h->lacks};

    r.rc = h->kind == HOST_SILENT ? SP_E_HOP_UNREACHABLE : SP_OK;
    r.dane_why = h->no_dane ? SP_E_DANE_UNSIGNED : SP_OK;
    r.auth_why = h->no_auth ? SP_E_STS_NONE : SP_OK;
    r.verdict.broken = h->kind == HOST_BROKEN;
    r.verdict.level = h->kind == HOST_SHOWS ? h->level : SP_LEVEL_PLAIN;
    r.verdict.dane_why = r.verdict.level < SP_LEVEL_DANE ? SP_E_TLS_DANE : SP_OK;
    r.verdict.auth_why = r.verdict.level < SP_LEVEL_AUTHENTICATED ? SP_E_TLS_UNTRUSTED : SP_OK;
    r.verdict.verified_why = r.verdict.level < SP_LEVEL_VERIFIED ? SP_E_TLS_UNTRUSTED : SP_OK;
    r.verdict.tls_why = r.verdict.level < SP_LEVEL_ENCRYPTED ? SP_E_TLS_ABSENT : SP_OK;
    return r;
}

static void ask_hosts(struct sp_standing *s, const struct world *w)
{
    if (w->route != SP_OK) {
        sp_outcome_route_failed(s, w->route);
        return;
    }
    for (size_t i = 0; i < w->host_count; i++) {
        struct sp_hop_report r = report_of(&w->hosts[i], i);

        sp_outcome_hop(s, &r);
        if (sp_outcome_hop_will_do(s, i))
            return;
    }
}

static enum sp_rc key_rc(enum key key)
{
    static const enum sp_rc rcs[] = {SP_OK, SP_E_KEYS_NONE, SP_E_JOB_DEADLINE};

    return rcs[key];
}

/* returns: SP_OK if the copy is on its way; else why the rung came to nothing */
static enum sp_rc try_rung(const struct world *w, enum sp_rung rung)
{
    enum helper h = rung == SP_RUNG_PORTAL    ? w->portal
                    : sp_rung_is_crypto(rung) ? w->sealer
                                              : HELPER_WORKS;

    if (h == HELPER_WORKS)
        return SP_OK;
    return h == HELPER_FAILS ? SP_E_JOB_DEADLINE : SP_E_KEYS_UNUSABLE;
}

/* Takes the rung that is to be taken. returns: whether the copy is on its way */
static bool take(const struct wish *wish, const struct world *w, struct sp_standing *s,
                 size_t index, bool *is_ready)
{
    enum sp_rung rung = wish->ladder.rungs[index].rung;
    enum sp_rc rc = try_rung(w, rung);

    if (rc != SP_OK) {
        sp_outcome_rung_failed(s, index, rc);
        return false;
    }
    if (sp_rung_is_crypto(rung) && !*is_ready) {
        *is_ready = true; /* the copy is made: the host is asked anew */
        sp_outcome_forget_hops(s);
        return false;
    }
    MUST(is_true(w, rung, s->rungs[index].hop));
    return true;
}

/* Asks and does what delivery would, until the copy is sent, waits, or is given up. */
static void live(const struct wish *wish, const struct world *w, struct sp_next *next)
{
    struct sp_standing s = {.ladder = &wish->ladder,
                            .floor = wish->floor,
                            .is_sealed = wish->is_sealed,
                            .has_portal = w->portal != HELPER_REFUSES,
                            .since_accept_ms = w->age_ms,
                            .expire_ms = wish->expire_ms};
    bool is_ready = false;

    sp_outcome_begin(&s);
    for (int i = 0; i < STEPS_MAX; i++) {
        sp_outcome_next(&s, next);
        if (next->step == SP_STEP_KEYS)
            sp_outcome_keys(&s, key_rc(w->smime), key_rc(w->pgp));
        else if (next->step == SP_STEP_HOP)
            ask_hosts(&s, w);
        else if (next->step != SP_STEP_TAKE || take(wish, w, &s, next->index, &is_ready))
            return;
    }
    ck_abort_msg("%s %s: no end", wish->policy, wish->rule);
}

static int64_t stay_of(const struct sp_ladder_rung *r, int64_t expire_ms)
{
    bool whole =
        r->stay_unreachable_ms == SP_STAY_UNTIL_EXPIRE || r->stay_unreachable_ms > expire_ms;

    return whole ? expire_ms : r->stay_unreachable_ms;
}

/* A copy was sent on rung `at`: was any better one only blocked? */
static void check_no_talking_down(const struct wish *wish, const struct world *w, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        const struct sp_ladder_rung *r = &wish->ladder.rungs[i];

        if (may_travel(r->rung, wish->floor, wish->is_sealed) && is_unsure(w, r->rung) &&
            w->age_ms < stay_of(r, wish->expire_ms))
            ck_abort_msg("%s %s: %s was blocked, and %s taken before its time", wish->policy,
                         wish->rule, sp_rung_name(r->rung),
                         sp_rung_name(wish->ladder.rungs[at].rung));
    }
}

static void run(const struct wish *wish, const struct world *w, struct tally *t)
{
    struct sp_next next;

    t->worlds++;
    live(wish, w, &next);
    if (next.step == SP_STEP_WAIT) {
        MUST(next.wait_until_ms > w->age_ms);
        MUST(next.wait_until_ms <= wish->expire_ms);
        t->waits++;
    } else if (next.step == SP_STEP_TAKE) {
        enum sp_rung rung = wish->ladder.rungs[next.index].rung;

        t->sent++;
        t->rungs |= 1U << rung;
        t->below += !may_travel(rung, wish->floor, wish->is_sealed);
        check_no_talking_down(wish, w, next.index);
    } else {
        t->ends++;
    }
}

/* ---- all worlds ---- */

static const int64_t ages[] = {0, HOUR + 1, 3 * HOUR, 5 * HOUR, 9 * HOUR, INT64_MAX};

static bool has_rung(const struct wish *wish, enum sp_rung rung)
{
    for (size_t i = 0; i < wish->ladder.count; i++)
        if (wish->ladder.rungs[i].rung == rung)
            return true;
    return false;
}

/* Keys, sealer, portal and age, round what the road shows. What the ladder has not is asked once. */
static void run_helpers(const struct wish *wish, struct world *w, struct tally *t)
{
    unsigned smimes = has_rung(wish, SP_RUNG_SMIME) ? KEY_STATES : 1;
    unsigned pgps = has_rung(wish, SP_RUNG_PGP) ? KEY_STATES : 1;
    unsigned sealers = smimes + pgps > 2 ? HELPER_STATES : 1;
    unsigned portals = has_rung(wish, SP_RUNG_PORTAL) ? HELPER_STATES : 1;
    unsigned all = smimes * pgps * sealers * portals * SP_ARRAY_LEN(ages);

    for (unsigned i = 0; i < all; i++) {
        unsigned rest = i;

        w->smime = rest % smimes;
        rest /= smimes;
        w->pgp = rest % pgps;
        rest /= pgps;
        w->sealer = rest % sealers;
        rest /= sealers;
        w->portal = rest % portals;
        w->age_ms = ages[rest / portals] == INT64_MAX ? wish->expire_ms : ages[rest / portals];
        if (w->sealer == HELPER_WORKS || w->smime == KEY_THERE || w->pgp == KEY_THERE)
            run(wish, w, t);
    }
}

/* The n-th way in which a host shows itself. returns: false past the last */
static bool nth_host(unsigned n, struct host *h)
{
    static const enum sp_rc lacks[] = {SP_OK, SP_E_HOP_LACKS};
    unsigned kind = n % 7;

    h->kind = kind < 5 ? HOST_SHOWS : kind == 5 ? HOST_BROKEN : HOST_SILENT;
    h->level = kind < 5 ? (enum sp_level)kind : SP_LEVEL_PLAIN;
    n /= 7;
    h->has_before = n % 5 > 0;
    h->before = (enum sp_level)(n % 5);
    n /= 5;
    h->lacks = lacks[n % 2];
    n /= 2;
    h->no_dane = n % 2 == 0;
    h->no_auth = n / 2 % 2 == 0;
    /* what is known not to be there can't be shown */
    if (h->no_dane && h->kind == HOST_SHOWS && h->level == SP_LEVEL_DANE)
        h->no_dane = false;
    if (h->no_auth && h->kind == HOST_SHOWS && h->level >= SP_LEVEL_AUTHENTICATED)
        h->no_auth = false;
    return n < 4;
}

static void run_roads(const struct wish *wish, struct tally *t)
{
    static const enum sp_rc routes[] = {SP_E_DNS_BOGUS,     SP_E_DNS_SERVFAIL, SP_E_DNS_TIMEOUT,
                                        SP_E_DNS_MALFORMED, SP_E_DNS_NXDOMAIN, SP_E_DNS_NULL_MX};
    struct world w = {.host_count = 1};

    for (unsigned n = 0; nth_host(n, &w.hosts[0]); n++)
        run_helpers(wish, &w, t);
    w.host_count = 2;
    for (unsigned n = 0; n < 7 * 7; n++) {
        ck_assert(nth_host(n / 7, &w.hosts[0]) && nth_host(n % 7, &w.hosts[1]));
        run_helpers(wish, &w, t);
    }
    w.host_count = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(routes); i++) {
        w.route = routes[i];
        run_helpers(wish, &w, t);
    }
}

static bool is_same_way(const struct wish *a, const struct wish *b)
{
    struct wish x = *a;

    x.policy = b->policy;
    x.rule = b->rule;
    x.verb = b->verb;
    return shipped_is_same(&x, b);
}

static void put_rungs(struct sp_buf *out, unsigned rungs)
{
    const char *comma = "";

    for (int r = SP_RUNG_COUNT - 1; r >= 0; r--) {
        if (!(rungs & 1U << r))
            continue;
        sp_buf_printf(out, "%s%s", comma, sp_rung_name((enum sp_rung)r));
        comma = ", ";
    }
    if (rungs == 0)
        sp_buf_put_cstr(out, "nothing");
}

static void put_row(struct sp_buf *out, const struct wish *wish, const struct tally *t)
{
    sp_buf_printf(out, "| %.*s | %s%s%s | %s | ", (int)strcspn(wish->policy, "."), wish->policy,
                  wish->rule, wish->is_sealed ? " (arrived sealed)" : "",
                  wish->verb == SP_DO_HOLD ? " (once released)" : "", sp_floor_name(wish->floor));
    put_rungs(out, t->rungs);
    sp_buf_printf(out, " | %llu | %llu | %llu | %llu | %llu |\n", (unsigned long long)t->worlds,
                  (unsigned long long)t->sent, (unsigned long long)t->waits,
                  (unsigned long long)t->ends, (unsigned long long)t->below);
}

START_TEST(no_state_of_the_world_takes_a_copy_below_its_floor)
{
    struct shipped *s = shipped_load();
    struct tally *tallies = sp_calloc(s->count, sizeof(*tallies));
    struct tally sum = {0};
    struct sp_buf out;

    sp_buf_init(&out, 65536);
    sp_buf_put_cstr(&out, "| policy | rule | floor | what went out, went by | situations | sent | "
                          "waits | given up | below the floor |\n|---|---|---|---|---|---|---|---|"
                          "---|\n");
    for (size_t i = 0; i < s->count; i++) {
        const struct wish *wish = &s->wishes[i];
        size_t same = 0;

        if (wish->ladder.count == 0) { /* refused: nothing goes out */
            ck_assert(wish->verb == SP_DO_REJECT || wish->verb == SP_DO_DISCARD);
            sp_buf_printf(&out, "| %.*s | %s | | nothing: refused | | | | | 0 |\n",
                          (int)strcspn(wish->policy, "."), wish->policy, wish->rule);
            continue;
        }
        while (!is_same_way(wish, &s->wishes[same]))
            same++;
        if (same < i)
            tallies[i] = tallies[same]; /* the same ladder, floor and time: the same answers */
        else
            run_roads(wish, &tallies[i]);
        put_row(&out, wish, &tallies[i]);
        sum.worlds += tallies[i].worlds;
        sum.sent += tallies[i].sent;
        sum.waits += tallies[i].waits;
        sum.ends += tallies[i].ends;
        sum.below += tallies[i].below;
    }
    sp_buf_printf(&out, "| all | | | | %llu | %llu | %llu | %llu | %llu |\n",
                  (unsigned long long)sum.worlds, (unsigned long long)sum.sent,
                  (unsigned long long)sum.waits, (unsigned long long)sum.ends,
                  (unsigned long long)sum.below);
    ck_assert_uint_eq(sum.below, 0);
    ck_assert(sum.worlds > 1000000 && sum.sent > 0 && sum.waits > 0 && sum.ends > 0);
    ck_assert(sp_buf_rc(&out) == SP_OK);
    doc_table(SP_SOURCE_DIR, DOC, "choice", sp_buf_bytes(&out));
    sp_buf_clear(&out);
    sp_free(tallies);
    shipped_free(s);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, no_state_of_the_world_takes_a_copy_below_its_floor);
}

SP_TEST_MAIN("delivery.matrix", add)
