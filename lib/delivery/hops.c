/*
 * An attempt asks the hosts of its route in turn: each connection's proof is judged in the turn that brought it, and what
 * was seen is kept for the audit and for reports (RFC 8460). Whether a host will do, and what follows if none does,
 * is outcome's to say.
 */
#include "delivery/delivery_priv.h"
#include "delivery/over_priv.h"
#include "delivery/park_priv.h"
#include "delivery/probe.h"
#include "delivery/sessions_priv.h"
#include "delivery/unrouted_priv.h"
#include "mail/idn.h"

#include "transport/tlsrpt.h"

#define ROUNDS_MAX                                                                                 \
    4 /* and as many again for each host that puts the mail off, and each rung that comes to nothing */
#define OTHERS_MAX 2 /* who are asked after one that puts it off */

static void try_hop(struct sp_attempt *a);

static enum sp_rc end_rc(const struct sp_conn_end *end)
{
    if (end->reply_code >= 500)
        return SP_E_HOP_REFUSED;
    if (end->reply_code >= 400)
        return SP_E_HOP_DEFERRED;
    return end->rc == SP_OK ? SP_E_HOP_LOST : end->rc;
}

/* Addresses and header that are not ASCII go under SMTPUTF8 alone (RFC 6531 3.2), sealed or not. */
bool sp_attempt_is_utf8(const struct sp_attempt *a)
{
    const struct sp_accept *accept = &a->p->m->accept;

    return (accept->needs & SP_NEEDS_SMTPUTF8) != 0 || !sp_text_is_ascii(accept->sender) ||
           !sp_text_is_ascii(sp_attempt_address(a, 0)); /* all of a group or none */
}

/* What the bytes need and the host does not offer. A sealed copy needs nothing: its body is 7-bit with short lines, and its header folded. */
static enum sp_rc lacks(const struct sp_attempt *a, const struct sp_conn *c)
{
    const struct sp_accept *accept = &a->p->m->accept;
    uint64_t limit = sp_conn_size_limit(c);
    unsigned offers = sp_conn_extensions(c);

    if ((accept->needs & SP_NEEDS_8BIT) != 0 && (offers & SP_SMTP_EXT_8BITMIME) == 0)
        return SP_E_HOP_LACKS;
    if (limit > 0 && accept->body_len + accept->trace.len > limit)
        return SP_E_SMTP_SIZE;
    return SP_OK;
}

static void fill_report(struct sp_attempt *a, struct sp_hop_report *r)
{
    sp_outcome_hop_report_init(a->route, a->hop, sp_transport_posture(a->d->parts.transport), r);
    a->has_before = r->has_before;
    a->before = r->before;
}

/*
 * TLS-Required: No (RFC 8689 4.3): the sender would rather have it arrive than see the receiver's promises kept. The floor
 * is ours and stays, and so does what an administrator demands of a partner or of a host by pins: what is lifted is only that
 * a promise of the receiver's that is broken lets nothing through.
 */
static void lift_promises(const struct sp_attempt *a, const struct sp_hop_proof *proof,
                          struct sp_hop_report *r)
{
    const struct sp_hop *hop = &a->route->hops[r->hop];

    if ((a->p->m->accept.needs & SP_ASKED_TLS_NO) == 0)
        return;
    if (a->route->must > SP_LEVEL_PLAIN || hop->tlsa_pinned || sp_hop_has_pin(a->route, hop))
        return;
    r->has_before = false;
    r->doubt = SP_OK;
    if (!r->verdict.broken)
        return;
    r->verdict.broken = false;
    r->verdict.level = SP_LEVEL_PLAIN;
    if (proof->tls)
        r->verdict.level =
            r->verdict.verified_why == SP_OK ? SP_LEVEL_VERIFIED : SP_LEVEL_ENCRYPTED;
}

/* What the host showed: the last word counts. */
static void note_asked(struct sp_attempt *a, const struct sp_hop_report *r)
{
    a->asked[a->hop] = (struct sp_host_asked){
        .was_asked = true, .rc = r->rc, .lacks = r->lacks, .verdict = r->verdict};
}

