/*
 * One connection: connect to one of the host's addresses (dial.c), greeting, EHLO, STARTTLS where it is offered, then any
 * number of messages. The client machine has the protocol; here are the socket, the handshake, the timer and the flow
 * of the body, which is read only as fast as the socket takes it. The connection promises nothing: it shows what was
 * proved, and who uses it decides whether that is enough before the first byte of a message is written.
 */
#include "delivery/conn.h"

#include "base/text.h"
#include "delivery/dial.h"
#include "io/addr.h"
#include "io/loop.h"
#include "smtp/stuff.h"

#define OUT_MAX      (256 * 1024) /* bytes that may wait in the stream */
#define TLS_JSON_MAX 8192
#define NEVER_MS     86400000 /* no step of the protocol waits so long */

struct sp_conn {
    struct sp_conn_plan plan;
    const struct sp_conn_events *events;
    void *arg;
    const struct sp_hop *hop;
    struct sp_dial *dial; /* until there is a stream */
    char ip[SP_ADDR_TEXT_MAX];
    struct sp_stream *stream;
    struct sp_smtp_client_config config;
    struct sp_smtp_client *client;
    struct sp_timer *timer;
    struct sp_hop_proof proof;
    const struct sp_tls_proof *tls;
    struct sp_buf tls_json;
    struct sp_buf tlsa; /* the record that matched */
    bool tls_wanted;    /* STARTTLS was answered; the handshake starts when the output is empty */
    bool over;          /* on_end was called */
    unsigned messages;
    bool counted;

    struct sp_source *source; /* of the message being sent */
    struct sp_smtp_stuff stuff;
    struct sp_bytes chunk; /* of the source, not yet written */
    enum sp_rc body_rc;    /* why we can't send it */
    bool in_body;
    bool pumping;
    sp_conn_result_fn result_fn;
    void *result_arg;
};

static void pump(struct sp_conn *c);

/* ---- the end ---- */

static void end(struct sp_conn *c, enum sp_rc rc, const struct sp_smtp_reply *reply)
{
    struct sp_conn_end e = {.rc = rc};

    if (c->over)
        return;
    if (reply != NULL) {
        e.reply_code = reply->code;
        e.reply = *reply;
    }
    c->over = true;
    sp_timer_cancel(c->timer);
    sp_stream_free(c->stream);
    c->stream = NULL;
    c->events->on_end(c->arg, c, &e);
}

static void destroy(void *ptr)
{
    struct sp_conn *c = ptr;

    sp_smtp_client_free(c->client);
    sp_buf_clear(&c->tls_json);
    sp_buf_clear(&c->tlsa);
    sp_route_unref(c->plan.route);
    sp_tls_context_unref(c->plan.tls);
    sp_free(c);
}

void sp_conn_free(struct sp_conn *c)
{
    if (c == NULL)
        return;
    c->over = true;
    sp_dial_free(c->dial);
    c->dial = NULL;
    sp_timer_free(c->timer);
    c->timer = NULL;
    sp_stream_free(c->stream);
    c->stream = NULL;
    sp_loop_free_later(c->plan.loop, destroy, c);
}

/* ---- the body ---- */

/* Writes what the stream takes. returns: SP_OK, or why the source failed; the session is then over without the dot */
static enum sp_rc write_body(struct sp_conn *c)
{
    bool at_line_start;
    enum sp_rc rc = SP_OK;

    while (sp_stream_pending(c->stream) < OUT_MAX) {
        struct sp_bytes slice;

        if (c->chunk.len == 0 && sp_stream_has_lent(c->stream) && !sp_source_is_at_end(c->source))
            return SP_OK; /* its view is still needed: on_drained goes on */
        if (c->chunk.len == 0)
            rc = sp_source_next(c->source, &c->chunk);
        if (rc != SP_OK)
            return rc;
        if (c->chunk.len == 0) {
            rc = sp_smtp_stuff_end(&c->stuff, &at_line_start);
            if (rc != SP_OK)
                return rc;
            c->in_body = false;
            sp_smtp_client_body_end(c->client, at_line_start);
            return SP_OK;
        }
        while (c->chunk.len > 0) {
            rc = sp_smtp_stuff_next(&c->stuff, &c->chunk, &slice);
            if (rc != SP_OK)
                return rc;
            sp_stream_lend(c->stream, slice);
        }
    }
    return SP_OK;
}

