/*
 * Checkpoint and head. Both are made from the same running state that a verifier builds while it reads, so making and
 * checking can't drift apart. A checkpoint covers the lines before it, not itself; its own line is covered by the next.
 */
#include "audit/checkpoint.h"

#define CHECKPOINT_PURPOSE "sallyport audit.checkpoint 1"
#define HEAD_PURPOSE       "sallyport audit.head 1"
#define HEAD_FORMAT        "sallyport-audit-head"

void sp_audit_state_init(struct sp_audit_state *state)
{
    memset(state, 0, sizeof(*state));
    state->first_seq = 1;
}

void sp_audit_state_add(struct sp_audit_state *state, struct sp_bytes line)
{
    struct sp_digest leaf = sp_merkle_leaf(line);

    sp_merkle_add(&state->tree, &leaf);
    state->head = sp_audit_line_digest(line);
    state->last_seq = state->last_seq == 0 ? state->first_seq : state->last_seq + 1;
}

static void set_digest(struct sp_json_doc *doc, const char *member, const struct sp_digest *d)
{
    struct sp_buf text;

    sp_buf_init(&text, (size_t)2 * SP_SHA256_LEN);
    sp_digest_format(d, &text);
    sp_json_set_text(doc, sp_json_root(doc), member, sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

static void set_statement(struct sp_json_doc *doc, const struct sp_audit_state *state)
{
    const struct sp_json *root = sp_json_root(doc);
    struct sp_digest tree_root = sp_merkle_root(&state->tree);

    sp_json_set_int(doc, root, "tree_size", (int64_t)state->tree.size);
    sp_json_set_int(doc, root, "first_seq", (int64_t)state->first_seq);
    set_digest(doc, "root", &tree_root);
    set_digest(doc, "head", &state->head);
}

static void set_clock(struct sp_json_doc *doc, const struct sp_audit_clock *clock)
{
    const struct sp_json *value = sp_json_set_object(doc, sp_json_root(doc), "clock");

    sp_json_set_text(doc, value, "source", SP_LIT("system"));
    sp_json_set_bool(doc, value, "synced", clock->synced);
    sp_json_set_int(doc, value, "offset_ms", clock->offset_ms);
}

enum sp_rc sp_audit_checkpoint_make(const struct sp_audit_state *state,
                                    const struct sp_audit_signer *signer,
                                    const struct sp_audit_clock *clock, int64_t time_ms,
                                    struct sp_buf *out, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) event = sp_json_doc_new();
    SP_AUTO(sp_json_doc) line = NULL;
    struct sp_audit_stamp stamp = {
        .node = signer->node, .seq = state->last_seq + 1, .prev = state->head, .time_ms = time_ms};
    struct sp_buf text;
    enum sp_rc rc;

    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    sp_json_set_text(event, sp_json_root(event), "event", SP_LIT("audit.checkpoint"));
    set_statement(event, state);
    set_clock(event, clock);
    rc = sp_json_canonical(sp_json_root(event), &text);
    if (rc == SP_OK) {
        struct sp_buf stamped;

        sp_buf_init(&stamped, SP_AUDIT_LINE_MAX);
        rc = sp_audit_line_make(sp_buf_bytes(&text), &stamp, &stamped, err);
        if (rc == SP_OK)
            rc = sp_json_parse(sp_buf_bytes(&stamped), NULL, &line, err);
        sp_buf_clear(&stamped);
    }
    sp_buf_clear(&text);
    if (rc == SP_OK)
        rc = sp_audit_sign(line, CHECKPOINT_PURPOSE, &signer->secret, &signer->key);
    return rc == SP_OK ? sp_json_canonical(sp_json_root(line), out) : rc;
}

bool sp_audit_statement_get(const struct sp_json *object, struct sp_audit_statement *out)
{
    int64_t size = sp_json_int_of(object, "tree_size", -1);
    int64_t first = sp_json_int_of(object, "first_seq", 0);

    if (size < 0 || first < 1)
        return false;
    out->tree_size = (uint64_t)size;
    out->first_seq = (uint64_t)first;
    return sp_digest_parse(sp_json_text_of(object, "root"), &out->root) &&
           sp_digest_parse(sp_json_text_of(object, "head"), &out->head);
}

enum sp_rc sp_audit_checkpoint_signature(const struct sp_json *object,
                                         const struct sp_audit_ring *ring, struct sp_err *err)
{
    return sp_audit_signature_check(object, CHECKPOINT_PURPOSE, ring, err);
}

enum sp_rc sp_audit_checkpoint_check(const struct sp_audit_line *line,
                                     const struct sp_audit_state *before,
                                     const struct sp_audit_ring *ring, struct sp_err *err)
{
    struct sp_audit_statement said;
    struct sp_digest root = sp_merkle_root(&before->tree);

    if (!sp_audit_statement_get(line->root, &said))
        return sp_fail(err, SP_E_AUDIT_ALTERED, "the checkpoint says nothing");
    if (said.tree_size != before->tree.size || said.first_seq != before->first_seq)
        return sp_fail(err, SP_E_AUDIT_ALTERED, "the checkpoint is over %llu lines, here are %llu",
                       (unsigned long long)said.tree_size, (unsigned long long)before->tree.size);
    if (!sp_digest_eq(&said.root, &root) || !sp_digest_eq(&said.head, &before->head))
        return sp_fail(err, SP_E_AUDIT_ALTERED, "the checkpoint is over other lines than these");
    return sp_audit_checkpoint_signature(line->root, ring, err);
}

enum sp_rc sp_audit_head_make(const struct sp_audit_state *state,
                              const struct sp_audit_signer *signer, int64_t time_ms,
                              struct sp_buf *out)
{
    SP_AUTO(sp_json_doc) doc = sp_json_doc_new();
    const struct sp_json *root = sp_json_root(doc);
    char time[SP_TIME_TEXT_MAX];
    enum sp_rc rc;

    sp_time_format_rfc3339(time_ms, time);
    sp_json_set_text(doc, root, "format", SP_LIT(HEAD_FORMAT));
    sp_json_set_int(doc, root, "v", SP_AUDIT_SCHEMA);
    sp_json_set_text(doc, root, "node", sp_bytes_cstr(signer->node));
    sp_json_set_text(doc, root, "time", sp_bytes_cstr(time));
    set_statement(doc, state);
    rc = sp_audit_sign(doc, HEAD_PURPOSE, &signer->secret, &signer->key);
    if (rc == SP_OK)
        rc = sp_json_canonical(root, out);
    if (rc == SP_OK)
        sp_buf_put_u8(out, '\n');
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}

enum sp_rc sp_audit_head_parse(struct sp_bytes text, const struct sp_audit_ring *ring,
                               struct sp_audit_statement *out, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_audit_statement said;
    struct sp_err detail;
    const struct sp_json *root;

    if (sp_json_parse(text, NULL, &doc, &detail) != SP_OK)
        return sp_fail(err, SP_E_AUDIT_ALTERED, "the head file is no JSON");
    root = sp_json_root(doc);
    if (!sp_bytes_eq(sp_json_text_of(root, "format"), SP_LIT(HEAD_FORMAT)) ||
        !sp_audit_statement_get(root, &said))
        return sp_fail(err, SP_E_AUDIT_ALTERED, "the head file says nothing");
    *out = said;
    return sp_audit_signature_check(root, HEAD_PURPOSE, ring, err);
}
