/*
 * libldap's home. It reads settings of its own from files and the environment, where "TLS_REQCERT never" may stand: that is
 * switched off before its first use, and every option that matters is set for each connection. Referrals are not followed:
 * they would carry the password to whatever server an answer names. A result that is not complete (a size limit, a referral
 * instead of an entry) is an error, since half of a group is no group. Entries of a batch are asked for at once, so that a
 * large group costs less than a round trip a member; answers are taken as they come.
 * libldap with GnuTLS keeps to no time limit within a handshake or a record (with its network timeout it even reads without
 * a pause), so a timer of the process shuts the socket down when an answer is overdue: the read that waits then ends.
 */
#include "roster/ldap.h"

#include <ldap.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ATTRIBUTES_MAX 64
#define INCOMING_MAX   ((ber_len_t)32 << 20) /* one answer */
#define ANY            "(objectClass=*)"
#define GRACE_MS       500 /* for libldap's own time limits, which tell more */

struct sp_roster_ldap {
    LDAP *ld;
    const struct sp_directory *d;
    struct sp_roster_source source;
    int64_t end_ms; /* monotonic */
    struct ldap_conncb watch;
    timer_t timer; /* shuts the socket down */
    bool has_timer;
    bool connected; /* it was, if only for a moment */
};

/* An entry as it is handed on, and what of it is libldap's to free. */
struct entry {
    struct sp_roster_value *values;
    size_t count;
    char *dn;
    char *names[ATTRIBUTES_MAX];
    struct berval **lists[ATTRIBUTES_MAX];
    size_t attribute_count;
};

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What went wrong, in the server's words where it has some. */
static enum sp_rc fail(const struct sp_roster_ldap *l, int code, const char *what,
                       struct sp_err *err)
{
    char *detail = NULL;
    enum sp_rc rc = code == LDAP_INVALID_CREDENTIALS ? SP_E_DENIED
                    : code == LDAP_TIMEOUT           ? SP_E_TIMEOUT
                                                     : SP_E_IO;

    if (l->ld != NULL)
        (void)ldap_get_option(l->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &detail);
    (void)sp_fail(err, rc, "%s: %s%s%.200s", what, ldap_err2string(code),
                  detail != NULL && detail[0] != 0 ? ": " : "", detail == NULL ? "" : detail);
    ldap_memfree(detail);
    return rc;
}

static int last_code(const struct sp_roster_ldap *l)
{
    int code = LDAP_OTHER;

    (void)ldap_get_option(l->ld, LDAP_OPT_RESULT_CODE, &code);
    return code == LDAP_SUCCESS ? LDAP_SERVER_DOWN : code;
}

/* ---- a socket that can't wait for ever ---- */

static void on_overdue(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    (void)shutdown(info->si_value.sival_int, SHUT_RDWR); /* may be called here: signal-safety(7) */
}

/* How long what follows may take from now on; 0: nothing is asked. */
static void allow(const struct sp_roster_ldap *l, int64_t ms)
{
    const struct itimerspec at = {
        .it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};

    if (l->has_timer)
        (void)timer_settime(l->timer, 0, &at, NULL);
}

static void stop_timer(struct sp_roster_ldap *l)
{
    if (l->has_timer)
        (void)timer_delete(l->timer);
    l->has_timer = false;
}

/* A connection is there: TLS comes next. From here on the timer counts, and libldap waits as a read does. */
static int on_connected(LDAP *ld, Sockbuf *sb, LDAPURLDesc *url, struct sockaddr *address,
                        struct ldap_conncb *watch)
{
    struct sp_roster_ldap *l = watch->lc_arg;
    struct sigaction action = {.sa_sigaction = on_overdue, .sa_flags = SA_SIGINFO | SA_RESTART};
    const struct timeval never = {.tv_sec = -1};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};

    (void)url;
    (void)address;
    stop_timer(l);
    l->connected = true;
    if (ber_sockbuf_ctrl(sb, LBER_SB_OPT_GET_FD, &event.sigev_value.sival_int) != 1 ||
        ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &never) != LDAP_OPT_SUCCESS ||
        sigaction(SIGALRM, &action, NULL) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &l->timer) != 0)
        return -1;
    l->has_timer = true;
    allow(l, l->d->timeout_ms + GRACE_MS);
    return 0;
}