/* This host does not talk with us. */
static void hop_is_silent(struct sp_attempt *a, enum sp_rc rc)
{
    static const struct sp_hop_proof none;
    struct sp_hop_report r;

    fill_report(a, &r);
    r.rc = rc;
    if (rc == SP_E_TLS_HANDSHAKE) { /* it talks, but TLS does not come about */
        r.rc = SP_OK;
        r.anew = true;
        r.verdict = sp_hop_judge(a->route, &a->route->hops[a->hop], &none, rc);
        lift_promises(a, &none, &r);
        a->verdict = r.verdict;
        a->has_verdict = true;
        a->tls_json = a->chain = a->tlsa_matched = a->ip = SP_LIT(""); /* of another */
        a->seen_hop = a->hop;
    } else if (!a->has_verdict) { /* what the record has of a host is of the last that talked */
        a->seen_hop = a->hop;
    }
    note_asked(a, &r);
    if (r.rc == SP_OK || !a->was_bare) /* it was asked for something better, and has nothing */
        sp_outcome_hop(&a->s, &r);
}

static void note_hop(struct sp_attempt *a, struct sp_conn *c)
{
    a->seen_hop = a->hop;
    a->has_verdict = true;
    a->tls_json = sp_arena_copy(a->arena, sp_conn_tls_json(c));
    a->chain = sp_arena_copy(a->arena, sp_conn_chain(c));
    a->tlsa_matched = sp_arena_copy(a->arena, sp_conn_tlsa(c));
    a->ip = sp_arena_copy(a->arena, sp_bytes_cstr(sp_conn_ip(c)));
}

/* What we demand of the host ourselves: a partner's level, or a floor that only DANE meets. */
static enum sp_level demanded(const struct sp_attempt *a)
{
    return a->s.floor == SP_FLOOR_TLS_DANE ? SP_LEVEL_DANE : a->route->must;
}

static void note_session(struct sp_attempt *a, const struct sp_hop_proof *proof, enum sp_rc tls_rc,
                         struct sp_bytes ip)
{
    const struct sp_hop *hop = &a->route->hops[a->hop];
    struct sp_session_seen seen = {.hop = a->hop, .ip = ip};

    seen.policy = sp_tlsrpt_policy(a->route, hop, demanded(a));
    seen.result = sp_tlsrpt_result(a->route, hop, demanded(a), proof, tls_rc);
    sp_attempt_note_session(a, &seen);
}

/* DNS that does not hold keeps a session from coming about; it is counted once an attempt. hop: SIZE_MAX for the MX */
static void note_dns(struct sp_attempt *a, size_t hop, enum sp_rc rc)
{
    struct sp_session_seen seen = {.hop = hop, .policy = "tlsa", .is_look_up = true};

    seen.result = sp_tlsrpt_dns_result(rc);
    if (seen.result != NULL && a->rounds <= 1)
        sp_attempt_note_session(a, &seen);
}

/*
 * Nothing goes in the clear while a host that may talk TLS has not been asked. Hosts that an operator has named are as good as
 * each other: he knows them.
 */
static bool looks_further(struct sp_attempt *a)
{
    bool further = a->route->via == SP_VIA_MX && a->only_hop == SIZE_MAX &&
                   a->turn + 1 < a->route->hop_count && sp_outcome_hop_is_bare(&a->s, a->hop);

    a->was_bare = a->was_bare || further;
    return further;
}

