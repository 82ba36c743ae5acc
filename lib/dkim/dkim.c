/*
 * Verifying by libopendkim, fed in pieces cut anywhere. The library wants fields one by one, so the header is gathered (within
 * mail's limit) and split by mail's splitter; the body goes through as it comes. It would do blocking DNS of its own for
 * keys: its key look-up is always ours, and a run without one answers "no key".
 */
#include "dkim/dkim.h"

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

#include <dkim.h>

#define MIN_KEY_BITS 1024U /* RFC 8301 3.2: verifiers take 1024 */
#define NAME_MAX_LEN 256

struct sp_dkim {
    DKIM_LIB *lib;
};

struct sp_dkim_run {
    DKIM *dkim;
    sp_dkim_lookup_fn lookup;
    void *ctx;
    struct sp_buf header; /* until its end has come */
    size_t searched;
    bool in_body;
    const DKIM_SIGINFO *unknown[SP_DKIM_RESULTS_MAX]; /* whose key can't be had now */
    size_t unknown_count;
    bool over; /* there is nothing to check, the body does not matter */
};

static DKIM_CBSTAT look_up(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *buf, size_t len)
{
    struct sp_dkim_run *r = dkim_get_user_context(dkim);
    char name[2 * NAME_MAX_LEN + 16];
    int n = snprintf(name, sizeof(name), "%s._domainkey.%s", dkim_sig_getselector(sig),
                     dkim_sig_getdomain(sig));

    if (r == NULL || r->lookup == NULL || n < 0 || (size_t)n >= sizeof(name) || len == 0)
        return DKIM_CBSTAT_NOTFOUND;
    switch (r->lookup(r->ctx, name, (char *)buf, len)) {
    case SP_OK:
        return DKIM_CBSTAT_CONTINUE;
    case SP_E_DNS_NONE:
    case SP_E_DNS_NXDOMAIN:
        return DKIM_CBSTAT_NOTFOUND;
    default:
        if (r->unknown_count < SP_DKIM_RESULTS_MAX)
            r->unknown[r->unknown_count++] = sig;
        return DKIM_CBSTAT_TRYAGAIN;
    }
}

static bool set(struct sp_dkim *d, dkim_opts_t option, const void *value, size_t len)
{
    /* the library reads the value but takes it as writable */
    return dkim_options(d->lib, DKIM_OP_SETOPT, option, (void *)value, len) == DKIM_STAT_OK;
}

enum sp_rc sp_dkim_new(struct sp_dkim **out, struct sp_err *err)
{
    static const unsigned bits = MIN_KEY_BITS;
    /* else a key that can't be had ends the run at the end of the header */
    static const unsigned flags = DKIM_LIBFLAGS_DELAYSIGPROC;
    SP_AUTO(sp_dkim) d = sp_calloc(1, sizeof(*d));

    d->lib = dkim_init(NULL, NULL);
    if (d->lib == NULL)
        return sp_fail(err, SP_E_DKIM_FAILED, "libopendkim does not start");
    if (!set(d, DKIM_OPTS_FLAGS, &flags, sizeof(flags)) ||
        !set(d, DKIM_OPTS_MINKEYBITS, &bits, sizeof(bits)) ||
        dkim_set_key_lookup(d->lib, look_up) != DKIM_STAT_OK)
        return sp_fail(err, SP_E_DKIM_FAILED, "libopendkim refuses its settings");
    *out = SP_STEAL(d);
    return SP_OK;
}

void sp_dkim_free(struct sp_dkim *d)
{
    if (d == NULL)
        return;
    if (d->lib != NULL)
        dkim_close(d->lib);
    sp_free(d);
}

static struct sp_dkim_run *run_new(void)
{
    struct sp_dkim_run *r = sp_calloc(1, sizeof(*r));

    sp_buf_init(&r->header, SP_HEADER_MAX);
    return r;
}

