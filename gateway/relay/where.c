/*
 * Where mail goes, for questions that name it: "site" is a destination as the queue has it (a domain, or the route that a rule
 * names), "host" what such mail would go to first by what was looked up last, as a freeze takes it. The hosts of a
 * destination are looked at once a question, when a message goes there, so that all others cost a look into a table; and
 * since a million messages look there, what was found for a line stands in a table of handles besides, which fits into a
 * processor's cache and asks for no hash of a name.
 */
#include "gateway/relay/command.h"

#include "transport/transport.h"

#define HOSTS_TOLD 4     /* of each recipient: a domain's owner may name many, and long */
#define LINES      65536 /* whose finding is at hand; a power of two */

struct known {
    sp_handle line;
    const char *found;
};

struct relay_where {
    struct relay *shard;
    struct sp_map *seen; /* destination -> is_meant, is_other or is_unknown */
    struct known *
        lines; /* of a host's question; each at its handle's last bits, the latest that was asked for */
    struct sp_bytes site, host; /* empty: any */
};

static char is_meant, is_other, is_unknown;

/* Writes those that it would go to first and that fit, the first of them. pattern: empty: all fit. returns: how many fit */
static size_t each_first(const struct sp_route *r, struct sp_bytes pattern, struct sp_jw *w)
{
    uint16_t best = UINT16_MAX;
    size_t count = 0;

    for (size_t i = 0; r != NULL && i < r->hop_count; i++)
        if (r->hops[i].preference < best)
            best = r->hops[i].preference;
    for (size_t i = 0; r != NULL && i < r->hop_count; i++) {
        if (r->hops[i].preference != best ||
            (pattern.len > 0 && !sp_queue_host_fits(pattern, r->hops[i].name)))
            continue;
        if (w != NULL && count < HOSTS_TOLD)
            sp_jw_text(w, NULL, r->hops[i].name);
        count++;
    }
    return count;
}

static const struct sp_route *last_route(const struct sp_transport *t, struct sp_bytes destination)
{
    return t == NULL ? NULL : sp_transport_last(t, destination);
}

struct relay_where *relay_where_new(struct relay *shard, const struct sp_json *ask)
{
    struct sp_bytes site = sp_json_text_of(ask, "site"), host = sp_json_text_of(ask, "host");
    struct relay_where *w;

    if (site.len + host.len == 0)
        return NULL;
    w = sp_calloc(1, sizeof(*w));
    *w = (struct relay_where){.shard = shard, .seen = sp_map_new(), .site = site, .host = host};
    if (host.len > 0)
        w->lines = sp_calloc(LINES, sizeof(*w->lines));
    return w;
}

void relay_where_free(struct relay_where *w)
{
    if (w == NULL)
        return;
    sp_map_free(w->seen);
    sp_free(w->lines);
    sp_free(w);
}

static char *look(const struct relay_where *w, struct sp_bytes destination)
{
    const struct sp_route *route = last_route(relay_delivery_transport(w->shard), destination);

    if (route == NULL || route->hop_count == 0)
        return &is_unknown;
    return each_first(route, w->host, NULL) > 0 ? &is_meant : &is_other;
}

static const char *find_host(struct relay_where *w, struct sp_bytes destination)
{
    char *found = sp_map_find(w->seen, destination);

    if (found == NULL) {
        found = look(w, destination);
        (void)sp_map_put(w->seen, destination, found);
    }
    return found;
}

/* A site is compared with each; what hosts it goes to is found once. */
static const char *find(struct relay_where *w, struct sp_bytes destination, sp_handle line)
{
    struct known *known;

    if (w->site.len > 0 && !sp_bytes_eq_nocase(w->site, destination))
        return &is_other;
    if (w->host.len == 0)
        return &is_meant;
    if (line == 0)
        return find_host(w, destination);
    known = &w->lines[line & (LINES - 1)];
    if (known->line != line)
        *known = (struct known){line, find_host(w, destination)};
    return known->found;
}

bool relay_where_is(struct relay_where *w, struct sp_bytes destination, sp_handle line)
{
    return w == NULL || find(w, destination, line) == &is_meant;
}

bool relay_where_is_unknown(struct relay_where *w, struct sp_bytes destination, sp_handle line)
{
    return w != NULL && find(w, destination, line) == &is_unknown;
}

void relay_put_where(struct relay *r, const struct sp_json *ask, const struct sp_id *id, size_t n,
                     struct sp_jw *w)
{
    struct sp_bytes destination = sp_queue_destination(r->queue, id, n);
    const struct sp_route *route = last_route(relay_delivery_transport(r), destination);

    sp_jw_text(w, "site", destination);
    sp_jw_array(w, "hosts");
    (void)each_first(route, sp_json_text_of(ask, "host"), w);
    sp_jw_end(w);
}
