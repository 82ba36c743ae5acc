/*
 * One walker for both questions: an explicit stack of records, since includes nest and come from strangers, and one count
 * of look-ups for the whole walk. A check of a host ends a record at the first term that matches; a walk for networks
 * matches nothing, so that it sees every term up to "all". What an include gives is translated as in RFC 7208 5.2. A
 * domain that includes itself would run into the limit anyway, but is told by its name.
 */
#include "dns/spf.h"

#include "base/text.h"

#define RECORD_MAX 8192
#define HOSTS_MAX  10 /* of an MX, RFC 7208 4.6.4 */
#define DEPTH_MAX  (SP_SPF_LOOKUPS_MAX + 1)

struct frame {
    char domain[SP_DNS_NAME_MAX + 1];
    char text[RECORD_MAX];
    struct sp_bytes rest;
    struct sp_bytes redirect;
    enum sp_spf_result as; /* of the include that leads here, if it passes */
};

struct walk {
    const struct sp_spf_ops *ops;
    const struct sp_addr *host; /* NULL: for networks */
    void (*on_network)(void *arg, struct sp_bytes text);
    void *arg;
    struct frame *stack; /* DEPTH_MAX */
    size_t depth;
    unsigned lookups, voids;
    size_t networks;
    enum sp_rc rc; /* why it can go no further */
    struct sp_err *err;
};

const char *sp_spf_result_name(enum sp_spf_result result)
{
    static const char *const names[] = {"none", "neutral",   "pass",     "softfail",
                                        "fail", "temperror", "permerror"};

    return names[result];
}

/* returns: false, always: the walk ends here */
static bool stop(struct walk *w, enum sp_rc rc, struct sp_bytes domain, const char *why)
{
    if (w->rc == SP_OK)
        w->rc = sp_fail(w->err, rc, "%.*s: %s", SP_FMT(domain), why);
    return false;
}

static enum sp_spf_result result_of(enum sp_rc rc)
{
    return sp_rc_info(rc)->class == SP_CLASS_TEMP ? SP_SPF_TEMPERROR : SP_SPF_PERMERROR;
}

/* ---- look-ups ---- */

static bool count_lookup(struct walk *w, struct sp_bytes name)
{
    return ++w->lookups <= SP_SPF_LOOKUPS_MAX ||
           stop(w, SP_E_LIMIT, name, "more than 10 look-ups (RFC 7208 4.6.4)");
}

/* returns: the answer, to unref; NULL if the walk ends */
static const struct sp_dns_answer *ask(struct walk *w, struct sp_bytes name, enum sp_dns_type type)
{
    const struct sp_dns_answer *a = NULL;

    w->ops->ask(w->ops->ctx, name, type, &a);
    if (sp_dns_rc_is_error(a->rc)) {
        (void)stop(w, a->rc, name, "could not be looked up");
    } else if (a->rc != SP_OK && ++w->voids > SP_SPF_VOID_MAX) {
        (void)stop(w, SP_E_LIMIT, name, "more than 2 look-ups without an answer (RFC 7208 4.6.4)");
    } else {
        return a;
    }
    sp_dns_answer_unref(a);
    return NULL;
}

static bool is_spf(struct sp_bytes text)
{
    return sp_bytes_starts_nocase(text, SP_LIT("v=spf1")) && (text.len == 6 || text.ptr[6] == ' ');
}

/* The one record of a domain. found: false if it has none */
static bool read_record(struct walk *w, struct frame *f, bool *found)
{
    struct sp_bytes domain = sp_bytes_cstr(f->domain);
    const struct sp_dns_answer *a = ask(w, domain, SP_DNS_TXT);
    const struct sp_dns_record *record = NULL;
    size_t count = 0;

    if (a == NULL)
        return false;
    for (size_t i = 0; a->rc == SP_OK && i < a->count; i++) {
        if (is_spf(a->records[i].data)) {
            record = &a->records[i];
            count++;
        }
    }
    *found = count > 0;
    if (count > 1)
        (void)stop(w, SP_E_MALFORMED, domain, "two v=spf1 records (RFC 7208 4.5)");
    else if (count == 1 && record->data.len >= RECORD_MAX)
        (void)stop(w, SP_E_LIMIT, domain, "a record too long");
    else if (count == 1) {
        memcpy(f->text, record->data.ptr, record->data.len);
        f->rest = sp_bytes(f->text + 6, record->data.len - 6);
        f->redirect = sp_bytes(NULL, 0);
    }
    sp_dns_answer_unref(a);
    return w->rc == SP_OK;
}

