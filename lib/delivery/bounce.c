/*
 * Mail of our own that a delivery causes: so far the DSN (RFC 3464). It goes to the tenant's sender alone, from the null
 * path, holds no word of the message, and travels like any other: a message of its own with a ladder and a floor.
 */
#include "delivery/delivery_priv.h"
#include "delivery/report_priv.h"

#include "mail/dsn.h"
#include "mail/idn.h"

#define HEADER_KEPT 8192

struct sp_accept_decision *sp_bounce_decision(struct sp_attempt *a, const char *rule,
                                              enum sp_floor floor, int64_t expire_at_ms)
{
    static const enum sp_rung rungs[] = {SP_RUNG_TLS_DANE, SP_RUNG_TLS_AUTHENTICATED,
                                         SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_ENCRYPTED,
                                         SP_RUNG_PLAIN};
    struct sp_accept_decision *d = sp_arena_alloc(a->arena, sizeof(*d));

    d->does = SP_ACCEPT_DO_PROTECT;
    d->floor = (uint8_t)floor;
    d->at_end = SP_AT_END_RETURN;
    d->rule = sp_bytes_cstr(rule);
    d->expire_at_ms = expire_at_ms;
    d->rungs = sp_arena_alloc(a->arena, SP_ARRAY_LEN(rungs) * sizeof(*d->rungs));
    for (size_t i = 0; i < SP_ARRAY_LEN(rungs); i++) {
        if (!sp_rung_meets(rungs[i], floor, false))
            continue;
        d->rungs[d->rung_count++] = (struct sp_accept_rung){
            .rung = (uint8_t)rungs[i],
            .unreachable_ms = SP_STAY_UNTIL_EXPIRE,
            .dropped_ms = SP_STAY_DROPPED_DEFAULT,
        };
    }
    return d;
}

/* From, To, Date and Message-ID of the original; nothing if it can't be read. */
static void keep_header(struct sp_attempt *a, struct sp_buf *out)
{
    SP_AUTO(sp_content_reader) reader = NULL;
    struct sp_bytes first;
    struct sp_header h;

    if (sp_parcel_body(a->d, a->p) != SP_OK)
        return;
    reader = sp_content_reader_new(&a->p->body);
    if (sp_content_view(reader, 0, &first) == SP_OK &&
        sp_header_parse(first, first.len == a->p->body.len, &h) == SP_OK)
        sp_dsn_keep_header(&h, out);
}

/* The peer's own status where it fits the action, else that of our reason. */
static struct sp_status status_of(const struct sp_bounce_rcpt *r)
{
    static const uint8_t classes[] = {
        [SP_DSN_FAILED] = 5, [SP_DSN_DELAYED] = 4, [SP_DSN_DELIVERED] = 2, [SP_DSN_RELAYED] = 2};
    struct sp_status status = {0};
    struct sp_bytes rest;

    if (r->reply.code / 100 == classes[r->action] && r->reply.status.class == classes[r->action])
        return r->reply.status;
    if (!sp_status_parse(sp_bytes_cstr(sp_rc_info(r->why)->enhanced), &status, &rest))
        status = (struct sp_status){0};
    status.class = classes[r->action]; /* given up is for good, whatever the last try met */
    return status;
}

static struct sp_dsn_recipient *list_recipients(struct sp_attempt *a)
{
    struct sp_dsn_recipient *list = sp_arena_alloc(a->arena, a->told_count * sizeof(*list));
    const struct sp_accept *accept = &a->p->m->accept;

    for (size_t i = 0; i < a->told_count; i++) {
        const struct sp_bounce_rcpt *r = &a->told[i];

        list[i] = (struct sp_dsn_recipient){
            .address = accept->recipients[r->n].address,
            .orcpt = accept->recipients[r->n].orcpt,
            .action = r->action,
            .status = status_of(r),
            .reply_code = r->reply.code,
            .reply_status = r->reply.status,
        };
        if (a->options->notice_of.orcpt.len > 0)
            list[i].orcpt = a->options->notice_of.orcpt;
        if (r->why != SP_OK)
            list[i].why = sp_bytes_cstr(sp_rc_name(r->why));
        if (r->action == SP_DSN_DELAYED)
            list[i].retry_until_ms = r->until_ms;
        if (r->reply.code != 0 && a->route != NULL && a->seen_hop < a->route->hop_count &&
            !a->route->hops[a->seen_hop].is_address)
            list[i].remote_mta = a->route->hops[a->seen_hop].name;
    }
    return list;
}

static struct sp_bytes own_address(struct sp_attempt *a)
{
    struct sp_buf text;
    struct sp_bytes copy;