/* returns: false if this host will do, or another round began: the attempt has gone on and may be freed */
static bool judge_conn(struct sp_attempt *a, struct sp_conn *c)
{
    const struct sp_hop *hop = &a->route->hops[a->hop];
    struct sp_hop_report r;

    a->has_asked = true;
    fill_report(a, &r);
    if (!a->plain && sp_conn_take_new(c))
        note_session(a, sp_conn_proof(c), SP_E_TLS_ABSENT, sp_bytes_cstr(sp_conn_ip(c)));
    r.verdict = sp_hop_judge(a->route, hop, sp_conn_proof(c),
                             a->plain ? SP_E_TLS_HANDSHAKE : SP_E_TLS_ABSENT);
    r.lacks = lacks(a, c);
    r.lacks_utf8 = sp_attempt_is_utf8(a) && (sp_conn_extensions(c) & SP_SMTP_EXT_SMTPUTF8) == 0;
    r.has_requiretls = (sp_conn_extensions(c) & SP_SMTP_EXT_REQUIRETLS) != 0;
    lift_promises(a, sp_conn_proof(c), &r);
    a->verdict = r.verdict;
    note_hop(a, c);
    note_asked(a, &r);
    if (r.verdict.broken) /* a rolled key: the next attempt asks the DNS anew */
        sp_transport_forget(a->d->parts.transport, a->way);
    else
        (void)sp_posture_learn(sp_transport_posture(a->d->parts.transport), a->route->domain,
                               r.verdict.level);
    sp_outcome_hop(&a->s, &r);
    if (!sp_outcome_hop_will_do(&a->s, a->hop) || looks_further(a))
        return true;
    a->conn = c;
    a->only_hop = SIZE_MAX;
    sp_attempt_step(a);
    return false;
}

static void on_conn(void *arg, struct sp_conn *c, const struct sp_conn_end *end)
{
    static const struct sp_hop_proof none = {0};
    struct sp_attempt *a = arg;

    a->wait_conn = 0;
    if (c == NULL && end->rc == SP_E_DELIVERY_TURN) {
        sp_attempt_turn_ended(a);
        return;
    }
    if (c != NULL) {
        if (!judge_conn(a, c))
            return;
    } else {
        a->has_asked = a->has_asked || end->is_new;
        if (end->is_new && end->rc == SP_E_TLS_HANDSHAKE) /* a reply: to STARTTLS, and not 220 */
            note_session(a, &none, end->reply_code == 0 ? SP_E_TLS_HANDSHAKE : SP_E_TLS_ABSENT,
                         SP_LIT(""));
        hop_is_silent(a, end_rc(end));
    }
    a->turn++;
    try_hop(a);
}

bool sp_attempt_is_fresh(const struct sp_attempt *a)
{
    return !a->went_on && !a->has_copy;
}

/*
 * Who has put the mail off is known before any other is asked: none takes it for less than that one has shown. Where one alone
 * is asked without TLS, who is silent is known, too: if that one can't take the mail after all, it waits for the others.
 */
static void tell_known(struct sp_attempt *a)
{
    static const struct sp_hop_proof none;

    for (a->hop = 0; a->hop < a->route->hop_count; a->hop++) {
        const struct sp_host_asked *h = &a->asked[a->hop];
        bool is_silent = a->plain && a->hop != a->only_hop && h->was_asked && h->rc != SP_OK;
        struct sp_hop_report r;

        if (!h->has_put_off && !is_silent)
            continue;
        fill_report(a, &r);
        r.rc = h->rc;
        if (h->has_put_off) {
            r.has_shown = true;
            r.verdict = h->verdict;
            r.lacks = h->lacks;
            lift_promises(a, &none, &r);
        }
        sp_outcome_hop(&a->s, &r);
    }
}

void sp_attempt_weigh_unasked(const struct sp_attempt *a, enum sp_rc why, size_t from,
                              struct sp_standing *s)
{
    static const struct sp_hop_proof none;
    struct sp_standing told = *s;

    for (size_t i = 0; i < a->route->hop_count; i++) {
        const struct sp_host_asked *h = &a->asked[i];
        bool has_shown = h->was_asked && (h->rc == SP_OK || h->has_put_off);
        struct sp_hop_report r;

        sp_outcome_hop_report_init(a->route, i, sp_transport_posture(a->d->parts.transport), &r);
        r.is_unasked = !h->was_asked && a->route->hops[i].rc == SP_OK;
        r.rc = r.is_unasked ? why : h->rc != SP_OK ? h->rc : a->route->hops[i].rc;
        if (has_shown) {
            r.rc = why;
            r.has_shown = true;
            r.verdict = h->verdict;
            r.lacks = h->lacks;
            lift_promises(a, &none, &r);
        }
        sp_outcome_hop(&told, &r);
    }
    for (size_t i = from; i < s->ladder->count; i++)
        if (s->rungs[i].known) /* else it is all hosts' that are silent */
            s->rungs[i] = told.rungs[i];
}