/* Begins a domain's record on top of the stack. found: false if it has none, and nothing was begun */
static bool push(struct walk *w, struct sp_bytes domain, bool *found)
{
    struct frame *f;

    if (domain.len == 0 || domain.len > SP_DNS_NAME_MAX || sp_bytes_find(domain, '%') != SIZE_MAX)
        return stop(w, SP_E_MALFORMED, domain, "no domain name that can be asked for");
    for (size_t i = 0; i < w->depth; i++) {
        if (sp_bytes_eq_nocase(sp_bytes_cstr(w->stack[i].domain), domain))
            return stop(w, SP_E_LIMIT, domain, "includes itself");
    }
    sp_assert(w->depth < DEPTH_MAX);
    f = &w->stack[w->depth];
    memcpy(f->domain, domain.ptr, domain.len);
    f->domain[domain.len] = 0;
    if (!read_record(w, f, found))
        return false;
    if (*found)
        w->depth++;
    return true;
}

/* ---- terms ---- */

struct term {
    enum sp_spf_result as; /* by its qualifier */
    struct sp_bytes name;
    struct sp_bytes value;  /* behind ':' or '='; empty if none */
    struct sp_bytes prefix; /* of a and mx: "/24" or "/24//64"; may be empty */
    bool is_modifier;
};

static bool is_name_byte(uint8_t c)
{
    return sp_ascii_is_alnum(c) || c == '-' || c == '_' || c == '.';
}

static void split_term(struct sp_bytes text, struct term *t)
{
    size_t n = 0, slash;

    *t = (struct term){.as = SP_SPF_PASS};
    if (text.len > 0 && strchr("+-~?", text.ptr[0]) != NULL) {
        t->as = text.ptr[0] == '-'   ? SP_SPF_FAIL
                : text.ptr[0] == '~' ? SP_SPF_SOFTFAIL
                : text.ptr[0] == '?' ? SP_SPF_NEUTRAL
                                     : SP_SPF_PASS;
        text = sp_bytes_slice(text, 1, text.len);
    }
    while (n < text.len && is_name_byte(text.ptr[n]))
        n++;
    t->name = sp_bytes_slice(text, 0, n);
    t->value = sp_bytes_slice(text, n, text.len);
    if (t->value.len > 0 && (t->value.ptr[0] == ':' || t->value.ptr[0] == '=')) {
        t->is_modifier = t->value.ptr[0] == '=';
        t->value = sp_bytes_slice(t->value, 1, t->value.len);
    }
    slash = sp_bytes_find(t->value, '/');
    if (slash != SIZE_MAX &&
        (sp_bytes_eq_nocase(t->name, SP_LIT("a")) || sp_bytes_eq_nocase(t->name, SP_LIT("mx")))) {
        t->prefix = sp_bytes_slice(t->value, slash, t->value.len);
        t->value = sp_bytes_slice(t->value, 0, slash);
    }
}

/* A network as written, or of an address with a prefix. returns: whether it matches */
static bool meet(struct walk *w, const struct term *t, struct sp_bytes network)
{
    struct sp_bytes domain = sp_bytes_cstr(w->stack[w->depth - 1].domain);
    struct sp_network n;

    if (!sp_network_parse(network, &n))
        return stop(w, SP_E_MALFORMED, domain, "a network that is none");
    if (w->host != NULL)
        return sp_network_has(&n, w->host);
    if (t->as != SP_SPF_PASS)
        return stop(w, SP_E_UNSUPPORTED, domain, "a network is excluded, which no list can say");
    if (++w->networks > SP_SPF_NETWORKS_MAX)
        return stop(w, SP_E_LIMIT, domain, "too many networks");
    w->on_network(w->arg, network);
    return false;
}

/* The prefix of an address of this family, from "/24", "//64" or "/24//64"; empty: one address. */
static struct sp_bytes prefix_for(struct sp_bytes both, unsigned family)
{
    size_t two = sp_bytes_find_all(both, SP_LIT("//"));

    if (family == 6)
        return two == SIZE_MAX ? sp_bytes(NULL, 0) : sp_bytes_slice(both, two + 1, both.len);
    return two == SIZE_MAX ? both : sp_bytes_slice(both, 0, two);
}

