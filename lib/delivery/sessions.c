/*
 * TLS sessions as reports count them (RFC 8460): each once, beside the attempt that saw it first. An attempt may go back to its
 * line after it has seen some, since the next host has no room for it, and is none then: no record, no number. What it saw is
 * not seen again, for the connection is new to nobody any more, so it waits for the next attempt at that domain. Each is
 * written down when it is seen: routes and settings may go meanwhile.
 */
#include "delivery/sessions.h"

#include "delivery/sessions_priv.h"

#define EVENT_ROOM  32768 /* half of an event: the rest tells of the attempt */
#define SESSION_MAX 24576
#define RECORD_MAX  1024 /* a digest's, or a key's; a whole certificate is left out of reports */

struct session {
    struct sp_list at;
    bool is_look_up;
    bool is_written; /* in the event under way */
    size_t domain_len;
    size_t text_len;
    uint8_t bytes[];
};

struct sp_sessions {
    struct sp_list left;
    size_t count;
    size_t max;
};

static struct sp_bytes domain_of(const struct session *s)
{
    return sp_bytes(s->bytes, s->domain_len);
}

static struct sp_bytes text_of(const struct session *s)
{
    return sp_bytes(s->bytes + s->domain_len, s->text_len);
}

static void forget(struct session *s)
{
    sp_list_remove(&s->at);
    sp_free(s);
}

struct sp_sessions *sp_sessions_new(size_t max)
{
    struct sp_sessions *s = sp_calloc(1, sizeof(*s));

    sp_list_init(&s->left);
    s->max = max;
    return s;
}

void sp_sessions_free(struct sp_sessions *s)
{
    if (s == NULL)
        return;
    SP_LIST_EACH(at, &s->left)
    forget(SP_CONTAINER(at, struct session, at));
    sp_free(s);
}

/* ---- noting ---- */

/* The records that bound the session, as a zone would have them. */
static void write_records(struct sp_jw *w, const struct sp_hop *h)
{
    struct sp_buf text;

    if (h->tlsa_pinned || h->tlsa_count == 0)
        return;
    sp_buf_init(&text, RECORD_MAX);
    sp_jw_array(w, "records");
    for (size_t i = 0; i < h->tlsa_count; i++) {
        const struct sp_tlsa *t = &h->tlsa_set[i];

        sp_buf_reset(&text);
        sp_buf_printf(&text, "_%u._tcp.%.*s. IN TLSA %u %u %u ", h->port, SP_FMT(h->base), t->usage,
                      t->selector, t->matching_type);
        sp_hex_encode(&text, t->data);
        if (sp_buf_rc(&text) == SP_OK)
            sp_jw_text(w, NULL, sp_buf_bytes(&text));
    }
    sp_jw_end(w);
    sp_buf_clear(&text);
}

static void write_session(const struct sp_route *route, const struct sp_session_seen *seen,
                          bool with_records, struct sp_buf *out)
{
    const struct sp_hop *h = seen->hop == SIZE_MAX ? NULL : &route->hops[seen->hop];
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    if (h != NULL)
        sp_jw_text(&w, "mx", h->name);
    if (seen->ip.len > 0)
        sp_jw_text(&w, "ip", seen->ip);
    sp_jw_cstr(&w, "policy", seen->policy);
    sp_jw_cstr(&w, "result", seen->result);
    if (h != NULL && with_records)
        write_records(&w, h);
    sp_jw_end(&w);
}

void sp_attempt_note_session(struct sp_attempt *a, const struct sp_session_seen *seen)
{
    struct sp_bytes domain = a->route->domain;
    struct session *s;
    struct sp_buf text;

    sp_buf_init(&text, SESSION_MAX);
    write_session(a->route, seen, true, &text);
    if (sp_buf_rc(&text) != SP_OK) {
        sp_buf_reset(&text);
        write_session(a->route, seen, false, &text);
    }
    s = sp_calloc(1, sizeof(*s) + domain.len + text.len);
    s->is_look_up = seen->is_look_up;
    s->domain_len = domain.len;
    s->text_len = text.len;
    if (domain.len > 0)
        memcpy(s->bytes, domain.ptr, domain.len);
    memcpy(s->bytes + domain.len, text.ptr, text.len);
    sp_list_append(&a->sessions, &s->at);
    sp_buf_clear(&text);
}

/* ---- writing ---- */

struct writing {
    struct sp_jw *w;
    struct sp_bytes domain; /* of the event */
    size_t room;
    bool has_begun;
};

static void write_some(struct writing *to, const struct sp_list *from)
{
    SP_LIST_EACH(at, from)
    {
        struct session *s = SP_CONTAINER(at, struct session, at);

        if (s->text_len >= to->room || !sp_bytes_eq(domain_of(s), to->domain))
            continue;
        if (!to->has_begun)
            sp_jw_array(to->w, "sessions");
        to->has_begun = true;
        to->room -= s->text_len + 1;
        s->is_written = true;
        sp_jw_raw(to->w, NULL, text_of(s));
    }
}

void sp_attempt_write_sessions(struct sp_attempt *a, struct sp_jw *w)
{
    struct writing to = {
        .w = w, .domain = a->route == NULL ? a->domain : a->route->domain, .room = EVENT_ROOM};

    write_some(&to, &a->sessions);
    if (a->d->parts.sessions != NULL)
        write_some(&to, &a->d->parts.sessions->left);
    if (to.has_begun)
        sp_jw_end(w);
}

/* returns: how many went */
static size_t end_some(struct sp_list *list, bool is_whole)
{
    size_t gone = 0;

    SP_LIST_EACH(at, list)
    {
        struct session *s = SP_CONTAINER(at, struct session, at);

        if (s->is_written && is_whole) {
            forget(s);
            gone++;
        } else {
            s->is_written = false;
        }
    }
    return gone;
}

void sp_attempt_end_sessions(struct sp_attempt *a, bool is_whole)
{
    struct sp_sessions *others = a->d->parts.sessions;

    (void)end_some(&a->sessions, is_whole);
    if (others != NULL)
        others->count -= end_some(&others->left, is_whole);
}

void sp_attempt_leave_sessions(struct sp_attempt *a)
{
    struct sp_sessions *to = a->d->parts.sessions;

    SP_LIST_EACH(at, &a->sessions)
    {
        struct session *s = SP_CONTAINER(at, struct session, at);

        if (to == NULL || s->is_look_up) {
            forget(s);
            continue;
        }
        if (to->count == to->max)
            forget(SP_CONTAINER(to->left.next, struct session, at));
        else
            to->count++;
        sp_list_remove(&s->at);
        sp_list_append(&to->left, &s->at);
    }
}