static void on_closed(LDAP *ld, Sockbuf *sb, struct ldap_conncb *watch)
{
    (void)ld;
    (void)sb;
    stop_timer(watch->lc_arg);
}

static void disconnect(struct sp_roster_ldap *l)
{
    if (l->ld != NULL)
        (void)ldap_unbind_ext(l->ld, NULL, NULL);
    l->ld = NULL;
    stop_timer(l);
}

/* ---- connecting ---- */

static bool set_int(LDAP *ld, int option, int value)
{
    return ldap_set_option(ld, option, &value) == LDAP_OPT_SUCCESS;
}

static bool set_limits(const struct sp_roster_ldap *l)
{
    struct timeval limit = {.tv_sec = l->d->timeout_ms / 1000,
                            .tv_usec = l->d->timeout_ms % 1000 * 1000};
    ber_len_t most = INCOMING_MAX;
    Sockbuf *socket = NULL;

    return ldap_set_option(l->ld, LDAP_OPT_NETWORK_TIMEOUT, &limit) == LDAP_OPT_SUCCESS &&
           ldap_set_option(l->ld, LDAP_OPT_TIMEOUT, &limit) == LDAP_OPT_SUCCESS &&
           ldap_set_option(l->ld, LDAP_OPT_CONNECT_CB, &l->watch) == LDAP_OPT_SUCCESS &&
           ldap_get_option(l->ld, LDAP_OPT_SOCKBUF, &socket) == LDAP_OPT_SUCCESS &&
           ber_sockbuf_ctrl(socket, LBER_SB_OPT_SET_MAX_INCOMING, &most) == 1;
}

static bool set_tls(const struct sp_roster_ldap *l, const char *ca)
{
    return set_int(l->ld, LDAP_OPT_X_TLS_REQUIRE_CERT, LDAP_OPT_X_TLS_HARD) &&
           set_int(l->ld, LDAP_OPT_X_TLS_PROTOCOL_MIN, LDAP_OPT_X_TLS_PROTOCOL_TLS1_2) &&
           ldap_set_option(l->ld, LDAP_OPT_X_TLS_CACERTFILE, ca) == LDAP_OPT_SUCCESS &&
           set_int(l->ld, LDAP_OPT_X_TLS_NEWCTX, 0);
}

static enum sp_rc log_in(const struct sp_roster_ldap *l, const char *url, struct sp_bytes password,
                         struct sp_err *err)
{
    struct berval secret = {.bv_len = password.len, .bv_val = (char *)password.ptr};
    int code = LDAP_SUCCESS;

    if (sp_bytes_starts_nocase(sp_bytes_cstr(url), SP_LIT("ldap://")))
        code = ldap_start_tls_s(l->ld, NULL, NULL);
    if (code == LDAP_SUCCESS)
        code = ldap_sasl_bind_s(l->ld, l->d->bind_dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);
    if ((code == LDAP_SERVER_DOWN || code == LDAP_CONNECT_ERROR) &&
        l->connected) /* libldap has no more to say of it */
        return sp_fail(err, SP_E_IO,
                       "%s: no TLS that can be trusted: too late, or a certificate of another "
                       "name, time or authority",
                       url);
    return code == LDAP_SUCCESS ? SP_OK : fail(l, code, url, err);
}

static enum sp_rc connect_to(struct sp_roster_ldap *l, const char *url, const char *ca,
                             struct sp_bytes password, struct sp_err *err)
{
    int code = ldap_initialize(&l->ld, url);
    enum sp_rc rc;