/* returns: whether one of the name's addresses matches */
static bool meet_addresses(struct walk *w, const struct term *t, struct sp_bytes name)
{
    static const enum sp_dns_type types[] = {SP_DNS_A, SP_DNS_AAAA};
    bool matches = false;

    for (size_t k = 0; k < SP_ARRAY_LEN(types) && w->rc == SP_OK && !matches; k++) {
        const struct sp_dns_answer *a = NULL;

        /* of two questions for one name only both without an answer are void; the MX counts, its hosts do not */
        w->ops->ask(w->ops->ctx, name, types[k], &a);
        if (sp_dns_rc_is_error(a->rc))
            (void)stop(w, a->rc, name, "could not be looked up");
        for (size_t i = 0; a->rc == SP_OK && i < a->count && w->rc == SP_OK && !matches; i++) {
            char text[128];
            struct sp_bytes prefix = prefix_for(t->prefix, a->records[i].ip.family);
            size_t len;

            sp_dns_ip_format(&a->records[i].ip, text);
            len = strlen(text);
            if (prefix.len > 4)
                matches = stop(w, SP_E_MALFORMED, name, "a prefix that is none");
            else
                memcpy(text + len, prefix.ptr == NULL ? (const uint8_t *)"" : prefix.ptr,
                       prefix.len);
            if (w->rc == SP_OK)
                matches = meet(w, t, sp_bytes(text, len + prefix.len));
        }
        sp_dns_answer_unref(a);
    }
    return matches;
}

static struct sp_bytes target_of(const struct walk *w, const struct term *t)
{
    return t->value.len > 0 ? t->value : sp_bytes_cstr(w->stack[w->depth - 1].domain);
}

static bool on_a(struct walk *w, const struct term *t)
{
    return count_lookup(w, target_of(w, t)) && meet_addresses(w, t, target_of(w, t));
}

static bool on_mx(struct walk *w, const struct term *t)
{
    const struct sp_dns_answer *a;
    bool matches = false;

    if (!count_lookup(w, target_of(w, t)))
        return false;
    a = ask(w, target_of(w, t), SP_DNS_MX);
    if (a == NULL)
        return false;
    if (a->rc == SP_OK && a->count > HOSTS_MAX)
        (void)stop(w, SP_E_LIMIT, target_of(w, t), "more than 10 MX hosts (RFC 7208 4.6.4)");
    for (size_t i = 0; a->rc == SP_OK && i < a->count && w->rc == SP_OK && !matches; i++)
        matches = a->records[i].name.len > 0 && meet_addresses(w, t, a->records[i].name);
    sp_dns_answer_unref(a);
    return matches;
}

static bool on_ip(struct walk *w, const struct term *t)
{
    return meet(w, t, t->value);
}

/* Nobody reads on behind it, and no redirect counts beside it (RFC 7208 5.1, 6.1). */
static bool on_all(struct walk *w, const struct term *t)
{
    struct frame *f = &w->stack[w->depth - 1];

    f->rest = f->redirect = sp_bytes(NULL, 0);
    if (w->host == NULL && t->as == SP_SPF_PASS)
        return stop(w, SP_E_UNSUPPORTED, target_of(w, t), "everybody may send");
    return w->host != NULL;
}

/* Begins the other record; its result is taken when it ends. */
static bool on_include(struct walk *w, const struct term *t)
{
    bool found = false;

    if (!count_lookup(w, t->value))
        return false;
    if (w->host == NULL && t->as != SP_SPF_PASS)
        return stop(w, SP_E_UNSUPPORTED, t->value, "is excluded, which no list can say");
    if (push(w, t->value, &found) && !found)
        return stop(w, SP_E_DNS_NONE, t->value, "is included and has no record");
    if (found && w->rc == SP_OK)
        w->stack[w->depth - 1].as = t->as;
    return false;
}

/* What can't be asked here: it costs its look-up and matches nobody; a list of networks is not whole then. */
static bool on_unread(struct walk *w, const struct term *t)
{
    if (w->host == NULL)
        return stop(w, SP_E_UNSUPPORTED, target_of(w, t),
                    "names senders otherwise than by network");
    return !count_lookup(w, t->value) && false;
}

static const struct {
    const char *name;
    bool (*run)(struct walk *w, const struct term *t);
} mechanisms[] = {
    {"all", on_all}, {"include", on_include}, {"a", on_a},           {"mx", on_mx},
    {"ip4", on_ip},  {"ip6", on_ip},          {"exists", on_unread}, {"ptr", on_unread},
};

