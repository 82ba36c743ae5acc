/*
 * Making a proof in one pass over the file: each record has its own prover, which needs a few hashes of memory, so the
 * length of the audit file does not matter. Records go in as the objects they are; a verifier gets their exact bytes
 * back from the canonical form.
 */
#include <stdlib.h>

#include "audit/proof.h"
#include "base/text.h"

struct wanted {
    uint64_t seq;
    struct sp_merkle_prover *path;
    char *line;
    size_t line_len;
};

struct sp_audit_prover {
    struct sp_id message;
    uint64_t checkpoint_seq;
    struct sp_audit_public key;
    uint64_t next; /* seq of the line that comes now */
    size_t count;
    size_t at; /* first of those wanted that has not come */
    struct wanted *wanted;
    char *checkpoint;
    size_t checkpoint_len;
};

struct sp_audit_prover *sp_audit_prover_new(const struct sp_audit_proof_ask *ask)
{
    struct sp_audit_prover *p = sp_calloc(1, sizeof(*p));

    p->message = ask->message;
    p->checkpoint_seq = ask->checkpoint_seq;
    p->key = ask->key;
    p->next = 1;
    p->wanted = sp_calloc(ask->seq_count, sizeof(*p->wanted));
    for (size_t i = 0; i < ask->seq_count; i++) {
        /* the checkpoint's own line is not in its tree */
        if (ask->seqs[i] < 1 || ask->seqs[i] >= ask->checkpoint_seq)
            continue;
        p->wanted[p->count].seq = ask->seqs[i];
        p->wanted[p->count].path = sp_merkle_prover_new(ask->seqs[i] - 1, ask->checkpoint_seq - 1);
        p->count++;
    }
    return p;
}

void sp_audit_prover_free(struct sp_audit_prover *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++) {
        sp_merkle_prover_free(p->wanted[i].path);
        sp_free(p->wanted[i].line);
    }
    sp_free(p->wanted);
    sp_free(p->checkpoint);
    sp_free(p);
}

bool sp_audit_prover_seed(struct sp_audit_prover *p, const struct sp_audit_state *state)
{
    bool ok = true;

    p->next = state->last_seq + 1;
    for (size_t i = 0; i < p->count; i++)
        ok = sp_merkle_prover_seed(p->wanted[i].path, &state->tree) && ok;
    return ok && p->checkpoint_seq > state->last_seq;
}

bool sp_audit_prover_add(struct sp_audit_prover *p, struct sp_bytes line)
{
    uint64_t seq = p->next++;
    struct sp_digest leaf;

    if (seq == p->checkpoint_seq) {
        p->checkpoint = sp_strdup_bytes(line);
        p->checkpoint_len = line.len;
    }
    if (seq >= p->checkpoint_seq)
        return false;
    if (p->at < p->count && p->wanted[p->at].seq == seq) {
        p->wanted[p->at].line = sp_strdup_bytes(line);
        p->wanted[p->at].line_len = line.len;
        p->at++;
    }
    leaf = sp_merkle_leaf(line);
    for (size_t i = 0; i < p->count; i++)
        sp_merkle_prover_add(p->wanted[i].path, &leaf);
    return true;
}

static enum sp_rc put_record(struct sp_jw *w, const struct wanted *record)
{
    struct sp_merkle_path path;
    struct sp_buf hex;
    enum sp_rc rc = sp_merkle_prover_path(record->path, &path);

    if (rc != SP_OK || record->line == NULL)
        return SP_E_AUDIT_INCOMPLETE;
    sp_buf_init(&hex, (size_t)2 * SP_SHA256_LEN);
    sp_jw_object(w, NULL);
    sp_jw_raw(w, "record", sp_bytes(record->line, record->line_len));
    sp_jw_array(w, "path");
    for (size_t i = 0; i < path.count; i++) {
        sp_buf_reset(&hex);
        sp_digest_format(&path.node[i], &hex);
        sp_jw_text(w, NULL, sp_buf_bytes(&hex));
    }
    sp_jw_end(w);
    sp_jw_end(w);
    sp_buf_clear(&hex);
    return SP_OK;
}

enum sp_rc sp_audit_prover_finish(const struct sp_audit_prover *p, struct sp_buf *out,
                                  struct sp_err *err)
{
    SP_AUTO(sp_json_doc) keys = sp_json_doc_new();
    struct sp_buf key;
    enum sp_rc rc;
    struct sp_jw w;

    if (p->checkpoint == NULL || p->at < p->count || p->count == 0)
        return sp_fail(err, SP_E_AUDIT_INCOMPLETE, "the audit file ends before the checkpoint");
    sp_buf_init(&key, SP_AUDIT_PROOF_MAX);
    sp_audit_public_set(keys, sp_json_root(keys), "key", &p->key);
    rc = sp_json_canonical(sp_json_find(sp_json_root(keys), "key"), &key);
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "format", "sallyport-audit-proof");
    sp_jw_int(&w, "v", SP_AUDIT_SCHEMA);
    sp_jw_id(&w, "message", p->message.b);
    sp_jw_raw(&w, "checkpoint", sp_bytes(p->checkpoint, p->checkpoint_len));
    sp_jw_raw(&w, "key", sp_buf_bytes(&key));
    sp_jw_array(&w, "records");
    for (size_t i = 0; i < p->count && rc == SP_OK; i++)
        rc = put_record(&w, &p->wanted[i]);
    sp_jw_end(&w);
    sp_jw_end(&w);
    sp_buf_put_u8(out, '\n');
    sp_buf_clear(&key);
    if (rc != SP_OK)
        return sp_fail(err, rc, "the audit file does not hold all records of the message");
    return sp_buf_rc(out);
}