    l->connected = false;
    if (code != LDAP_SUCCESS)
        return fail(l, code, url, err);
    if (!set_int(l->ld, LDAP_OPT_PROTOCOL_VERSION, LDAP_VERSION3) ||
        ldap_set_option(l->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) != LDAP_OPT_SUCCESS ||
        !set_limits(l))
        rc = sp_fail(err, SP_E_INTERNAL, "libldap knows an option no more");
    else if (access(ca, R_OK) != 0 || !set_tls(l, ca))
        rc = sp_fail(err, SP_E_IO, "%s: no file of certificates", ca);
    else
        rc = log_in(l, url, password, err);
    if (rc == SP_OK)
        allow(l, 0);
    else
        disconnect(l);
    return rc;
}

/* ---- answers ---- */

static void clear(struct entry *e)
{
    for (size_t i = 0; i < e->attribute_count; i++) {
        ldap_value_free_len(e->lists[i]);
        ldap_memfree(e->names[i]);
    }
    ldap_memfree(e->dn);
    sp_free(e->values);
    *e = (struct entry){0};
}

static void add_values(struct entry *e, char *name, struct berval **list)
{
    size_t n = (size_t)ldap_count_values_len(list);

    e->names[e->attribute_count] = name;
    e->lists[e->attribute_count++] = list;
    e->values = sp_realloc(e->values, (e->count + n + 1) * sizeof(*e->values));
    for (size_t i = 0; i < n; i++)
        e->values[e->count++] = (struct sp_roster_value){
            sp_bytes_cstr(name), sp_bytes(list[i]->bv_val, list[i]->bv_len)};
}

/* returns: false if it is malformed */
static bool parse(LDAP *ld, LDAPMessage *message, struct entry *e)
{
    BerElement *at = NULL;
    char *name;

    *e = (struct entry){.dn = ldap_get_dn(ld, message)};
    name = e->dn == NULL ? NULL : ldap_first_attribute(ld, message, &at);
    while (name != NULL && e->attribute_count < ATTRIBUTES_MAX) {
        struct berval **list = ldap_get_values_len(ld, message, name);

        if (list == NULL) /* it has none */
            ldap_memfree(name);
        else
            add_values(e, name, list);
        name = ldap_next_attribute(ld, message, at);
    }
    ldap_memfree(name);
    ber_free(at, 0);
    return e->dn != NULL && e->attribute_count < ATTRIBUTES_MAX;
}

static enum sp_rc hand_on(const struct sp_roster_ldap *l, LDAPMessage *message, size_t index,
                          const struct sp_roster_question *q, struct sp_err *err)
{
    struct sp_roster_entry given;
    struct entry e;
    enum sp_rc rc;

    if (parse(l->ld, message, &e)) {
        given = (struct sp_roster_entry){sp_bytes_cstr(e.dn), e.values, e.count};
        rc = q->fn(q->arg, index, &given);
    } else {
        rc = sp_fail(err, SP_E_MALFORMED, "an entry can't be read");
    }
    clear(&e);
    return rc;
}

/* Waits for the next message of a question (LDAP_RES_ANY: of any). owner: the caller frees *out */
static enum sp_rc next(const struct sp_roster_ldap *l, int id, LDAPMessage **out,
                       struct sp_err *err)
{
    int64_t wait_ms = l->end_ms - now_ms();
    struct timeval limit;
    int kind;