void sp_dkim_run_free(struct sp_dkim_run *r)
{
    if (r == NULL)
        return;
    if (r->dkim != NULL)
        dkim_free(r->dkim);
    sp_buf_wipe(&r->header);
    sp_free(r);
}

enum sp_rc sp_dkim_verify_new(struct sp_dkim *d, sp_dkim_lookup_fn lookup, void *ctx,
                              struct sp_dkim_run **out, struct sp_err *err)
{
    SP_AUTO(sp_dkim_run) r = run_new();
    DKIM_STAT status = DKIM_STAT_OK;

    r->lookup = lookup;
    r->ctx = ctx;
    r->dkim = dkim_verify(d->lib, (const unsigned char *)"verify", NULL, &status);
    if (r->dkim == NULL || dkim_set_user_context(r->dkim, r) != DKIM_STAT_OK)
        return sp_fail(err, SP_E_DKIM_FAILED, "can't begin to verify (%d)", (int)status);
    *out = SP_STEAL(r);
    return SP_OK;
}

static enum sp_rc fail(struct sp_dkim_run *r, DKIM_STAT status, struct sp_err *err)
{
    const char *text = dkim_geterror(r->dkim);

    return sp_fail(err, SP_E_DKIM_FAILED, "DKIM: %s (%d)", text == NULL ? "failed" : text,
                   (int)status);
}

static enum sp_rc feed_body(struct sp_dkim_run *r, struct sp_bytes data, struct sp_err *err)
{
    DKIM_STAT status;

    if (data.len == 0 || r->over)
        return SP_OK;
    status = dkim_body(r->dkim, (unsigned char *)data.ptr, data.len);
    return status == DKIM_STAT_OK ? SP_OK : fail(r, status, err);
}

bool sp_dkim_tag_find(const struct sp_field *f, char name, struct sp_bytes *out)
{
    struct sp_bytes rest = f->value, part;

    while (sp_bytes_split(&rest, ';', &part)) {
        size_t equals = sp_bytes_find(part, '=');
        struct sp_bytes said = sp_bytes_trim(sp_bytes_slice(part, 0, equals));

        if (equals == SIZE_MAX || said.len != 1 || said.ptr[0] != (uint8_t)name)
            continue;
        *out = sp_bytes_trim(sp_bytes_slice(part, equals + 1, SIZE_MAX));
        return true;
    }
    return false;
}

bool sp_dkim_is_looked_at(const struct sp_field *f)
{
    return f->raw.len <= SP_DKIM_FIELD_MAX;
}

/* A signature too many goes by unseen. A signature that covers it fails, then, and its message is not proved. */
static bool is_left_out(const struct sp_field *f, size_t *signatures)
{
    if (!sp_field_is(f, SP_LIT("DKIM-Signature")))
        return false;
    return !sp_dkim_is_looked_at(f) || ++*signatures > SP_DKIM_RESULTS_MAX;
}

/* Fields one by one, then what followed the header in the same bytes. A message without a signature is no failure. */
static enum sp_rc feed_header(struct sp_dkim_run *r, bool whole, struct sp_err *err)
{
    struct sp_bytes start = sp_buf_bytes(&r->header);
    DKIM_STAT status = DKIM_STAT_OK;
    size_t signatures = 0;
    struct sp_header h;
    struct sp_field f;
    enum sp_rc rc = sp_header_parse(start, whole, &h);

    if (rc != SP_OK)
        return sp_fail(err, rc, "the header can't be split");
    r->in_body = true;
    for (size_t at = 0; status == DKIM_STAT_OK && sp_header_next(&h, &at, &f);) {
        size_t len = sp_bytes_ends_nocase(f.raw, SP_LIT("\r\n")) ? f.raw.len - 2 : f.raw.len;

        if (is_left_out(&f, &signatures))
            continue;
        status = dkim_header(r->dkim, (unsigned char *)f.raw.ptr, len);
    }
    if (status == DKIM_STAT_OK)
        status = dkim_eoh(r->dkim);
    r->over = status != DKIM_STAT_OK; /* no signature, or none that can be read */
    rc = feed_body(r, sp_bytes_slice(start, h.body_at, SIZE_MAX), err);
    sp_buf_wipe(&r->header);
    return rc;
}

