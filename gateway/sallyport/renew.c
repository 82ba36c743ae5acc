/*
 * Certificates are renewed on disk by programs that know nothing of us. Their files are looked at every few seconds; when
 * they have changed and been still for one look (certificate and key are two files, and who renews them writes one after the
 * other), they are read and checked, each pair by itself. A good one that holds now goes to the roles as a generation of its
 * own, in which nothing else is new: a policy that somebody is just writing stays where it is. Of a bad one the predecessor
 * stays, the log says what is wrong, and so does the audit, which a relay writes for us. One that only holds later is bad
 * until then: it is looked at again, without a further word. Polling is preferred to inotify: a renewal is often a symbolic
 * link that changes, in a folder that nobody watches, and a stat() of a few files costs nothing.
 * Ticket keys are rotated here too: they exist in our memory and the roles', and nowhere else.
 */
#include "gateway/sallyport/supervisor.h"

#include "base/text.h"

#include <stdio.h>

#define ACTS_MAX   (256 * 1024)
#define REASON_MAX 600

struct renewal {
    struct supervisor *s;
    struct sp_role_bundle *relay, *portal; /* copies that are changed */
    struct sp_buf acts;                    /* events for the audit, one JSON object a line */
    bool changed;
    bool told;  /* refusals of these files are known */
    bool early; /* one of them holds later */
};

static struct sp_role_bundle *bundle_of(const struct renewal *n, const struct pair *p)
{
    return (p->roles & 1U << SP_ROLE_PORTAL) != 0 ? n->portal : n->relay;
}

static struct sp_bytes file_of(const struct renewal *n, const struct pair *p, const char *part)
{
    char name[80];

    snprintf(name, sizeof(name), "secret/%s.%s", p->name, part);
    return sp_role_bundle_find(bundle_of(n, p), sp_bytes_cstr(name));
}

static void put_act(struct renewal *n, const struct pair *p, const char *event,
                    const struct sp_pair *what, const char *reason)
{
    struct sp_jw w;
    char until[40];

    sp_jw_init(&w, &n->acts);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", event);
    sp_jw_cstr(&w, "key", p->name);
    if (what != NULL) {
        sp_time_format_rfc3339(what->not_after_ms, until);
        sp_jw_cstr(&w, "certificate", what->sha256);
        sp_jw_cstr(&w, "not_after", until);
    }
    if (reason != NULL)
        sp_jw_cstr(&w, "reason", reason);
    sp_jw_end(&w);
    sp_buf_put_cstr(&n->acts, "\n");
}

static void refuse(struct renewal *n, const struct pair *p, const char *why)
{
    if (n->told)
        return;
    sp_log_error(n->s->log, "supervisor.certificate-refused", SP_TEXT("setting", p->name),
                 SP_TEXT("why", why));
    put_act(n, p, "key.refused", NULL, why);
    n->changed = true; /* for the audit */
}

static bool is_same(const struct renewal *n, const struct pair *p, const struct pair_files *f)
{
    return sp_bytes_eq(file_of(n, p, "certificate"), sp_buf_bytes(&f->certificate)) &&
           sp_bytes_eq(file_of(n, p, "key"), sp_buf_bytes(&f->key));
}

/* A successor must hold now. early: set if it will */
static const char *out_of_time(const struct renewal *n, const struct sp_pair *what, bool *early)
{
    int64_t now_ms = sp_clock_wall_ms(sp_loop_clock(n->s->loop));

    if (now_ms >= what->not_after_ms)
        return "the new certificate has expired";
    if (now_ms >= what->not_before_ms)
        return NULL;
    *early = true;
    return "the new certificate does not hold yet";
}

static void take(struct renewal *n, const struct pair *p, const struct pair_files *f)
{
    const char *why = out_of_time(n, &f->what, &n->early);

    if (why != NULL) {
        refuse(n, p, why);
    } else if (pair_put(bundle_of(n, p), p, f) != SP_OK) {
        refuse(n, p, "too large");
    } else {
        n->changed = true;
        sp_log_info(n->s->log, "supervisor.certificate-renewed", SP_TEXT("setting", p->name),
                    SP_TEXT("sha256", f->what.sha256));
        put_act(n, p, "key.rotated", &f->what, NULL);
    }
}

/* A staple goes by itself: the certificate is the one that is shown. One that has vanished stays until its end. */
static void take_staple(struct renewal *n, const struct pair *p, const struct pair_files *f)
{
    if (f->staple.len == 0 || sp_bytes_eq(file_of(n, p, "staple"), sp_buf_bytes(&f->staple)) ||
        pair_put(bundle_of(n, p), p, f) != SP_OK)
        return;
    n->changed = true;
    sp_log_info(n->s->log, "supervisor.staple-renewed", SP_TEXT("setting", p->name));
}

