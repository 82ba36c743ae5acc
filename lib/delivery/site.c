/*
 * Growth and trouble. A new site grows by one connection with each message taken, until the first trouble; from then on by one
 * for each round of its limit, as TCP does. Trouble halves; at one connection it lengthens the pauses between messages
 * instead, doubling up to five minutes. Many connections that hear the same 421 at once are one trouble: within a second
 * of the last halving nothing is halved again.
 */
#include "delivery/site.h"

#include <stdio.h>

#define START_LIMIT  8
#define AGAIN_MS     1000 /* trouble within this of the last is the same */
#define PAUSE_MS     1000
#define PAUSE_MAX_MS 300000
#define BURST        50 /* of a rate: a minute's messages over this may go at once */

/* ---- rate ---- */

static void refill(struct sp_site_rate *r, int64_t now_ms)
{
    int64_t most = r->per_minute / BURST * SP_SITE_TOKEN / 60;
    int64_t passed = now_ms - r->from_ms;

    if (most < SP_SITE_TOKEN)
        most = SP_SITE_TOKEN;
    if (r->from_ms == 0 || passed > 60000) {
        r->tokens = most;
    } else {
        r->tokens += passed * r->per_minute;
        if (r->tokens > most)
            r->tokens = most;
    }
    r->from_ms = now_ms;
}

int64_t sp_site_rate_at(struct sp_site_rate *r, int64_t now_ms)
{
    if (r->per_minute == 0)
        return now_ms;
    refill(r, now_ms);
    if (r->tokens >= SP_SITE_TOKEN)
        return now_ms;
    return now_ms + (SP_SITE_TOKEN - r->tokens + r->per_minute - 1) / r->per_minute;
}

void sp_site_rate_take(struct sp_site_rate *r, int64_t now_ms)
{
    if (r->per_minute == 0)
        return;
    refill(r, now_ms);
    r->tokens -= SP_SITE_TOKEN;
}

/* ---- connections ---- */

void sp_site_init(struct sp_site *s, unsigned max)
{
    sp_assert(max > 0);
    *s = (struct sp_site){.max = max, .limit = max < START_LIMIT ? max : START_LIMIT};
}

void sp_site_taken(struct sp_site *s, int64_t now_ms)
{
    s->sent++;
    s->taken++;
    if (s->pause_ms > 0 && now_ms > s->pause_until_ms + s->pause_ms) {
        s->pause_ms /= 2;
        if (s->pause_ms < PAUSE_MS)
            s->pause_ms = 0;
    }
    if (s->limit < s->max && (!s->has_settled || s->taken >= s->limit)) {
        s->limit++;
        s->taken = 0;
    }
    if (s->limit == s->max && s->pause_ms == 0)
        s->why[0] = '\0'; /* over */
}

static void note_why(struct sp_site *s, const char *why, const struct sp_smtp_reply *reply)
{
    s->reply_code = reply == NULL ? 0 : reply->code;
    if (reply == NULL || reply->code == 0)
        (void)snprintf(s->why, sizeof(s->why), "%s", why);
    else
        (void)snprintf(s->why, sizeof(s->why), "%s: %d %u.%u.%u", why, reply->code,
                       reply->status.class, reply->status.subject, reply->status.detail);
}

bool sp_site_trouble(struct sp_site *s, const char *why, const struct sp_smtp_reply *reply,
                     int64_t now_ms)
{
    note_why(s, why, reply);
    s->throttled++;
    s->taken = 0;
    if (s->halved_ms != 0 && now_ms - s->halved_ms < AGAIN_MS)
        return false;
    s->halved_ms = now_ms;
    s->has_settled = true;
    if (s->limit > 1) {
        s->limit /= 2;
        return true;
    }
    s->pause_ms = s->pause_ms == 0 ? PAUSE_MS : s->pause_ms * 2;
    if (s->pause_ms > PAUSE_MAX_MS)
        s->pause_ms = PAUSE_MAX_MS;
    if (s->pause_until_ms < now_ms + s->pause_ms)
        s->pause_until_ms = now_ms + s->pause_ms;
    return true;
}

void sp_site_pause(struct sp_site *s, int64_t for_ms, int64_t now_ms)
{
    if (s->pause_until_ms < now_ms + for_ms)
        s->pause_until_ms = now_ms + for_ms;
}

/* ---- breaker ---- */

const char *sp_breaker_name(enum sp_breaker_state state)
{
    static const char *const names[] = {"closed", "open", "probe"};

    return names[state];
}

void sp_breaker_failed(struct sp_breaker *b, int64_t first_ms, int64_t max_ms, int64_t now_ms)
{
    b->rest_ms = b->rest_ms == 0 ? first_ms : b->rest_ms * 2;
    if (b->rest_ms > max_ms)
        b->rest_ms = max_ms;
    b->until_ms = now_ms + b->rest_ms;
    b->state = SP_BREAKER_OPEN;
}

bool sp_breaker_worked(struct sp_breaker *b)
{
    bool is_news = b->state != SP_BREAKER_CLOSED;

    *b = (struct sp_breaker){0};
    return is_news;
}

bool sp_breaker_rests(const struct sp_breaker *b, int64_t now_ms)
{
    return b->state == SP_BREAKER_OPEN && b->until_ms > now_ms;
}

bool sp_breaker_lets(struct sp_breaker *b, int64_t now_ms)
{
    if (b->state == SP_BREAKER_CLOSED)
        return true;
    if (b->state == SP_BREAKER_PROBE || b->until_ms > now_ms)
        return false;
    b->state = SP_BREAKER_PROBE;
    return true;
}
