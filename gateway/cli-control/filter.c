/*
 * What `queue list`, `count` and acts on many messages are limited to. The relays look through the queue; whoever is to be
 * changed is compared here once more, recipient by recipient, so that a relay that does not know a filter changes nobody.
 */
#include "gateway/cli-control/control.h"

bool control_is_final(const struct sp_json *r)
{
    struct sp_bytes state = sp_json_text_of(r, "state");

    static const char *const open[] = {"pending", "deferred", "held", "in-delivery"};

    for (size_t i = 0; i < SP_ARRAY_LEN(open); i++) {
        if (sp_bytes_eq(state, sp_bytes_cstr(open[i])))
            return false;
    }
    return true;
}

/*
 * Part of an address, as the list takes it. But what has an "@" begins the address (ann@ is not joann@), and with a dot behind
 * it ends it, too (a.example is not a.example.org).
 */
static bool is_named(const char *filter, struct sp_bytes address)
{
    struct sp_bytes part = sp_bytes_cstr(filter == NULL ? "" : filter);
    size_t at = sp_bytes_find(part, '@');

    if (at == SIZE_MAX)
        return sp_bytes_has_nocase(address, part);
    if (at > 0 && !sp_bytes_starts_nocase(address, part))
        return false;
    return sp_bytes_find(sp_bytes_slice(part, at, SIZE_MAX), '.') == SIZE_MAX
               ? sp_bytes_has_nocase(address, part)
               : sp_bytes_ends_nocase(address, part);
}

/* A host's name, or "*." and the end of one, as a freeze takes it. */
static bool is_host(const char *filter, struct sp_bytes host)
{
    struct sp_bytes pattern = sp_bytes_cstr(filter);

    if (pattern.len < 2 || pattern.ptr[0] != '*')
        return sp_bytes_eq_nocase(pattern, host);
    return host.len >= pattern.len &&
           sp_bytes_ends_nocase(host, sp_bytes_slice(pattern, 1, SIZE_MAX));
}

static bool goes_there(const struct control *c, const struct sp_json *r)
{
    const struct sp_json *hosts = sp_json_find(r, "hosts");

    if (c->site != NULL && !sp_bytes_eq_nocase(sp_json_text_of(r, "site"), sp_bytes_cstr(c->site)))
        return false;
    for (const struct sp_json *h = hosts == NULL ? NULL : hosts->first;
         c->host != NULL && h != NULL; h = h->next)
        if (is_host(c->host, h->text))
            return true;
    return c->host == NULL;
}

/* As a list takes them: who is in delivery is that and nothing else, who is frozen stands in his own state, too. */
static bool stands_so(const char *state, const struct sp_json *r)
{
    struct sp_bytes stands = sp_json_text_of(r, "state");

    if (strcmp(state, "frozen") == 0)
        return sp_json_bool_of(r, "frozen", false) && !sp_bytes_eq(stands, SP_LIT("in-delivery"));
    return sp_bytes_eq(stands, sp_bytes_cstr(state));
}

bool control_fits(const struct control *c, const struct sp_json *r)
{
    if (!goes_there(c, r))
        return false;
    if (!is_named(c->recipient, sp_json_text_of(r, "address")))
        return false;
    if (c->rule != NULL && !sp_bytes_eq(sp_json_text_of(r, "rule"), sp_bytes_cstr(c->rule)))
        return false;
    return c->state == NULL || stands_so(c->state, r);
}

bool control_is_meant(const struct control *c, const struct sp_json *r)
{
    return !control_is_final(r) && control_fits(c, r);
}

bool control_is_from(const struct control *c, const struct sp_json *message)
{
    return is_named(c->sender, sp_json_text_of(message, "sender"));
}

static bool names_people(const struct control *c)
{
    return c->sender != NULL || c->recipient != NULL || c->tenant != NULL || c->rule != NULL ||
           c->site != NULL || c->host != NULL;
}

bool control_is_filtered(const struct control *c)
{
    return c->state != NULL || names_people(c);
}

static bool is_blank(const char *text)
{
    return text != NULL && text[0] == 0;
}

const char *control_find_slip(const struct control *c)
{
    if (is_blank(c->state) || is_blank(c->sender) || is_blank(c->recipient) ||
        is_blank(c->tenant) || is_blank(c->rule) || is_blank(c->site) || is_blank(c->host))
        return "a filter is empty: it would mean everybody";
    if (c->state != NULL && strcmp(c->state, "quarantined") == 0 && names_people(c))
        return "of what can't be read nobody knows whose it is: --state quarantined stands alone";
    return NULL;
}
