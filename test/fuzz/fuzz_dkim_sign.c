/*
 * Signing: the same fields however the message is cut, in lines of at most 998, with no bare CR or LF; and whatever was signed,
 * the library verifies. A message that SMTP can't carry (bare CR, bare LF, no line end at its end) is only signed.
 */
#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "crypt/hash.h"
#include "dkim/dkim.h"
#include "dkim/sign.h"
#include "mail/address.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct sp_pkey *key;
static char record[128];
static int64_t now_ms;

static void set_up(void)
{
    struct sp_buf text, base64;

    if (key != NULL)
        return;
    now_ms = (int64_t)time(NULL) * 1000;
    sp_assert(sp_pkey_new(SP_PKEY_ED25519, 0, &key) == SP_OK);
    sp_buf_init(&text, 64);
    sp_assert(sp_pkey_public(key, &text) == SP_OK);
    sp_buf_init(&base64, 64);
    sp_base64_encode(&base64, sp_buf_bytes(&text));
    snprintf(record, sizeof(record), "v=DKIM1; k=ed25519; p=%.*s", SP_FMT(sp_buf_bytes(&base64)));
    sp_buf_clear(&base64);
    sp_buf_clear(&text);
}

static enum sp_rc answer(void *ctx, const char *name, char *out, size_t len)
{
    (void)ctx;
    (void)name;
    snprintf(out, len, "%s", record);
    return SP_OK;
}

static enum sp_rc sign(struct sp_bytes message, size_t piece, struct sp_buf *out)
{
    struct sp_dkim_signer signer = {"a.example", "s", key};
    struct sp_dkim_sign *s = NULL;
    enum sp_rc rc = sp_dkim_sign_new(&signer, 1, now_ms, &s, NULL);

    for (size_t at = 0; rc == SP_OK && at < message.len; at += piece)
        rc = sp_dkim_sign_feed(s, sp_bytes_slice(message, at, piece), NULL);
    if (rc == SP_OK)
        rc = sp_dkim_sign_finish(s, out, NULL);
    sp_dkim_sign_free(s);
    return rc;
}

static bool is_mail(struct sp_bytes m)
{
    for (size_t i = 0; i < m.len; i++) {
        if (m.ptr[i] == 0 || (m.ptr[i] == '\r' && (i + 1 == m.len || m.ptr[i + 1] != '\n')) ||
            (m.ptr[i] == '\n' && (i == 0 || m.ptr[i - 1] != '\r')))
            return false;
    }
    return m.len > 2 && m.ptr[m.len - 1] == '\n';
}

/* A semicolon in the name, or a tab between it and its colon: the library knows neither. */
static bool has_odd_name(const struct sp_header *h)
{
    struct sp_field f;

    for (size_t at = 0; sp_header_next(h, &at, &f);) {
        struct sp_bytes front =
            sp_bytes_slice(f.raw, 0, sp_bytes_find(f.raw, ':')); /* all of it, if there is none */

        if (sp_bytes_find(front, ';') != SIZE_MAX || sp_bytes_find(front, '\t') != SIZE_MAX)
            return true;
    }
    return false;
}

/* The library refuses a message without exactly one From, and one whose From it can't read as a mailbox. In a header it takes
 * VT and FF for white space, which they are not (RFC 6376 section 2.8). */
static bool is_verifiable(struct sp_bytes message)
{
    struct sp_address a;
    struct sp_header h;
    struct sp_field f;

    return sp_header_parse(message, true, &h) == SP_OK && h.has_blank && h.count < 100 &&
           sp_bytes_find(sp_bytes_slice(message, 0, h.body_at), '\v') == SIZE_MAX &&
           sp_bytes_find(sp_bytes_slice(message, 0, h.body_at), '\f') == SIZE_MAX &&
           !has_odd_name(&h) && sp_header_count(&h, SP_LIT("from")) == 1 &&
           sp_header_count(&h, SP_LIT("dkim-signature")) == 0 &&
           sp_header_find(&h, SP_LIT("from"), 0, &f) && f.value.len < 200 &&
           sp_bytes_find(f.value, '(') == SIZE_MAX &&
           sp_address_parse(sp_bytes_trim(f.value), &a) == SP_OK;
}

static void check_lines(struct sp_bytes field)
{
    size_t start = 0;

    sp_assert(is_mail(field));
    for (size_t i = 0; i < field.len; i++) {
        if (field.ptr[i] != '\n')
            continue;
        sp_assert(i - start <= 999);
        start = i + 1;
    }
}

static void check_verifies(struct sp_bytes field, struct sp_bytes message)
{
    struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
    struct sp_dkim *dkim = NULL;
    struct sp_dkim_run *run = NULL;
    size_t count = 0;

    sp_assert(sp_dkim_new(&dkim, NULL) == SP_OK);
    sp_assert(sp_dkim_verify_new(dkim, answer, NULL, &run, NULL) == SP_OK);
    sp_assert(sp_dkim_run_feed(run, field, NULL) == SP_OK);
    sp_assert(sp_dkim_run_feed(run, message, NULL) == SP_OK);
    sp_assert(sp_dkim_verify_finish(run, results, &count, NULL) == SP_OK);
    sp_assert(count > 0 && results[0].valid && results[0].whole);
    sp_dkim_run_free(run);
    sp_dkim_free(dkim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes message = sp_bytes(data, len);
    struct sp_buf a, b;
    enum sp_rc rc;

    set_up();
    sp_buf_init(&a, 1U << 20);
    sp_buf_init(&b, 1U << 20);
    rc = sign(message, len + 1, &a);
    sp_assert(rc == sign(message, 1 + len % 7, &b));
    if (rc == SP_OK) {
        sp_assert(sp_bytes_eq(sp_buf_bytes(&a), sp_buf_bytes(&b)));
        check_lines(sp_buf_bytes(&a));
        if (is_mail(message) && is_verifiable(message))
            check_verifies(sp_buf_bytes(&a), message);
    }
    sp_buf_clear(&a);
    sp_buf_clear(&b);
    return 0;
}