/* returns: whether a host can be asked: it has not put the mail off, and DNS says where it is */
static bool may_ask(const struct sp_attempt *a, size_t hop)
{
    return !a->asked[hop].has_put_off && a->route->hops[hop].rc == SP_OK;
}

/* returns: whether there is another host to ask behind this one, and none that takes the mail for less while this one is silent */
static bool has_next(struct sp_attempt *a)
{
    struct sp_hop_report silent;

    fill_report(a, &silent);
    silent.rc = SP_E_HOP_UNREACHABLE;
    if (!sp_outcome_waits_for(&a->s, &silent))
        return false;
    for (size_t turn = a->turn + 1; turn < a->route->hop_count && a->only_hop == SIZE_MAX; turn++) {
        struct sp_pool_ask ask = sp_attempt_pool_ask(a, a->order[turn]);

        if (may_ask(a, ask.hop) && sp_pool_rests(a->d->pool, &ask) == 0)
            return true;
    }
    return false;
}

/* returns: how many of the hosts from this turn on are as good as the one whose turn it is; it alone where they are one provider's */
static size_t count_equals(const struct sp_attempt *a)
{
    const struct sp_route *r = a->route;
    uint16_t preference = r->hops[a->order[a->turn]].preference;
    size_t end = a->turn + 1;

    if ((r->via != SP_VIA_ROUTE && r->via != SP_VIA_NEXT_HOP) || a->only_hop != SIZE_MAX)
        return 1;
    while (end < r->hop_count && r->hops[a->order[end]].preference == preference)
        end++;
    return end - a->turn;
}

/*
 * Hosts that an operator has named have limits of their own. Of those of the same preference the one that was drawn has its
 * turn, unless it would keep the mail waiting and another has room, or less of a crowd.
 */
static void choose_equal(struct sp_attempt *a)
{
    size_t count = count_equals(a), best = 0;
    unsigned least = 0;

    for (size_t i = 0; i < count && count > 1; i++) {
        struct sp_pool_ask ask = sp_attempt_pool_ask(a, a->order[a->turn + i]);
        unsigned load;

        if (!may_ask(a, ask.hop)) {
            if (i == 0) /* its turn passes */
                return;
            continue;
        }
        load = sp_pool_load(a->d->pool, &ask);
        if (i == 0 && (load == 0 || load == SP_POOL_CLOSED))
            return;
        if (i == 0 || load < least) {
            best = i;
            least = load;
        }
    }
    if (best > 0) {
        uint8_t drawn = a->order[a->turn];

        a->order[a->turn] = a->order[a->turn + best];
        a->order[a->turn + best] = drawn;
    }
}

/* returns: whether there is no room for it now at the host whose turn it is, nor at one as good: its line is shut */
static bool shuts_line(struct sp_attempt *a)
{
    struct sp_pool_ask asks[SP_TRANSPORT_HOPS_MAX];
    size_t equals = count_equals(a), count = 0;

    for (size_t i = 0; i < equals; i++) {
        size_t hop = a->order[a->turn + i];

        if (may_ask(a, hop))
            asks[count++] = sp_attempt_pool_ask(a, hop);
    }
    asks[0].has_next = has_next(a);
    return sp_pool_shuts(a->d->pool, asks, count);
}

/* returns: how many rungs came to nothing: who went back to his line would try them again, and come back here */
static size_t count_failed(const struct sp_attempt *a)
{
    size_t count = 0;

    for (size_t i = 0; i < a->ladder.count; i++)
        count += a->s.rungs[i].lasts;
    return count;
}

