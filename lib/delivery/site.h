/*
 * Inside delivery: what may be asked of a place now. How many connections (more with success, half on trouble), how many
 * messages a minute, and for how long it or one of its hosts is left alone. Pure: times are monotonic and handed in.
 * thread: loop
 */
#ifndef SP_DELIVERY_SITE_H
#define SP_DELIVERY_SITE_H

#include "config/sites.h"
#include "smtp/reply.h"

/* ---- a rate ---- */

struct sp_site_rate {
    int64_t per_minute; /* 0: no limit */
    int64_t tokens;     /* a message is SP_SITE_TOKEN */
    int64_t from_ms;    /* they are counted up to here; 0: not begun */
};
#define SP_SITE_TOKEN 60000

/* returns: monotonic time at which a message may go, now_ms or before if it may now */
int64_t sp_site_rate_at(struct sp_site_rate *r, int64_t now_ms);
/* A message goes. */
void sp_site_rate_take(struct sp_site_rate *r, int64_t now_ms);

/* ---- how many connections ---- */

#define SP_SITE_WHY_MAX 96

struct sp_site {
    unsigned limit; /* connections that may be open now */
    unsigned max;
    bool has_settled;       /* trouble was seen: it grows slowly since */
    unsigned taken;         /* since it grew */
    int64_t halved_ms;      /* last time; 0: never */
    int64_t pause_until_ms; /* nothing goes before; 0: no pause */
    int64_t pause_ms;       /* the last one's length, for the next one's */
    uint64_t sent;
    uint64_t throttled;
    int reply_code;            /* of the last trouble; 0: no reply */
    char why[SP_SITE_WHY_MAX]; /* "421 4.7.28", "connection lost"; empty: no trouble */
};

/* max: connections that it may have at most, 1 or more */
void sp_site_init(struct sp_site *s, unsigned max);
/* A message was taken. */
void sp_site_taken(struct sp_site *s, int64_t now_ms);
/*
 * The peer is in trouble, or asks us to slow down. Several at once, from connections that were open at the same time,
 * count as one.
 *
 * why:      kept as text
 * reply:    or NULL
 * returns:  whether anything changed
 */
bool sp_site_trouble(struct sp_site *s, const char *why, const struct sp_smtp_reply *reply,
                     int64_t now_ms);
/* Nothing goes for so long. */
void sp_site_pause(struct sp_site *s, int64_t for_ms, int64_t now_ms);

/* ---- a host's breaker ---- */

enum sp_breaker_state {
    SP_BREAKER_CLOSED, /* it answers */
    SP_BREAKER_OPEN,   /* it is left alone until until_ms */
    SP_BREAKER_PROBE,  /* one connection tries */
};

struct sp_breaker {
    enum sp_breaker_state state;
    int64_t until_ms;
    int64_t rest_ms; /* the last rest's length */
};

/* returns: "closed", "open", "probe"; static */
const char *sp_breaker_name(enum sp_breaker_state state);
/* No connection came about, and none works: rests first_ms, each time twice as long, at most max_ms. */
void sp_breaker_failed(struct sp_breaker *b, int64_t first_ms, int64_t max_ms, int64_t now_ms);
/* A connection works. returns: whether that is news */
bool sp_breaker_worked(struct sp_breaker *b);
/* returns: whether a connection may be opened; an open breaker whose rest is over lets one through and is a probe then */
bool sp_breaker_lets(struct sp_breaker *b, int64_t now_ms);
/* returns: whether it is left alone now */
bool sp_breaker_rests(const struct sp_breaker *b, int64_t now_ms);

#endif
