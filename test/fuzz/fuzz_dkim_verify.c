/*
 * Verifying: the library over foreign headers, and over foreign key records. The input is a key record, a line end, and a message;
 * the results are the same however the message is cut, and nothing is valid whose key could not be had. Of a body with bare CR
 * or LF, which no message that was taken has, the library says one thing or another by where it was cut.
 */
#include <stdio.h>

#include "dkim/dkim.h"
#include "dkim/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct key {
    struct sp_bytes record;
    enum sp_rc rc;
};

static enum sp_rc answer(void *ctx, const char *name, char *out, size_t len)
{
    const struct key *k = ctx;

    (void)name;
    if (k->rc == SP_OK)
        snprintf(out, len, "%.*s", SP_FMT(k->record));
    return k->rc;
}

static size_t verify(struct key *k, struct sp_bytes message, size_t piece,
                     struct sp_dkim_result *results)
{
    struct sp_dkim *dkim = NULL;
    struct sp_dkim_run *run = NULL;
    enum sp_rc rc = SP_OK;
    size_t count = 0;

    sp_assert(sp_dkim_new(&dkim, NULL) == SP_OK);
    sp_assert(sp_dkim_verify_new(dkim, answer, k, &run, NULL) == SP_OK);
    for (size_t at = 0; rc == SP_OK && at < message.len; at += piece)
        rc = sp_dkim_run_feed(run, sp_bytes_slice(message, at, piece), NULL);
    if (rc == SP_OK)
        rc = sp_dkim_verify_finish(run, results, &count, NULL);
    sp_assert(count <= SP_DKIM_RESULTS_MAX);
    sp_dkim_run_free(run);
    sp_dkim_free(dkim);
    return rc == SP_OK ? count : 0;
}

static bool has_bare_line_end(struct sp_bytes m)
{
    for (size_t i = 0; i < m.len; i++) {
        if ((m.ptr[i] == '\r' && (i + 1 == m.len || m.ptr[i + 1] != '\n')) ||
            (m.ptr[i] == '\n' && (i == 0 || m.ptr[i - 1] != '\r')))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_dkim_result whole[SP_DKIM_RESULTS_MAX], cut[SP_DKIM_RESULTS_MAX];
    struct sp_bytes rest = sp_bytes(data, len);
    struct key key = {.rc = SP_OK};
    struct sp_dkim_record record;
    size_t count;

    sp_bytes_split(&rest, '\n', &key.record);
    if (sp_dkim_record_parse(key.record, &record) == SP_OK)
        sp_assert(record.key.len <= key.record.len);
    count = verify(&key, rest, len + 1, whole);
    sp_assert(count == verify(&key, rest, 1 + len % 11, cut));
    for (size_t i = 0; i < count && !has_bare_line_end(rest); i++)
        sp_assert(whole[i].valid == cut[i].valid && whole[i].whole == cut[i].whole &&
                  strcmp(whole[i].domain, cut[i].domain) == 0);
    key.rc = SP_E_DNS_SERVFAIL;
    count = verify(&key, rest, len + 1, whole);
    for (size_t i = 0; i < count; i++)
        sp_assert(!whole[i].valid);
    return 0;
}