    *out = NULL;
    if (wait_ms <= 0)
        return sp_fail(err, SP_E_TIMEOUT, "not done within the deadline");
    if (wait_ms > l->d->timeout_ms)
        wait_ms = l->d->timeout_ms;
    limit = (struct timeval){.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    allow(l, wait_ms + GRACE_MS);
    kind = ldap_result(l->ld, id, LDAP_MSG_ONE, &limit, out);
    if (kind > 0)
        return SP_OK;
    return fail(l, kind == 0 ? LDAP_TIMEOUT : last_code(l), "the directory does not answer", err);
}

/* returns: the code of a question's end; cookie: what to ask the next page with, empty at the last; NULL: not wanted */
static int end_of(const struct sp_roster_ldap *l, LDAPMessage *message, struct berval *cookie)
{
    LDAPControl **controls = NULL, *page;
    ber_int_t estimate;
    int code = LDAP_DECODING_ERROR;

    if (ldap_parse_result(l->ld, message, &code, NULL, NULL, NULL, &controls, 0) != LDAP_SUCCESS)
        return LDAP_DECODING_ERROR;
    page = cookie == NULL ? NULL : ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
    if (code == LDAP_SUCCESS && page != NULL)
        code = ldap_parse_pageresponse_control(l->ld, page, &estimate, cookie);
    ldap_controls_free(controls);
    return code;
}

/* A part of what is searched stands on another server, which is not asked (RFC 4511 4.5.3). */
static enum sp_rc take_reference(const struct sp_roster_ldap *l, LDAPMessage *message,
                                 const struct sp_roster_question *q, struct sp_err *err)
{
    char **urls = NULL;

    if (q->elsewhere != NULL) {
        ++*q->elsewhere;
        return SP_OK;
    }
    (void)ldap_parse_reference(l->ld, message, &urls, NULL, 0);
    (void)sp_fail(err, SP_E_UNSUPPORTED,
                  "a part of the directory stands on another server (referral to %.200s): ask one "
                  "that has all, search below another base, or set \"referrals\": \"ignore\"",
                  urls == NULL || urls[0] == NULL ? "nowhere" : urls[0]);
    ber_memvfree((void **)urls);
    return SP_E_UNSUPPORTED;
}

/* ---- single entries ---- */

struct batch {
    const struct sp_roster_question *q;
    int ids[SP_ROSTER_BATCH_MAX];
    size_t open;
};

static size_t index_of(const struct batch *b, int id)
{
    size_t i = 0;

    while (i < b->q->count && b->ids[i] != id)
        i++;
    return i;
}

static enum sp_rc ask_all(const struct sp_roster_ldap *l, struct batch *b, struct sp_err *err)
{
    for (size_t i = 0; i < b->q->count; i++) {
        int code =
            ldap_search_ext(l->ld, b->q->dns[i], LDAP_SCOPE_BASE, ANY, (char **)b->q->attributes, 0,
                            NULL, NULL, NULL, LDAP_NO_LIMIT, &b->ids[i]);

        if (code != LDAP_SUCCESS)
            return fail(l, code, "an entry can't be asked for", err);
        b->open++;
    }
    return SP_OK;
}

static enum sp_rc take(const struct sp_roster_ldap *l, LDAPMessage *message, struct batch *b,
                       struct sp_err *err)
{
    size_t index = index_of(b, ldap_msgid(message));
    int code;

    if (index == b->q->count)
        return SP_OK; /* nothing that was asked */
    if (ldap_msgtype(message) == LDAP_RES_SEARCH_ENTRY)
        return hand_on(l, message, index, b->q, err);
    if (ldap_msgtype(message) == LDAP_RES_SEARCH_REFERENCE)
        return take_reference(l, message, b->q, err);
    if (ldap_msgtype(message) != LDAP_RES_SEARCH_RESULT)
        return SP_OK;
    b->ids[index] = -1;
    b->open--;
    code = end_of(l, message, NULL);
    if (code == LDAP_REFERRAL)
        return sp_fail(err, SP_E_UNSUPPORTED,
                       "a member stands in another directory (referral): ask one that has all, "
                       "as Active Directory's global catalog");
    return code == LDAP_SUCCESS || code == LDAP_NO_SUCH_OBJECT
               ? SP_OK
               : fail(l, code, "an entry can't be read", err);
}

static enum sp_rc read_entries(const struct sp_roster_ldap *l, const struct sp_roster_question *q,
                               struct sp_err *err)
{
    struct batch b = {.q = q};
    enum sp_rc rc = ask_all(l, &b, err);

