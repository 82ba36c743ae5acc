/*
 * Whose mail it says it is: envelope sender, From and Sender against the tenant's domains. Real tenants also send what is
 * not simply their own: forwards with a foreign From, reports with no sender at all, meetings of foreign organisers, shared
 * mailboxes, domains under onmicrosoft.com. Each has a switch in the tenant's file and a refusal of its own, so that an
 * administrator who reads the reply knows what to decide. What is foreign is let in only where the message itself carries
 * a signal; the settings are checked for that when they are read.
 */
#include "intake/intake_priv.h"

#include "mail/domain.h"
#include "mail/idn.h"

/* returns: length of the tenant's longest domain that the name lies in; 0 if in none */
static size_t covering(const struct sp_tenant *t, struct sp_bytes domain)
{
    size_t longest = 0;

    for (size_t i = 0; i < t->domains.count; i++) {
        struct sp_bytes own = sp_bytes_cstr(t->domains.items[i]);

        if (own.len > longest && sp_domain_is_within(domain, own))
            longest = own.len;
    }
    return longest;
}

bool sp_intake_is_own(const struct generation *g, const struct who *w, struct sp_bytes domain)
{
    size_t own;

    if (sp_tenant_has_domain(w->tenant, domain))
        return true;
    own = w->tenant->senders.subdomains ? covering(w->tenant, domain) : 0;
    for (size_t i = 0; own > 0 && i < g->tenant_count; i++) {
        if (&g->tenants[i] != w && covering(g->tenants[i].tenant, domain) > own)
            return false; /* another tenant names it, or something closer above it */
    }
    return own > 0;
}

/* Why a domain is not the tenant's, in words that help. */
static enum sp_rc foreign(const struct who *w, struct sp_bytes domain, enum sp_rc otherwise)
{
    if (covering(w->tenant, domain) > 0)
        return SP_E_INTAKE_SUBDOMAIN;
    if (sp_domain_is_within(domain, SP_LIT("onmicrosoft.com")))
        return SP_E_INTAKE_ONMICROSOFT;
    return otherwise;
}

bool sp_intake_sender_is_foreign(const struct transaction *tx)
{
    struct sp_address a;

    return tx->sender.len > 0 && (sp_address_parse(tx->sender, &a) != SP_OK ||
                                  !sp_intake_is_own(tx->gen, tx->proof.who, a.domain));
}

enum sp_rc sp_intake_sender_envelope(const struct generation *g, const struct who *w,
                                     const struct sp_address *sender)
{
    const struct sp_tenant *t = w->tenant;

    if (sp_address_is_null(sender))
        return t->senders.null_sender ? SP_OK : SP_E_INTAKE_NULL;
    if (sp_intake_is_own(g, w, sender->domain) || t->senders.foreign_envelope)
        return SP_OK;
    return foreign(w, sender->domain, SP_E_INTAKE_SENDER);
}

/* What a field of mailboxes holds. */
struct boxes {
    size_t fields;
    size_t count;
    bool readable; /* every field is a list of mailboxes, none empty */
    bool own;      /* all are the tenant's */
    struct sp_bytes first_foreign;
    struct sp_address first;
};

/* A header may name the domain in U-labels. What is no name is nobody's. */
static bool is_own_box(const struct transaction *tx, const struct who *w, struct sp_bytes domain)
{
    struct sp_buf ascii;
    bool own;

    if (sp_text_is_ascii(domain))
        return sp_intake_is_own(tx->gen, w, domain);
    sp_buf_init(&ascii, SP_DOMAIN_MAX);
    own = sp_domain_to_ascii(domain, &ascii) == SP_OK &&
          sp_intake_is_own(tx->gen, w, sp_buf_bytes(&ascii));
    sp_buf_clear(&ascii);
    return own;
}

static void read_boxes(const struct transaction *tx, const struct who *w, struct sp_bytes name,
                       struct boxes *out)
{
    struct sp_field f;
    struct sp_address a;
    struct sp_bytes rest;
    size_t at = 0;

    *out = (struct boxes){.readable = true, .own = true};
    while (sp_header_next_of(&tx->header, name, &at, &f)) {
        bool failed = false;

        out->fields++;
        rest = f.value;
        while (sp_address_list_next(&rest, &a, &failed)) {
            if (out->count++ == 0)
                out->first = a;
            if (is_own_box(tx, w, a.domain))
                continue;
            out->own = false;
            out->first_foreign = a.domain;
        }
        out->readable = out->readable && !failed && out->count > 0;
    }
}

static bool has_token(const struct transaction *tx, struct sp_bytes name, struct sp_bytes value)
{
    struct sp_field f;

    return sp_header_find(&tx->header, name, 0, &f) &&
           sp_bytes_eq_nocase(sp_field_token(&f), value);
}

static bool is_calendar(const struct transaction *tx)
{
    return has_token(tx, SP_LIT("Content-Type"), SP_LIT("text/calendar")) ||
           has_token(tx, SP_LIT("Content-Class"), SP_LIT("urn:content-classes:calendarmessage"));
}

/* Sender Rewriting Scheme, in the forms of the usual programs and of Microsoft 365. */
static bool is_rewritten(struct sp_bytes sender)
{
    return sp_bytes_starts_nocase(sender, SP_LIT("SRS0=")) ||
           sp_bytes_starts_nocase(sender, SP_LIT("SRS1=")) ||
           sp_bytes_starts_nocase(sender, SP_LIT("SRS0+")) ||
           sp_bytes_find_all(sender, SP_LIT("+SRS=")) != SIZE_MAX ||
           sp_bytes_find_all(sender, SP_LIT("+caf_=")) != SIZE_MAX;
}

/* A foreign From: a meeting that was passed on, a forward, or somebody else's name. */
static enum sp_rc foreign_from(const struct transaction *tx, const struct who *w,
                               const struct boxes *from, const struct boxes *sender)
{
    const struct sp_tenant *t = w->tenant;
    bool has_own_sender = sender->fields == 1 && sender->readable && sender->own;

    if (tx->sender.len == 0)
        return foreign(w, from->first_foreign, SP_E_INTAKE_FROM);
    if (is_calendar(tx) && has_own_sender)
        return t->senders.calendar ? SP_OK : SP_E_INTAKE_CALENDAR;
    if (t->senders.forwards)
        return SP_OK;
    if (is_rewritten(tx->sender))
        return SP_E_INTAKE_FORWARD;
    return foreign(w, from->first_foreign, SP_E_INTAKE_FROM);
}

enum sp_rc sp_intake_sender_header(const struct transaction *tx, const struct who *w)
{
    const struct sp_tenant *t = w->tenant;
    struct boxes from, sender;

    read_boxes(tx, w, SP_LIT("From"), &from);
    read_boxes(tx, w, SP_LIT("Sender"), &sender);
    if (from.fields != 1)
        return SP_E_INTAKE_FROM_COUNT;
    if (!from.readable)
        return SP_E_INTAKE_FROM;
    if (!from.own)
        return foreign_from(tx, w, &from, &sender);
    if (sender.fields == 0)
        return SP_OK;
    if (sender.fields > 1 || !sender.readable || !sender.own)
        return SP_E_INTAKE_SENDER_FIELD;
    if (!t->senders.shared_mailboxes && !sp_address_eq(&from.first, &sender.first))
        return SP_E_INTAKE_SHARED;
    return SP_OK;
}
