/*
 * What the pool learns of a site or host from its answers: how fast it is, that it asks for less, that it can't be reached or is
 * back. The log hears each time, who wants news (on_news) hears the turn alone.
 */
#include "delivery/pool_priv.h"

#include "log/log.h"

#define RATE_MS 2000 /* over which a site's rate is measured */

static int64_t now_ms(const struct sp_pool *p)
{
    return sp_clock_mono_ms(sp_loop_clock(p->settings.loop));
}

static void tell(const struct sp_pool *p, const struct sp_pool_news *n)
{
    if (p->settings.on_news != NULL)
        p->settings.on_news(p->settings.arg, n);
}

static bool is_troubled(const struct sp_pool_site *s)
{
    return s->state.why[0] != '\0';
}

/* was: it was in trouble before, which is told once. */
static void tell_throttled(const struct sp_pool_site *s, bool was)
{
    int64_t pause_ms = s->state.pause_until_ms - now_ms(s->pool);
    struct sp_pool_news news = {.what = SP_POOL_SITE_SLOWED,
                                .name = s->name,
                                .why = s->state.why,
                                .reply_code = s->state.reply_code,
                                .for_ms = pause_ms > 0 ? pause_ms : 0};

    if (!was)
        tell(s->pool, &news);
    sp_log_info(s->pool->settings.log, "site.throttled", SP_DOMAIN("site", s->name),
                SP_TEXT("why", s->state.why), SP_INT("connections", s->state.limit),
                SP_MS("pause", news.for_ms));
}

void sp_pool_note_trouble(struct sp_pool_site *s, const char *why,
                          const struct sp_smtp_reply *reply)
{
    bool was = is_troubled(s);

    if (sp_site_trouble(&s->state, why, reply, now_ms(s->pool)))
        tell_throttled(s, was);
}

void sp_pool_note_reply(struct sp_pool_site *s, const struct sp_smtp_reply *reply)
{
    const struct sp_site_throttle *rule = NULL;
    const struct sp_sites *sites = s->pool->settings.sites;
    enum sp_site_answer answer = SP_SITE_IGNORE;
    struct sp_buf status;
    bool changed, was = is_troubled(s);

    sp_buf_init(&status, 32);
    sp_status_format(reply->status, &status);
    if (sites != NULL)
        answer = sp_sites_weigh(sites, s->limits, reply->code, sp_buf_bytes(&status),
                                sp_bytes(reply->text, reply->text_len), &rule);
    sp_buf_clear(&status);
    if (answer == SP_SITE_IGNORE)
        return;
    changed = sp_site_trouble(&s->state, "throttled", reply, now_ms(s->pool));
    if (answer == SP_SITE_PAUSE)
        sp_site_pause(&s->state, rule->for_ms, now_ms(s->pool));
    if (changed)
        tell_throttled(s, was);
}

void sp_pool_note_served(struct sp_pool_site *s)
{
    int64_t now = now_ms(s->pool);

    s->served++;
    if (now - s->rate_from_ms < RATE_MS)
        return;
    s->each_us = 0; /* it had nothing to do: that says nothing of what it can */
    if (now - s->rate_from_ms < 3 * RATE_MS)
        s->each_us = (now - s->rate_from_ms) * 1000 / s->served;
    s->rate_from_ms = now;
    s->served = 0;
}

void sp_pool_note_taken(struct sp_pool_site *s)
{
    struct sp_pool_news news = {.what = SP_POOL_SITE_WELL, .name = s->name};
    bool was = is_troubled(s);

    sp_pool_score(s);
    sp_site_taken(&s->state, now_ms(s->pool));
    if (!was || is_troubled(s))
        return;
    tell(s->pool, &news);
    sp_log_info(s->pool->settings.log, "site.recovered", SP_DOMAIN("site", s->name),
                SP_INT("connections", s->state.limit));
}

void sp_pool_host_down(const struct sp_pool_host *h, bool was)
{
    struct sp_pool_news news = {.what = SP_POOL_HOST_DOWN,
                                .name = h->route->hops[h->hop].name,
                                .why = sp_rc_name(h->why.rc),
                                .reply_code = h->why.reply_code,
                                .for_ms = h->breaker.rest_ms};

    if (!was)
        tell(h->pool, &news);
    sp_log_info(h->pool->settings.log, "hop.unreachable", SP_DOMAIN("host", news.name),
                SP_RC("why", h->why.rc), SP_INT("reply", h->why.reply_code),
                SP_MS("rest", h->breaker.rest_ms));
}

void sp_pool_host_back(const struct sp_pool_host *h)
{
    struct sp_pool_news news = {.what = SP_POOL_HOST_UP, .name = h->route->hops[h->hop].name};

    tell(h->pool, &news);
    sp_log_info(h->pool->settings.log, "hop.recovered", SP_DOMAIN("host", news.name));
}