/* Asks the hosts in turn; when all were asked, outcome weighs what they showed. */
static void try_hop(struct sp_attempt *a)
{
    for (; a->turn < a->route->hop_count; a->turn++) {
        struct sp_pool_ask ask;
        struct sp_conn *c;

        choose_equal(a);
        ask = sp_attempt_pool_ask(a, a->order[a->turn]);
        a->hop = ask.hop;
        if (a->asked[a->hop].has_put_off || (a->only_hop != SIZE_MAX && a->hop != a->only_hop))
            continue;
        if (a->route->hops[a->hop].rc != SP_OK) {
            note_dns(a, a->hop, a->route->hops[a->hop].rc);
            hop_is_silent(a, a->route->hops[a->hop].rc);
            continue;
        }
        ask.has_next = has_next(a);
        c = sp_pool_find(a->d->pool, &ask);
        if (c == NULL && sp_attempt_is_fresh(a) && count_failed(a) == 0 && shuts_line(a)) {
            sp_attempt_put_first(a);
            return;
        }
        if (c == NULL) {
            ask.turn_ms = sp_attempt_turn_left(a);
            a->wait_conn = sp_pool_wait(a->d->pool, &ask, on_conn, a);
            return;
        }
        if (!judge_conn(a, c))
            return;
    }
    a->only_hop = SIZE_MAX;
    sp_attempt_step(a);
}

bool sp_attempt_freezes(const struct sp_attempt *a, const struct sp_route *r)
{
    uint16_t best = UINT16_MAX;

    for (size_t i = 0; i < r->hop_count; i++)
        if (r->hops[i].preference < best)
            best = r->hops[i].preference;
    for (size_t i = 0; i < r->hop_count; i++) {
        if (r->hops[i].preference != best ||
            !sp_queue_freezes_host(a->d->parts.queue, r->hops[i].name))
            continue;
        sp_queue_freeze_way(a->d->parts.queue, a->way);
        return true;
    }
    return false;
}

/* There is no host any more that its line could wait for: those parked go now, and hear the same. */
static void wake_line(struct sp_attempt *a)
{
    if (sp_lines_wake(sp_queue_lines(a->d->parts.queue), a->line))
        sp_delivery_opened(a->d);
}

void sp_delivery_ask_now(struct sp_delivery *d, const struct sp_id *id, size_t recipients)
{
    size_t most = SP_ARRAY_LEN(d->asked_now) - 1;

    memmove(&d->asked_now[0], &d->asked_now[1], most * sizeof(d->asked_now[0]));
    d->asked_now[most].id = *id;
    d->asked_now[most].left = recipients;
}

/* returns: whether somebody wants to hear now how its hosts are */
static bool asks_now(const struct sp_attempt *a)
{
    struct sp_delivery *d = a->d;

    for (size_t i = 0; i < SP_ARRAY_LEN(d->asked_now); i++) {
        size_t *left = &d->asked_now[i].left;

        if (*left == 0 || !sp_id_eq(&d->asked_now[i].id, &a->p->m->accept.id))
            continue;
        *left -= a->n_count < *left ? a->n_count : *left;
        return true;
    }
    return false;
}

static void end_rests(const struct sp_attempt *a)
{
    for (size_t i = 0; i < a->route->hop_count; i++) {
        struct sp_pool_ask ask = sp_attempt_pool_ask(a, i);

        for (int plain = 0; a->route->hops[i].rc == SP_OK && plain < 2; plain++) {
            ask.plain = plain == 1;
            sp_pool_end_rest(a->d->pool, &ask);
        }
    }
}

/* returns: the number of the same host in another route, SIZE_MAX if it is none of its */
static size_t find_hop(const struct sp_route *r, const struct sp_hop *hop)
{
    for (size_t i = 0; i < r->hop_count; i++)
        if (r->hops[i].port == hop->port && sp_bytes_eq(r->hops[i].name, hop->name))
            return i;
    return SIZE_MAX;
}

