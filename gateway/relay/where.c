/*
 * Where mail goes, for questions that name it: "site" is a destination as the queue has it (a domain, or the route that a rule
 * names), "host" what such mail would go to first by what was looked up last, as a freeze takes it. A question is turned
 * into the destinations that it means before the queue is gone through, so that a message costs a look into a table.
 */
#include "gateway/relay/command.h"

#include "transport/transport.h"

#define HOSTS_TOLD 4 /* of each recipient: a domain's owner may name many, and long */

struct search {
    const struct sp_transport *transport; /* NULL: none yet */
    struct sp_map *found;
    struct sp_bytes site, host; /* empty: any */
};

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

static void on_line(void *arg, const struct sp_line_view *v)
{
    struct search *s = arg;

    if (sp_map_find(s->found, v->destination) != NULL)
        return;
    if (s->site.len > 0 && !sp_bytes_eq_nocase(s->site, v->destination))
        return;
    if (s->host.len == 0 || each_first(last_route(s->transport, v->destination), s->host, NULL) > 0)
        (void)sp_map_put(s->found, v->destination, s->found);
}

struct sp_map *relay_where(struct relay *r, const struct sp_json *ask)
{
    struct search s = {.site = sp_json_text_of(ask, "site"), .host = sp_json_text_of(ask, "host")};

    if (s.site.len + s.host.len == 0)
        return NULL;
    s.transport = relay_delivery_transport(r);
    s.found = sp_map_new();
    sp_lines_each(sp_queue_lines(r->queue), on_line, &s);
    return s.found;
}

bool relay_knows_host(struct relay *r, struct sp_bytes destination)
{
    const struct sp_route *route = last_route(relay_delivery_transport(r), destination);

    return route != NULL && route->hop_count > 0;
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
