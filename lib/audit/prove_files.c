/*
 * A proof needs the lines from the file that holds its first record on; what the older ones come to is said by the first
 * line of that file. The writer may rotate while we read: then a file begins with another line than is due, and we begin
 * anew with the names as they are then.
 */
#include "audit/proof.h"
#include "audit/series.h"

#define BLOCK_LEN 65536
#define TRIES     5

struct pass {
    struct sp_audit_prover *prover;
    bool begun;
    uint64_t next; /* seq that the next file must begin with, once begun */
    bool moved;    /* a file begins elsewhere: the names have changed */
    bool done;     /* no more lines are needed */
    bool lost;     /* a record lies before what is here */
    struct sp_buf line;
};

static bool begin_file(struct pass *p, struct sp_bytes text)
{
    struct sp_audit_line line;
    struct sp_audit_state state;
    bool ok = false;

    if (sp_audit_line_parse(text, &line, NULL) != SP_OK)
        return false;
    if (p->begun) {
        p->moved = line.seq != p->next;
        ok = !p->moved;
    } else if (line.seq == 1) {
        ok = true;
    } else if (sp_audit_continued_get(&line, &state)) {
        ok = sp_audit_prover_seed(p->prover, &state);
        p->lost = !ok;
    }
    p->next = line.seq;
    p->begun = true;
    sp_audit_line_clear(&line);
    return ok;
}

static bool take(struct pass *p, struct sp_bytes text, bool *first)
{
    if (*first && !begin_file(p, text))
        return false;
    *first = false;
    p->next++;
    p->done = !sp_audit_prover_add(p->prover, text);
    return !p->done;
}

/* returns: whether more lines are wanted */
static bool feed(struct pass *p, struct sp_bytes data, bool *first)
{
    size_t end;

    while ((end = sp_bytes_find(data, '\n')) != SIZE_MAX) {
        struct sp_bytes part = sp_bytes_slice(data, 0, end);
        bool more;

        if (p->line.len > 0)
            sp_buf_put(&p->line, part);
        more = sp_buf_rc(&p->line) == SP_OK &&
               take(p, p->line.len > 0 ? sp_buf_bytes(&p->line) : part, first);
        sp_buf_reset(&p->line);
        if (!more)
            return false;
        data = sp_bytes_slice(data, end + 1, SIZE_MAX);
    }
    sp_buf_put(&p->line, data);
    return sp_buf_rc(&p->line) == SP_OK;
}

static enum sp_rc pass_file(struct pass *p, const char *path, struct sp_err *err)
{
    SP_AUTO(sp_audit_source) source = NULL;
    uint8_t *block;
    bool first = true, more = true;
    enum sp_rc rc = sp_audit_source_open(path, &source, err);
    int n = 1;

    if (rc == SP_E_NOT_FOUND)
        p->moved = true;
    if (rc != SP_OK)
        return rc;
    block = sp_malloc(BLOCK_LEN);
    sp_buf_reset(&p->line);
    while (more && n > 0) {
        n = sp_audit_source_read(source, block, BLOCK_LEN);
        more = n <= 0 || feed(p, sp_bytes(block, (size_t)n), &first);
    }
    sp_free(block);
    if (n < 0)
        return sp_fail(err, SP_E_IO, "%s: can't be read", path);
    return SP_OK;
}

/* The oldest file that is needed. */
static size_t start_of(const struct sp_audit_series *s, uint64_t first_seq)
{
    size_t start = 0;

    for (size_t i = 0; i < sp_audit_series_count(s); i++) {
        uint64_t number = sp_audit_series_first(s, i);

        if (number != 0 && number <= first_seq)
            start = i;
    }
    return start;
}

static enum sp_rc try_once(const struct sp_audit_proof_ask *ask, const char *path, bool *moved,
                           struct sp_buf *out, struct sp_err *err)
{
    SP_AUTO(sp_audit_series) series = NULL;
    SP_AUTO(sp_audit_prover) prover = sp_audit_prover_new(ask);
    struct pass p = {.prover = prover};
    enum sp_rc rc = sp_audit_series_list(path, &series, err);

    sp_buf_init(&p.line, SP_AUDIT_LINE_MAX + BLOCK_LEN);
    if (rc == SP_OK)
        for (size_t i = start_of(series, ask->seqs[0]);
             rc == SP_OK && !p.done && !p.moved && !p.lost && i < sp_audit_series_count(series);
             i++)
            rc = pass_file(&p, sp_audit_series_path(series, i), err);
    sp_buf_clear(&p.line);
    *moved = p.moved;
    if (rc == SP_OK && p.lost)
        rc = sp_fail(err, SP_E_AUDIT_INCOMPLETE,
                     "records of the message are in older audit files that are not here");
    return rc == SP_OK ? sp_audit_prover_finish(prover, out, err) : rc;
}

enum sp_rc sp_audit_prove_files(const struct sp_audit_proof_ask *ask, const char *path,
                                struct sp_buf *out, struct sp_err *err)
{
    enum sp_rc rc = SP_E_AUDIT_INCOMPLETE;
    bool moved = true;

    for (int i = 0; i < TRIES && moved && rc != SP_OK; i++) {
        sp_buf_reset(out);
        rc = try_once(ask, path, &moved, out, err);
    }
    return rc;
}