static void look_at(struct renewal *n, const struct pair *p)
{
    struct pair_files files;
    struct sp_err err;
    enum sp_rc rc;

    if (p->certificate[0] == '\0')
        return;
    rc = pair_read(n->s->now->folder, p, &files, &err);
    if (rc != SP_OK)
        refuse(n, p, err.text);
    else if (is_same(n, p, &files))
        take_staple(n, p, &files);
    else
        take(n, p, &files);
    pair_clear(&files);
}

static bool renewal_open(struct renewal *n, struct supervisor *s)
{
    *n = (struct renewal){.s = s};
    sp_buf_init(&n->acts, ACTS_MAX);
    return sp_role_bundle_from_memfd(s->now->bundles[SP_ROLE_RELAY], &n->relay) == SP_OK &&
           sp_role_bundle_from_memfd(s->now->bundles[SP_ROLE_PORTAL], &n->portal) == SP_OK;
}

static void renewal_close(struct renewal *n)
{
    sp_role_bundle_free(n->relay);
    sp_role_bundle_free(n->portal);
    sp_buf_clear(&n->acts);
}

/* Gives the roles what has changed. returns: false if that can't be done now */
static bool give_out(struct renewal *n, uint64_t stamp, bool rotate)
{
    struct supervisor *s = n->s;
    struct generation *before = s->now, *fresh;
    enum generation_origin origin = rotate ? GENERATION_ROTATED : GENERATION_RENEWED;

    if (rotate)
        generation_rotate_tickets(before); /* before is given up, or tries again */
    if (sp_role_bundle_add(n->relay, "acts", sp_buf_bytes(&n->acts)) != SP_OK ||
        sp_role_bundle_add(n->relay, "secret/tls.tickets", generation_tickets(before)) != SP_OK)
        return false;
    fresh = generation_copy(before, n->relay, n->portal);
    if (fresh == NULL)
        return false;
    fresh->stamp = stamp;
    fresh->number = ++s->newest;
    /* what is still on trial is asked about with it */
    fresh->origin = before != s->accepted && before->origin < origin ? before->origin : origin;
    s->now = fresh;
    trial_begin(s, before);
    return true;
}

static void renew(struct supervisor *s, uint64_t stamp)
{
    struct renewal n;
    struct pair p;
    bool ok = renewal_open(&n, s);

    n.told = stamp == s->stamp_told;
    for (size_t i = 0; ok && pair_at(s->now->config, i, &p); i++)
        look_at(&n, &p);
    if (ok && n.changed)
        ok = give_out(&n, stamp, false);
    if (ok) {
        s->stamp_told = stamp;
        if (!n.early)
            s->stamp_done = stamp;
    } else {
        sp_log_error(s->log, "supervisor.renewal-failed");
    }
    renewal_close(&n);
}

static void on_watch(void *arg)
{
    struct supervisor *s = arg;
    uint64_t stamp = pairs_stamp(s->now->folder, s->now->config);

    if (s->stopping)
        return;
    if (stamp != s->stamp_done && stamp == s->stamp_seen)
        renew(s, stamp);
    s->stamp_seen = stamp;
    sp_timer_start(s->watch, s->now->config->tls.watch_ms);
}

static void on_rotate(void *arg)
{
    struct supervisor *s = arg;
    struct renewal n;

    if (s->stopping)
        return;
    if (renewal_open(&n, s) && give_out(&n, s->now->stamp, true))
        sp_log_info(s->log, "supervisor.tickets-rotated");
    else
        sp_log_error(s->log, "supervisor.renewal-failed");
    renewal_close(&n);
    sp_timer_start(s->rotate, s->now->config->tls.tickets_ms);
}

void renew_start(struct supervisor *s)
{
    if (s->watch == NULL) {
        s->watch = sp_timer_new(s->loop, on_watch, s);
        s->rotate = sp_timer_new(s->loop, on_rotate, s);
    }
    s->stamp_seen = s->stamp_done = s->now->stamp;
    if (s->now->config->tls.watch_ms > 0)
        sp_timer_start(s->watch, s->now->config->tls.watch_ms);
    else
        sp_timer_cancel(s->watch);
    if (!sp_timer_is_running(s->rotate) && s->now->config->tls.certificate[0] != '\0')
        sp_timer_start(s->rotate, s->now->config->tls.tickets_ms);
}

void renew_stop(struct supervisor *s)
{
    sp_timer_free(s->watch);
    sp_timer_free(s->rotate);
}