static void go_on_with_body(struct sp_conn *c)
{
    c->body_rc = write_body(c);
    if (c->body_rc != SP_OK) {
        c->in_body = false;
        sp_smtp_client_body_abort(c->client);
    }
    sp_smtp_client_body_moved(c->client);
}

/* ---- TLS ---- */

/* RFC 6125 6.4.3: a star is the whole first label of a name with at least two more. */
static bool name_matches(struct sp_bytes pattern, struct sp_bytes host)
{
    size_t dot = sp_bytes_find(host, '.');

    if (sp_bytes_eq_nocase(pattern, host))
        return true;
    if (pattern.len < 3 || pattern.ptr[0] != '*' || pattern.ptr[1] != '.' || dot == SIZE_MAX)
        return false;
    return sp_bytes_find(sp_bytes_slice(pattern, 2, pattern.len), '.') != SIZE_MAX &&
           sp_bytes_eq_nocase(sp_bytes_slice(pattern, 1, pattern.len),
                              sp_bytes_slice(host, dot, host.len));
}

static bool has_name(const struct sp_tls_proof *tls, struct sp_bytes host)
{
    for (size_t i = 0; host.len > 0 && i < tls->name_count; i++)
        if (name_matches(tls->names[i], host))
            return true;
    return false;
}

static bool shows_pin(const struct sp_hop *hop, const struct sp_tls_proof *tls, struct sp_bytes pin)
{
    return has_name(tls, pin) || (hop->is_address && tls->name_ok && sp_bytes_eq(pin, hop->name));
}

void sp_conn_read_proof(const struct sp_route *route, const struct sp_hop *hop,
                        const struct sp_tls_proof *tls, struct sp_hop_proof *out)
{
    *out = (struct sp_hop_proof){
        .tls = true,
        .dane_ok = tls->dane == SP_TLS_DANE_EE || tls->dane == SP_TLS_DANE_TA,
        .chain_ok = tls->has_certificate && tls->chain == SP_OK && tls->time_ok,
        .chain_why =
            tls->chain == SP_E_TLS_STAPLE || tls->chain == SP_E_TLS_REVOKED ? tls->chain : SP_OK,
        .expired = tls->chain == SP_E_TLS_EXPIRED || (tls->has_certificate && !tls->time_ok),
    };
    /* An address is looked for by tls, which knows the certificate's address entries. */
    out->name_ok = hop->is_address ? tls->name_ok : has_name(tls, hop->name);
    for (size_t i = 0; i < route->name_count; i++)
        out->pin_ok = out->pin_ok || has_name(tls, route->names[i]);
    out->pin_ok = out->pin_ok || shows_pin(hop, tls, route->pin) || shows_pin(hop, tls, hop->pin);
}

static void write_tls_json(struct sp_conn *c, const struct sp_tls_proof *tls)
{
    char time[SP_TIME_TEXT_MAX];
    struct sp_buf hex;
    struct sp_jw w;

    sp_buf_init(&hex, 80);
    sp_hex_encode(&hex, sp_bytes(tls->spki_sha256, sizeof(tls->spki_sha256)));
    sp_jw_init(&w, &c->tls_json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "version", tls->version);
    sp_jw_cstr(&w, "cipher", tls->cipher);
    sp_jw_cstr(&w, "group", tls->group);
    sp_jw_cstr(&w, "profile", tls->profile);
    sp_jw_bool(&w, "fips", false);
    sp_jw_bool(&w, "resumed", tls->resumed);
    if (tls->has_certificate) {
        sp_time_format_rfc3339(tls->not_after_ms, time);
        sp_jw_text(&w, "spki_sha256", sp_buf_bytes(&hex));
        sp_jw_array(&w, "names");
        for (size_t i = 0; i < tls->name_count && i < 8; i++)
            sp_jw_text(&w, NULL, tls->names[i]);
        sp_jw_end(&w);
        sp_jw_cstr(&w, "not_after", time);
    }
    sp_jw_cstr(&w, "verified_by", tls->verified_by);
    sp_jw_end(&w);
    sp_buf_clear(&hex);
}