    while (rc == SP_OK && b.open > 0) {
        LDAPMessage *message;

        rc = next(l, LDAP_RES_ANY, &message, err);
        if (rc == SP_OK)
            rc = take(l, message, &b, err);
        (void)ldap_msgfree(message);
    }
    return rc;
}

/* ---- searches ---- */

/* cookie: of the page before; taken */
static enum sp_rc ask_page(const struct sp_roster_ldap *l, const struct sp_roster_question *q,
                           struct berval *cookie, int *id, struct sp_err *err)
{
    LDAPControl *controls[2] = {NULL};
    int code = ldap_create_page_control(l->ld, (ber_int_t)l->d->page, cookie, 0, &controls[0]);

    if (code == LDAP_SUCCESS)
        code = ldap_search_ext(l->ld, q->dns[0], LDAP_SCOPE_SUBTREE, q->filter,
                               (char **)q->attributes, 0, controls, NULL, NULL, LDAP_NO_LIMIT, id);
    ldap_control_free(controls[0]);
    ber_memfree(cookie->bv_val);
    *cookie = (struct berval){0};
    return code == LDAP_SUCCESS ? SP_OK : fail(l, code, "the search can't be asked", err);
}

/* One page (RFC 2696). cookie: in: of the page before; out: of this one */
static enum sp_rc search_page(const struct sp_roster_ldap *l, const struct sp_roster_question *q,
                              struct berval *cookie, struct sp_err *err)
{
    bool done = false;
    int code, id = -1;
    enum sp_rc rc = ask_page(l, q, cookie, &id, err);

    while (rc == SP_OK && !done) {
        LDAPMessage *message;

        rc = next(l, id, &message, err);
        if (rc == SP_OK && ldap_msgtype(message) == LDAP_RES_SEARCH_ENTRY) {
            rc = hand_on(l, message, 0, q, err);
        } else if (rc == SP_OK && ldap_msgtype(message) == LDAP_RES_SEARCH_REFERENCE) {
            rc = take_reference(l, message, q, err);
        } else if (rc == SP_OK && ldap_msgtype(message) == LDAP_RES_SEARCH_RESULT) {
            done = true;
            code = end_of(l, message, cookie);
            if (code != LDAP_SUCCESS)
                rc = fail(l, code, "the search did not come to its end", err);
        }
        (void)ldap_msgfree(message);
    }
    return rc;
}

static enum sp_rc ask(void *ctx, const struct sp_roster_question *q, struct sp_err *err)
{
    struct berval cookie = {0};
    enum sp_rc rc;

    if (q->filter == NULL)
        rc = read_entries(ctx, q, err);
    else
        do
            rc = search_page(ctx, q, &cookie, err);
        while (rc == SP_OK && cookie.bv_len > 0);
    ber_memfree(cookie.bv_val);
    allow(ctx, 0);
    return rc;
}

/* ---- life ---- */

enum sp_rc sp_roster_ldap_open(const struct sp_directory *d, const char *ca,
                               struct sp_bytes password, struct sp_roster_ldap **out,
                               struct sp_err *err)
{
    struct sp_roster_ldap *l = sp_calloc(1, sizeof(*l));
    enum sp_rc rc = SP_E_IO;

    (void)setenv("LDAPNOINIT", "1", 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    *l = (struct sp_roster_ldap){.d = d, .end_ms = now_ms() + d->deadline_ms};
    l->watch = (struct ldap_conncb){.lc_add = on_connected, .lc_del = on_closed, .lc_arg = l};
    l->source = (struct sp_roster_source){.ctx = l, .ask = ask};
    for (size_t i = 0; i < d->servers.count && rc != SP_OK && rc != SP_E_DENIED; i++)
        rc = connect_to(l, d->servers.items[i], ca, password, err);
    if (rc == SP_OK)
        *out = l;
    else
        sp_roster_ldap_close(l);
    return rc;
}

void sp_roster_ldap_close(struct sp_roster_ldap *l)
{
    if (l == NULL)
        return;
    disconnect(l);
    sp_free(l);
}

const struct sp_roster_source *sp_roster_ldap_source(const struct sp_roster_ldap *l)
{
    return &l->source;
}
