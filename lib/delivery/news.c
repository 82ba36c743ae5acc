/*
 * What becomes of the places where mail goes, for the audit: a site asks for less or is well again, a host can't be reached or
 * is back. Only the turn is told, not what lasts, and so many a minute at most: thousands of dead domains must not fill the
 * record of what happened to mail. What is left out is counted in the next line.
 */
#include "delivery/delivery_priv.h"

#define NEWS_A_MINUTE 30
#define MINUTE_MS     60000
#define EVENT_MAX     4096

static const struct {
    const char *event;
    const char *what;
} kinds[] = {
    [SP_POOL_SITE_SLOWED] = {"transport.throttled", "site"},
    [SP_POOL_SITE_WELL] = {"transport.recovered", "site"},
    [SP_POOL_HOST_DOWN] = {"transport.unreachable", "host"},
    [SP_POOL_HOST_UP] = {"transport.recovered", "host"},
};

static bool may_tell(struct sp_delivery *d, int64_t now_ms)
{
    if (now_ms - d->news.minute_ms >= MINUTE_MS) {
        d->news.minute_ms = now_ms;
        d->news.told = 0;
    }
    if (d->news.told++ < NEWS_A_MINUTE)
        return true;
    d->news.untold++;
    return false;
}

void sp_delivery_news(void *arg, const struct sp_pool_news *n)
{
    struct sp_delivery *d = arg;
    struct sp_buf text;
    struct sp_jw w;

    if (!may_tell(d, sp_clock_mono_ms(sp_loop_clock(d->parts.loop))))
        return;
    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", kinds[n->what].event);
    sp_jw_text(&w, kinds[n->what].what, n->name);
    if (n->why != NULL)
        sp_jw_cstr(&w, "why", n->why);
    if (n->reply_code != 0)
        sp_jw_int(&w, "reply_code", n->reply_code);
    if (n->for_ms > 0)
        sp_jw_int(&w, "for_ms", n->for_ms);
    if (d->news.untold > 0)
        sp_jw_int(&w, "untold_before", (int64_t)d->news.untold);
    sp_jw_end(&w);
    d->news.untold = 0;
    if (sp_buf_rc(&text) == SP_OK)
        sp_queue_say(d->parts.queue, sp_buf_bytes(&text));
    sp_buf_clear(&text);
}