static void on_tls(void *arg, enum sp_rc rc, const struct sp_tls_proof *tls)
{
    struct sp_conn *c = arg;

    if (rc != SP_OK) {
        end(c, rc == SP_E_TLS_HANDSHAKE ? rc : SP_E_HOP_LOST, NULL);
        return;
    }
    c->tls = tls;
    sp_conn_read_proof(c->plan.route, c->hop, tls, &c->proof);
    write_tls_json(c, tls);
    if (c->proof.dane_ok) {
        sp_buf_printf(&c->tlsa, "%u %u %u ", tls->tlsa.usage, tls->tlsa.selector,
                      tls->tlsa.matching);
        sp_hex_encode(&c->tlsa, tls->tlsa.data);
    }
    sp_smtp_client_tls_done(c->client);
    pump(c);
}

static void start_tls(struct sp_conn *c)
{
    struct sp_tls_tlsa tlsa[SP_TRANSPORT_TLSA_MAX];
    const struct sp_route *route = c->plan.route;
    struct sp_bytes names[SP_TLS_NAMES_MAX] = {c->hop->name, c->hop->base, route->domain};
    struct sp_tls_params params = {
        .timeout_ms = c->plan.connect_ms,
        .server_name = c->hop->is_address ? SP_LIT("") : c->hop->base,
        .names = names,
        /* the next-hop domain names a DANE-TA host too, where its MX answer was secure (RFC 7672 3.2.2) */
        .name_count = sp_hop_has_dane(route, c->hop) || c->hop->tlsa_pinned ? 3 : 2,
        .tlsa = tlsa,
        .tlsa_count = c->hop->tlsa_count,
        .resume = true,
    };

    c->tls_wanted = false;
    for (size_t i = 0; i < route->name_count && params.name_count < SP_TLS_NAMES_MAX; i++)
        names[params.name_count++] = route->names[i];
    for (size_t i = 0; i < c->hop->tlsa_count; i++) {
        const struct sp_tlsa *t = &c->hop->tlsa_set[i];

        tlsa[i] = (struct sp_tls_tlsa){t->usage, t->selector, t->matching_type, t->data};
    }
    sp_tls_start(c->stream, c->plan.tls, &params, on_tls, c);
}

/* ---- events of the machine ---- */

static void on_result(struct sp_conn *c, const struct sp_smtp_result *result)
{
    sp_conn_result_fn fn = c->result_fn;

    sp_stream_end_lending(c->stream); /* the source goes with its attempt */
    c->in_body = false;
    c->source = NULL;
    c->result_fn = NULL;
    c->messages++;
    if (c->events->on_result != NULL)
        c->events->on_result(c->arg, c, result);
    if (fn != NULL)
        fn(c->result_arg, c->body_rc, result);
}

static void on_event(struct sp_conn *c, const struct sp_smtp_client_event *ev)
{
    switch (ev->type) {
    case SP_SMTP_CLIENT_STARTTLS:
        c->tls_wanted = true;
        break;
    case SP_SMTP_CLIENT_READY:
        c->events->on_ready(c->arg, c);
        break;
    case SP_SMTP_CLIENT_DATA:
        c->in_body = true;
        go_on_with_body(c);
        break;
    case SP_SMTP_CLIENT_RESULT:
        on_result(c, &ev->result);
        break;
    case SP_SMTP_CLIENT_FAILED:
        end(c, ev->rc, &ev->reply);
        break;
    case SP_SMTP_CLIENT_CLOSED:
        end(c, SP_OK, NULL);
        break;
    }
}