/* A route lives for minutes, a transaction may take longer: its hosts are others then, or the same in another order. */
static void change_route(struct sp_attempt *a, const struct sp_route *route)
{
    size_t only_hop = SIZE_MAX, put_off_hop = SIZE_MAX, seen_hop = SIZE_MAX;
    struct sp_host_asked asked[SP_TRANSPORT_HOPS_MAX] = {0};

    for (size_t i = 0; a->route != NULL && i < a->route->hop_count; i++) {
        size_t at = find_hop(route, &a->route->hops[i]);

        only_hop = i == a->only_hop ? at : only_hop;
        put_off_hop = i == a->put_off_hop ? at : put_off_hop;
        seen_hop = i == a->seen_hop ? at : seen_hop;
        if (at != SIZE_MAX)
            asked[at] = a->asked[i];
    }
    memcpy(a->asked, asked, sizeof(asked));
    a->only_hop = only_hop;
    a->put_off_hop = put_off_hop;
    a->seen_hop = seen_hop;
    a->plain = a->plain && only_hop != SIZE_MAX; /* that host's, and no other's */
    sp_route_unref(a->route);
    a->route = sp_route_ref(route);
}

static void on_route(void *arg, const struct sp_route *route)
{
    struct sp_attempt *a = arg;

    a->wait_route = 0;
    sp_attempt_routed(a);
    if (route != a->route)
        change_route(a, route);
    if (route->rc != SP_OK) {
        for (size_t i = 0; i < route->hop_count; i++)
            note_dns(a, i, route->hops[i].rc);
        if (route->hop_count == 0)
            note_dns(a, SIZE_MAX, route->rc);
        a->no_more = route->rc;
        sp_outcome_route_failed(&a->s, route->rc);
        if (a->s.never != SP_OK)
            wake_line(a);
        sp_attempt_step(a);
        return;
    }
    /* it stays in its line, and nothing has been tried */
    if (sp_attempt_is_fresh(a) && a->rounds <= 1 && sp_attempt_freezes(a, a->route)) {
        sp_attempt_put_first(a);
        return;
    }
    if (a->rounds == 1 && sp_attempt_is_fresh(a) && asks_now(a))
        end_rests(a);
    a->turn = 0;
    a->was_bare = false;
    sp_route_draw(route, sp_random_system(), a->order);
    tell_known(a);
    try_hop(a);
}

static size_t count_put_off(const struct sp_attempt *a)
{
    size_t count = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(a->asked); i++)
        count += a->asked[i].has_put_off;
    return count;
}

bool sp_attempt_leaves_host(struct sp_attempt *a, enum sp_rc why)
{
    struct sp_host_asked *h = &a->asked[a->hop];
    bool has_other = false;

    for (size_t i = 0; i < a->route->hop_count; i++)
        has_other = has_other || (i != a->hop && may_ask(a, i));
    if (!has_other || count_put_off(a) == OTHERS_MAX)
        return false;
    h->has_put_off = true;
    h->rc = why;
    a->plain = false; /* so it was with this host */
    return true;
}

void sp_attempt_ask_hops(struct sp_attempt *a)
{
    const struct sp_route *route;

    if (a->no_more == SP_OK && ++a->rounds > ROUNDS_MAX * (1 + count_put_off(a) + count_failed(a)))
        a->no_more = SP_E_HOP_UNSTEADY;
    if (a->no_more != SP_OK) {
        sp_outcome_put_off(&a->s, a->no_more);
        sp_attempt_step(a);
        return;
    }
    sp_outcome_forget_hops(&a->s);
    a->plain = a->plain && a->only_hop != SIZE_MAX; /* that host's, and no other's */
    route = sp_transport_find(a->d->parts.transport, a->way);
    if (route != NULL) {
        sp_unrouted_next(a->d->unrouted);
        on_route(a, route);
    } else if (sp_attempt_shuts_unrouted(a)) {
        sp_attempt_put_first(a);
    } else {
        a->wait_route =
            sp_transport_resolve(a->d->parts.transport, a->way, sp_attempt_party(a), on_route, a);
    }
}
