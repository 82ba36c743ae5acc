/*
 * A map from the address in lower case to the time until which it is left alone. Local parts may differ by case in theory
 * (RFC 5321 2.4); no host that matters tells them apart, and a suppressed address that differs by case alone would be tried
 * over and over.
 */
#include "delivery/suppress.h"

#include "base/buf.h"
#include "base/map.h"
#include "base/text.h"

#define ADDRESS_MAX 1024

struct entry {
    int64_t until_ms;
};

struct sp_suppress {
    struct sp_map *map;
    size_t max;
    int64_t full_until_ms; /* nobody's time is over before this */
};

static void lower(struct sp_bytes address, struct sp_buf *out)
{
    sp_buf_init(out, ADDRESS_MAX);
    for (size_t i = 0; i < address.len; i++)
        sp_buf_put_u8(out, sp_ascii_lower(address.ptr[i]));
}

struct sp_suppress *sp_suppress_new(size_t max)
{
    struct sp_suppress *s = sp_calloc(1, sizeof(*s));

    s->map = sp_map_new();
    s->max = max;
    return s;
}

void sp_suppress_free(struct sp_suppress *s)
{
    size_t at = 0;
    struct sp_bytes key;
    void *value;

    if (s == NULL)
        return;
    while (sp_map_next(s->map, &at, &key, &value))
        sp_free(value);
    sp_map_free(s->map);
    sp_free(s);
}

/* Forgets those whose time is over; of a list of none such it is tried again when the first one's is. */
static void make_room(struct sp_suppress *s, int64_t now_ms)
{
    size_t at = 0;
    struct sp_bytes key;
    void *value;

    if (now_ms < s->full_until_ms)
        return;
    s->full_until_ms = INT64_MAX;
    while (sp_map_next(s->map, &at, &key, &value)) {
        int64_t until_ms = ((const struct entry *)value)->until_ms;

        if (until_ms == 0 || until_ms > now_ms) {
            if (until_ms != 0 && until_ms < s->full_until_ms)
                s->full_until_ms = until_ms;
            continue;
        }
        (void)sp_map_remove(s->map, key);
        sp_free(value);
    }
}

void sp_suppress_set(struct sp_suppress *s, struct sp_bytes address, int64_t until_ms,
                     int64_t now_ms)
{
    struct sp_buf key;
    struct entry *e;

    lower(address, &key);
    e = sp_map_find(s->map, sp_buf_bytes(&key));
    if (e == NULL && sp_map_count(s->map) >= s->max)
        make_room(s, now_ms);
    if (e == NULL && sp_buf_rc(&key) == SP_OK && sp_map_count(s->map) < s->max) {
        e = sp_calloc(1, sizeof(*e) + key.len);
        memcpy(e + 1, key.ptr, key.len); /* the map lends its keys */
        (void)sp_map_put(s->map, sp_bytes(e + 1, key.len), e);
    }
    if (e != NULL) {
        e->until_ms = until_ms;
        if (until_ms != 0 && until_ms < s->full_until_ms)
            s->full_until_ms = until_ms;
    }
    sp_buf_clear(&key);
}

void sp_suppress_remove(struct sp_suppress *s, struct sp_bytes address)
{
    struct sp_buf key;

    lower(address, &key);
    if (sp_buf_rc(&key) == SP_OK)
        sp_free(sp_map_remove(s->map, sp_buf_bytes(&key)));
    sp_buf_clear(&key);
}

bool sp_suppress_has(struct sp_suppress *s, struct sp_bytes address, int64_t now_ms)
{
    const struct entry *e;
    struct sp_buf key;

    if (s == NULL || sp_map_count(s->map) == 0)
        return false;
    lower(address, &key);
    e = sp_buf_rc(&key) == SP_OK ? sp_map_find(s->map, sp_buf_bytes(&key)) : NULL;
    sp_buf_clear(&key);
    return e != NULL && (e->until_ms == 0 || e->until_ms > now_ms);
}