static void flush(struct sp_conn *c)
{
    struct sp_bytes out = sp_smtp_client_output(c->client);

    if (out.len == 0)
        return;
    sp_stream_write(c->stream, out);
    sp_smtp_client_sent(c->client, out.len);
}

static void set_timer(struct sp_conn *c)
{
    int64_t at_ms = sp_smtp_client_deadline_ms(c->client);
    int64_t now_ms = sp_clock_mono_ms(c->config.clock);

    if (at_ms - now_ms > NEVER_MS)
        sp_timer_cancel(c->timer);
    else
        sp_timer_start(c->timer, at_ms > now_ms ? at_ms - now_ms : 0);
}

/* Lets the machine take what is there, until it wants more. */
static void pump(struct sp_conn *c)
{
    bool got = true;

    if (c->pumping)
        return;
    c->pumping = true;
    while (got && !c->over && !c->tls_wanted) {
        struct sp_bytes in = sp_stream_input(c->stream);
        struct sp_bytes left = in;
        struct sp_smtp_client_event ev;

        got = sp_smtp_client_next(c->client, &left, &ev);
        sp_stream_consume(c->stream, in.len - left.len);
        if (got)
            on_event(c, &ev);
        if (!c->over)
            flush(c);
    }
    c->pumping = false;
    if (c->over)
        return;
    if (c->tls_wanted && sp_stream_pending(c->stream) == 0)
        start_tls(c);
    set_timer(c);
}

static void on_timer(void *arg)
{
    struct sp_conn *c = arg;

    (void)sp_smtp_client_check_time(c->client);
    pump(c);
}

/* ---- the stream ---- */

static void on_input(void *arg)
{
    struct sp_conn *c = arg;

    if (c->client != NULL)
        pump(c);
}

static void on_drained(void *arg)
{
    struct sp_conn *c = arg;

    if (c->client == NULL)
        return;
    if (c->in_body)
        go_on_with_body(c);
    pump(c);
}

static void on_closed(void *arg, enum sp_rc why)
{
    struct sp_conn *c = arg;

    (void)why;
    if (c->client == NULL) {
        end(c, SP_E_HOP_LOST, NULL);
        return;
    }
    pump(c); /* a last reply may lie in the input */
    if (c->over)
        return;
    sp_smtp_client_lost(c->client, SP_E_HOP_LOST);
    pump(c);
}

static const struct sp_stream_events stream_events = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

static void on_dialled(void *arg, struct sp_stream *stream, const char *ip)
{
    struct sp_conn *c = arg;

    sp_dial_free(SP_STEAL(c->dial));
    if (stream == NULL) {
        end(c, SP_E_HOP_UNREACHABLE, NULL);
        return;
    }
    memcpy(c->ip, ip, strlen(ip) + 1);
    c->stream = stream;
    sp_stream_set_events(stream, &stream_events, c);
    c->client = sp_smtp_client_new(&c->config);
    set_timer(c);
}

static bool is_of_family(struct sp_bytes address, unsigned family)
{
    return (sp_bytes_find(address, ':') != SIZE_MAX) == (family == 6);
}

/*
 * An address of ours of that family, or none if the system chooses: the one whose turn it is, or the next that is there. One that
 * has gone with its interface would look like a host that can't be reached.
 *
 * returns: false if the pool has none: not from there
 */
static bool choose_source(void *arg, unsigned family, struct sp_addr *out,
                          const struct sp_addr **source)
{
    const struct sp_conn *c = arg;
    const struct sp_site_source *pool = c->plan.source;
    size_t fit[SP_SITE_SOURCES_MAX];
    size_t count = 0;

    *source = NULL;
    if (pool == NULL)
        return true;
    for (size_t i = 0; i < pool->count; i++)
        if (is_of_family(pool->addresses[i], family))
            fit[count++] = i;
    for (size_t i = 0; i < count; i++) {
        struct sp_bytes ip = pool->addresses[fit[(c->plan.source_turn + i) % count]];

        if (!sp_addr_from_ip(ip, 0, out) || (count > 1 && !sp_addr_can_leave_from(out)))
            continue;
        *source = out;
        return true;
    }
    return false;
}