enum sp_rc sp_dkim_run_feed(struct sp_dkim_run *r, struct sp_bytes data, struct sp_err *err)
{
    struct sp_bytes taken;
    size_t room = SP_HEADER_MAX - r->header.len;
    enum sp_rc rc;
    bool ends;

    if (r->in_body)
        return feed_body(r, data, err);
    taken = sp_bytes_slice(data, 0, room);
    sp_buf_put(&r->header, taken);
    ends = sp_bytes_find_all(sp_bytes_slice(sp_buf_bytes(&r->header), r->searched, SIZE_MAX),
                             SP_LIT("\r\n\r\n")) != SIZE_MAX ||
           (r->header.len >= 2 && r->header.ptr[0] == '\r' && r->header.ptr[1] == '\n');
    r->searched = r->header.len < 3 ? 0 : r->header.len - 3;
    if (!ends && r->header.len < SP_HEADER_MAX)
        return SP_OK;
    rc = feed_header(r, false, err);
    return rc == SP_OK ? feed_body(r, sp_bytes_slice(data, taken.len, SIZE_MAX), err) : rc;
}

static enum sp_rc finish(struct sp_dkim_run *r, DKIM_STAT *status, struct sp_err *err)
{
    enum sp_rc rc = r->in_body ? SP_OK : feed_header(r, true, err);

    if (rc == SP_OK && !r->over)
        *status = dkim_eom(r->dkim, NULL);
    return rc;
}

static bool is_unknown(const struct sp_dkim_run *r, const DKIM_SIGINFO *sig)
{
    for (size_t i = 0; i < r->unknown_count; i++)
        if (r->unknown[i] == sig)
            return true;
    return false;
}

static void describe(struct sp_dkim_run *r, DKIM_SIGINFO *sig, struct sp_dkim_result *out)
{
    const char *domain = (const char *)dkim_sig_getdomain(sig);
    ssize_t message = 0;
    ssize_t canonical = 0;
    ssize_t covered = 0;
    int error = dkim_sig_geterror(sig);

    snprintf(out->domain, sizeof(out->domain), "%s", domain == NULL ? "" : domain);
    out->valid = (dkim_sig_getflags(sig) & DKIM_SIGFLAG_PASSED) != 0 &&
                 dkim_sig_getbh(sig) == DKIM_SIGBH_MATCH;
    out->whole =
        dkim_sig_getcanonlen(r->dkim, sig, &message, &canonical, &covered) == DKIM_STAT_OK &&
        covered < 0;
    out->why = out->valid                     ? SP_OK
               : error == DKIM_SIGERROR_NOKEY ? SP_E_DNS_NONE
               : is_unknown(r, sig)           ? SP_E_DNS_TIMEOUT
                                              : SP_E_DKIM_FAILED;
}

enum sp_rc sp_dkim_verify_finish(struct sp_dkim_run *r, struct sp_dkim_result *results,
                                 size_t *count, struct sp_err *err)
{
    DKIM_STAT status = DKIM_STAT_OK;
    DKIM_SIGINFO **signatures = NULL;
    int found = 0;
    enum sp_rc rc = finish(r, &status, err);

    if (rc != SP_OK)
        return rc;
    *count = 0;
    if (dkim_getsiglist(r->dkim, &signatures, &found) != DKIM_STAT_OK)
        return SP_OK;
    for (int i = 0; i < found && *count < SP_DKIM_RESULTS_MAX; i++)
        describe(r, signatures[i], &results[(*count)++]);
    return SP_OK;
}