    sp_buf_init(&text, 512);
    sp_buf_put_cstr(&text, "postmaster@");
    sp_buf_put_cstr(&text, a->d->settings.hostname);
    copy = sp_arena_copy(a->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return copy;
}

static void make_accept(struct sp_attempt *a, const struct sp_dsn *dsn, struct sp_accept *out)
{
    const struct sp_accept *parent = &a->p->m->accept;
    struct sp_accept_recipient *to = sp_arena_alloc(a->arena, sizeof(*to));

    *to = (struct sp_accept_recipient){.address = dsn->to, .notify = SP_ACCEPT_NOTIFY_NEVER};
    *out = (struct sp_accept){
        .id = dsn->id,
        .parent = parent->id,
        .time_ms = dsn->now_ms,
        .skew_ms = sp_clock_skew_ms(sp_loop_clock(a->d->parts.loop)),
        .kind = SP_ACCEPT_KIND_DSN,
        .needs = (parent->needs & SP_ASKED_REQUIRETLS) | /* RFC 8689 5 */
                 (sp_text_is_ascii(dsn->to) ? 0 : SP_NEEDS_8BIT),
        .tenant = parent->tenant,
        .policy = parent->policy,
        .decisions = sp_bounce_decision(a, "dsn", sp_outcome_dsn_floor(a->s.floor),
                                        dsn->now_ms + a->d->settings.own_expire_ms),
        .decision_count = 1,
        .recipients = to,
        .recipient_count = 1,
    };
}

static void report_dsn(struct sp_attempt *a, const struct sp_dsn *dsn, enum sp_dsn_action action)
{
    uint16_t ns[SP_QUEUE_DUE_MAX];
    enum sp_rc why = SP_OK;
    size_t count = 0;
    struct sp_jw w;

    for (size_t i = 0; i < a->told_count; i++) {
        if (a->told[i].action != action)
            continue;
        why = count == 0 ? a->told[i].why : why;
        ns[count++] = a->told[i].n;
    }
    if (count == 0 || !sp_report_begin(a, &w, "dsn.sent", ns, count))
        return;
    sp_jw_id(&w, "dsn", dsn->id.b);
    sp_jw_cstr(&w, "action", sp_dsn_action_name(action));
    sp_jw_text(&w, "to", dsn->to);
    if (why != SP_OK)
        sp_jw_cstr(&w, "why", sp_rc_name(why));
    sp_report_end(a, &w);
}

/* Those who do not get it have a line of their own. */
static void report_returned(struct sp_attempt *a)
{
    uint16_t ns[SP_QUEUE_DUE_MAX];
    enum sp_rc why = SP_OK;
    size_t count = 0;
    struct sp_jw w;

    for (size_t i = 0; i < a->told_count; i++) {
        if (a->told[i].action != SP_DSN_FAILED)
            continue;
        why = count == 0 ? a->told[i].why : why;
        ns[count++] = a->told[i].n;
    }
    if (count == 0 || !sp_report_begin(a, &w, "message.returned", ns, count))
        return;
    sp_jw_cstr(&w, "why", sp_rc_name(why));
    sp_report_end(a, &w);
}

enum sp_rc sp_bounce_make(struct sp_attempt *a, struct sp_buf *content, struct sp_child *child)
{
    const struct sp_accept *parent = &a->p->m->accept;
    const struct sp_clock *clock = sp_loop_clock(a->d->parts.loop);
    bool of_notice = a->options->notice_of.package.len > 0;
    struct sp_buf header;
    struct sp_dsn dsn = {
        .id = sp_id_new(clock, sp_random_system()),
        .host = sp_bytes_cstr(a->d->settings.hostname),
        .from = own_address(a),
        .to = of_notice ? a->options->notice_of.sender : parent->sender,
        .envid = of_notice ? a->options->notice_of.envid : parent->envid,
        .now_ms = sp_clock_wall_ms(clock),
        .arrived_ms = parent->time_ms,
        .is_of_portal = of_notice && a->told[0].action == SP_DSN_RELAYED,
        .recipients = list_recipients(a),
        .count = a->told_count,
    };
    enum sp_rc rc;

    sp_buf_init(&header, HEADER_KEPT);
    keep_header(a, &header);
    dsn.original_header = sp_buf_bytes(&header);
    rc = sp_dsn_build(&dsn, content);
    sp_buf_clear(&header);
    if (rc != SP_OK) {
        sp_log_error(a->d->parts.log, "delivery.dsn-failed", SP_RC("why", rc));
        return rc;
    }
    make_accept(a, &dsn, &child->accept);
    for (int action = SP_DSN_FAILED; action <= SP_DSN_RELAYED; action++)
        report_dsn(a, &dsn, (enum sp_dsn_action)action);
    report_returned(a);
    return SP_OK;
}