static void dial(struct sp_conn *c)
{
    struct sp_dial_plan plan = {.loop = c->plan.loop,
                                .hop = c->hop,
                                .connect_ms = c->plan.connect_ms,
                                .choose = choose_source,
                                .choose_arg = c};

    c->dial = sp_dial_new(&plan, on_dialled, c);
}

struct sp_conn *sp_conn_new(const struct sp_conn_plan *plan, const struct sp_conn_events *events,
                            void *arg)
{
    struct sp_conn *c = sp_calloc(1, sizeof(*c));
    const struct sp_hop_self *self;

    c->plan = *plan;
    c->plan.route = sp_route_ref(plan->route);
    c->hop = &c->plan.route->hops[plan->hop];
    self = c->hop->self;
    c->plan.tls = sp_tls_context_ref(self == NULL || self->tls == NULL ? plan->tls : self->tls);
    c->events = events;
    c->arg = arg;
    c->config = (struct sp_smtp_client_config){
        .hostname = self == NULL || self->helo[0] == 0 ? plan->hostname : self->helo,
        .clock = sp_loop_clock(plan->loop),
        .tls = plan->plain ? SP_SMTP_TLS_NEVER : SP_SMTP_TLS_OFFERED,
        .command_ms = plan->command_ms,
    };
    c->timer = sp_timer_new(plan->loop, on_timer, c);
    sp_buf_init(&c->tls_json, TLS_JSON_MAX);
    sp_buf_init(&c->tlsa, TLS_JSON_MAX);
    sp_assert(c->hop->address_count > 0);
    dial(c);
    return c;
}

/* ---- for who uses it ---- */

const struct sp_hop_proof *sp_conn_proof(const struct sp_conn *c)
{
    return &c->proof;
}

struct sp_bytes sp_conn_tls_json(const struct sp_conn *c)
{
    return sp_buf_bytes(&c->tls_json);
}

struct sp_bytes sp_conn_chain(const struct sp_conn *c)
{
    return c->tls == NULL ? SP_LIT("") : sp_tls_proof_chain(c->tls);
}

struct sp_bytes sp_conn_tlsa(const struct sp_conn *c)
{
    return sp_buf_bytes(&c->tlsa);
}

const char *sp_conn_ip(const struct sp_conn *c)
{
    return c->ip;
}

unsigned sp_conn_extensions(const struct sp_conn *c)
{
    return sp_smtp_client_extensions(c->client);
}

uint64_t sp_conn_size_limit(const struct sp_conn *c)
{
    return sp_smtp_client_size_limit(c->client);
}

bool sp_conn_take_new(struct sp_conn *c)
{
    bool is_new = !c->counted;

    c->counted = true;
    return is_new;
}

unsigned sp_conn_messages(const struct sp_conn *c)
{
    return c->messages;
}

enum sp_rc sp_conn_send(struct sp_conn *c, const struct sp_smtp_mail *mail,
                        struct sp_source *source, sp_conn_result_fn fn, void *arg)
{
    enum sp_rc rc = sp_smtp_client_send(c->client, mail);

    if (rc != SP_OK)
        return rc;
    c->source = source;
    c->stuff = (struct sp_smtp_stuff)SP_SMTP_STUFF_INIT;
    c->chunk = SP_LIT("");
    c->result_fn = fn;
    c->result_arg = arg;
    c->events->on_busy(c->arg, c);
    flush(c);
    set_timer(c);
    return SP_OK;
}

void sp_conn_quit(struct sp_conn *c)
{
    sp_smtp_client_quit(c->client);
    flush(c);
    set_timer(c);
}