/* returns: whether the term matches the host */
static bool run_term(struct walk *w, struct sp_bytes text)
{
    struct frame *f = &w->stack[w->depth - 1];
    struct term t;

    split_term(text, &t);
    if (t.is_modifier) {
        if (sp_bytes_eq_nocase(t.name, SP_LIT("redirect")))
            f->redirect = t.value;
        return false; /* exp= and unknown ones say nothing here (RFC 7208 6) */
    }
    for (size_t i = 0; i < SP_ARRAY_LEN(mechanisms); i++) {
        if (sp_bytes_eq_nocase(t.name, sp_bytes_cstr(mechanisms[i].name)))
            return mechanisms[i].run(w, &t);
    }
    return stop(w, SP_E_MALFORMED, sp_bytes_cstr(f->domain), "a term that nobody knows");
}

static enum sp_spf_result qualifier_of(struct sp_bytes text)
{
    struct term t;

    split_term(text, &t);
    return t.as;
}

/* ---- the walk ---- */

/* The next term of a record. returns: false at its end */
static bool next_term(struct sp_bytes *rest, struct sp_bytes *term)
{
    while (sp_bytes_split(rest, ' ', term)) {
        if (term->len > 0)
            return true;
    }
    return false;
}

/* A record has ended without a match: its redirect takes its place (RFC 7208 6.1). returns: whether there is one */
static bool redirect(struct walk *w)
{
    struct frame *f = &w->stack[w->depth - 1];
    char domain[SP_DNS_NAME_MAX + 1];
    enum sp_spf_result as = f->as;
    struct sp_bytes to = f->redirect;
    bool found = false;

    if (to.len == 0)
        return false;
    if (to.len > SP_DNS_NAME_MAX)
        return stop(w, SP_E_MALFORMED, to, "no domain name");
    memcpy(domain, to.ptr, to.len); /* it lies in the frame that goes */
    to = sp_bytes(domain, to.len);
    if (!count_lookup(w, to))
        return false;
    w->depth--;
    if (push(w, to, &found) && !found)
        return stop(w, SP_E_DNS_NONE, to, "is redirected to and has no record");
    if (found && w->rc == SP_OK)
        w->stack[w->depth - 1].as = as;
    return w->rc == SP_OK;
}

/* Runs until the stack is empty or the walk can go no further. */
static enum sp_spf_result run(struct walk *w)
{
    enum sp_spf_result result = SP_SPF_NEUTRAL;

    while (w->depth > 0 && w->rc == SP_OK) {
        struct frame *f = &w->stack[w->depth - 1];
        enum sp_spf_result as = f->as;
        struct sp_bytes term;

        if (next_term(&f->rest, &term)) {
            if (!run_term(w, term))
                continue;
            result = qualifier_of(term);
        } else if (redirect(w)) {
            continue;
        } else {
            result = SP_SPF_NEUTRAL;
        }
        if (w->rc != SP_OK)
            break;
        w->depth--;
        /* an include that passed ends the record that has it, and so on outwards */
        while (w->depth > 0 && result == SP_SPF_PASS && w->host != NULL) {
            result = as;
            as = w->stack[w->depth - 1].as;
            w->depth--;
            if (result != SP_SPF_PASS)
                break;
        }
    }
    return w->rc == SP_OK ? result : result_of(w->rc);
}

static enum sp_spf_result begin(struct walk *w, struct sp_bytes domain)
{
    enum sp_spf_result result = SP_SPF_NONE;
    bool found = false;

    w->stack = sp_calloc(DEPTH_MAX, sizeof(*w->stack));
    if (push(w, domain, &found) && found) {
        w->stack[0].as = SP_SPF_PASS;
        result = run(w);
    } else if (w->rc != SP_OK) {
        result = result_of(w->rc);
    }
    sp_free(w->stack);
    return result;
}

enum sp_spf_result sp_spf_check(const struct sp_spf_ops *ops, struct sp_bytes domain,
                                const struct sp_addr *host, struct sp_err *err)
{
    struct walk w = {.ops = ops, .host = host, .err = err};

    return begin(&w, domain);
}

enum sp_rc sp_spf_networks(const struct sp_spf_ops *ops, struct sp_bytes domain,
                           void (*on_network)(void *arg, struct sp_bytes text), void *arg,
                           struct sp_err *err)
{
    struct walk w = {.ops = ops, .on_network = on_network, .arg = arg, .err = err};

    if (begin(&w, domain) == SP_SPF_NONE)
        return sp_fail(err, SP_E_DNS_NONE, "%.*s has no SPF record", SP_FMT(domain));
    return w.rc;
}
