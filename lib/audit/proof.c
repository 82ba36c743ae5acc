/*
 * Checking a proof. Each record must be a line of a ledger, be about the message, and lead by its path to the root that
 * the checkpoint names; the checkpoint must be signed. Then what the records say of one another must be there:
 * message.settled names the line of acceptance and one line for each recipient, so a proof from which one was left out
 * is incomplete, not proved.
 */
#include "audit/proof.h"

#include <stdarg.h>
#include <stdio.h>

#define FORMAT "sallyport-audit-proof"

struct check {
    const struct sp_json *root;
    const struct sp_json *checkpoint;
    struct sp_audit_statement said;
    struct sp_audit_proof_report *out;
    uint64_t *seqs; /* of the records, as they stand there */
    size_t count;
    bool accepted;
    struct sp_json_doc *settled; /* the line of message.settled, if there is one */
};

static bool SP_PRINTF(3, 4)
    judge(struct check *c, enum sp_audit_verdict verdict, const char *fmt, ...)
{
    va_list args;

    c->out->report.verdict = verdict;
    va_start(args, fmt);
    (void)vsnprintf(c->out->report.why, sizeof(c->out->report.why), fmt, args);
    va_end(args);
    return false;
}

bool sp_audit_proof_is(struct sp_bytes text)
{
    struct sp_bytes begin = sp_bytes_slice(text, 0, 128);

    return sp_bytes_find_all(begin, SP_LIT("\"" FORMAT "\"")) != SIZE_MAX;
}

static bool check_checkpoint(struct check *c, const struct sp_audit_ring *trusted)
{
    struct sp_audit_report *report = &c->out->report;
    struct sp_audit_ring own = {0};
    struct sp_audit_public key;
    struct sp_err err = {0};
    struct sp_bytes id = sp_json_text_of(c->checkpoint, "key");
    enum sp_rc rc;

    report->key_from_file = trusted == NULL || trusted->count == 0;
    if (report->key_from_file && sp_audit_public_get(sp_json_find(c->root, "key"), &key) &&
        sp_audit_ring_add(&own, &key))
        trusted = &own;
    if (!sp_bytes_eq(sp_json_text_of(c->checkpoint, "event"), SP_LIT("audit.checkpoint")) ||
        !sp_audit_statement_get(c->checkpoint, &c->said))
        return judge(c, SP_AUDIT_WAS_ALTERED, "what stands as checkpoint is none");
    rc = sp_audit_checkpoint_signature(c->checkpoint, trusted == NULL ? &own : trusted, &err);
    if (rc == SP_E_AUDIT_KEY)
        return judge(c, SP_AUDIT_KEY_IS_UNKNOWN, "%s", err.text);
    if (rc != SP_OK)
        return judge(c, SP_AUDIT_WAS_ALTERED, "checkpoint: %s", err.text);
    memcpy(report->key, id.ptr, id.len);
    report->key[id.len] = 0;
    report->checkpoints = 1;
    c->out->tree_size = c->said.tree_size;
    return true;
}

static bool read_path(const struct sp_json *list, struct sp_merkle_path *path)
{
    path->count = 0;
    if (list == NULL || list->type != SP_JSON_ARRAY || list->count > SP_MERKLE_DEPTH_MAX)
        return false;
    for (const struct sp_json *item = list->first; item != NULL; item = item->next) {
        if (item->type != SP_JSON_TEXT || !sp_digest_parse(item->text, &path->node[path->count++]))
            return false;
    }
    return true;
}

static bool check_inclusion(struct check *c, const struct sp_json *entry, struct sp_bytes text,
                            const struct sp_audit_line *line)
{
    struct sp_digest leaf = sp_merkle_leaf(text);
    struct sp_merkle_path path;
    struct sp_digest root;
    unsigned long long seq = (unsigned long long)line->seq;

    if (!line->has_message || !sp_id_eq(&line->message, &c->out->message))
        return judge(c, SP_AUDIT_WAS_ALTERED, "record %llu is of another message", seq);
    if (c->count > 0 && c->seqs[c->count - 1] >= line->seq)
        return judge(c, SP_AUDIT_WAS_ALTERED, "record %llu is out of order", seq);
    if (line->seq < c->said.first_seq || !read_path(sp_json_find(entry, "path"), &path) ||
        !sp_merkle_path_root(&path, &leaf, line->seq - c->said.first_seq, c->said.tree_size,
                             &root) ||
        !sp_digest_eq(&root, &c->said.root))
        return judge(
            c, SP_AUDIT_WAS_ALTERED,
            "record %llu does not lead to the checkpoint: it was changed, or never stood there",
            seq);
    return true;
}

static void note_record(struct check *c, struct sp_audit_line *line)
{
    struct sp_audit_report *report = &c->out->report;

    if (c->count == 0) {
        report->first_seq = line->seq;
        report->first_ms = line->time_ms;
    }
    report->last_seq = line->seq;
    report->last_ms = line->time_ms;
    c->seqs[c->count++] = line->seq;
    if (strcmp(line->event->name, "message.accepted") == 0)
        c->accepted = true;
    if (strcmp(line->event->name, "message.settled") == 0 && c->settled == NULL)
        c->settled = SP_STEAL(line->doc);
}

static bool check_record(struct check *c, const struct sp_json *entry)
{
    const struct sp_json *record = sp_json_find(entry, "record");
    struct sp_audit_line line = {0};
    struct sp_err err = {0};
    struct sp_buf text;
    bool ok = false;

    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    if (record == NULL || sp_json_canonical(record, &text) != SP_OK)
        judge(c, SP_AUDIT_WAS_ALTERED, "an entry without its record");
    else if (sp_audit_line_parse(sp_buf_bytes(&text), &line, &err) != SP_OK)
        judge(c, SP_AUDIT_WAS_ALTERED, "a record is no line of a ledger: %s", err.text);
    else
        ok = check_inclusion(c, entry, sp_buf_bytes(&text), &line);
    if (ok)
        note_record(c, &line);
    sp_audit_line_clear(&line);
    sp_buf_clear(&text);
    return ok;
}

static bool has_seq(const struct check *c, int64_t seq)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->seqs[i] == (uint64_t)seq)
            return true;
    }
    return false;
}

/* What message.settled cites must be in the file. */
static bool check_cited(struct check *c)
{
    const struct sp_json *settled = c->settled == NULL ? NULL : sp_json_root(c->settled);
    const struct sp_json *recipients = sp_json_find(settled, "recipients");
    int64_t accepted = sp_json_int_of(settled, "accepted_seq", 0);

    c->out->settled = settled != NULL;
    if (!c->accepted)
        return judge(c, SP_AUDIT_IS_INCOMPLETE, "the record of acceptance is missing");
    if (settled == NULL)
        return true;
    if (!has_seq(c, accepted))
        return judge(c, SP_AUDIT_IS_INCOMPLETE, "record %lld (acceptance) is missing",
                     (long long)accepted);
    for (const struct sp_json *r = recipients == NULL ? NULL : recipients->first; r != NULL;
         r = r->next) {
        int64_t seq = sp_json_int_of(r, "seq", 0);

        if (!has_seq(c, seq))
            return judge(c, SP_AUDIT_IS_INCOMPLETE, "record %lld (recipient %lld) is missing",
                         (long long)seq, (long long)sp_json_int_of(r, "n", -1));
    }
    return true;
}

static bool check_records(struct check *c)
{
    const struct sp_json *records = sp_json_find(c->root, "records");

    if (records == NULL || records->type != SP_JSON_ARRAY || records->count == 0)
        return judge(c, SP_AUDIT_IS_INCOMPLETE, "there is no record in it");
    if (records->count > SP_AUDIT_PROOF_RECORDS_MAX)
        return judge(c, SP_AUDIT_WAS_ALTERED, "more records than a proof may hold");
    c->seqs = sp_calloc(records->count, sizeof(*c->seqs));
    for (const struct sp_json *entry = records->first; entry != NULL; entry = entry->next) {
        if (!check_record(c, entry))
            return false;
        c->out->report.records++;
    }
    return check_cited(c);
}

void sp_audit_proof_check(struct sp_bytes text, const struct sp_audit_ring *trusted,
                          struct sp_audit_proof_report *out)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct check c = {.out = out};
    struct sp_err err = {0};

    memset(out, 0, sizeof(*out));
    if (text.len > SP_AUDIT_PROOF_MAX || sp_json_parse(text, NULL, &doc, &err) != SP_OK) {
        judge(&c, SP_AUDIT_WAS_ALTERED, "no proof file: %s", err.text);
        return;
    }
    c.root = sp_json_root(doc);
    c.checkpoint = sp_json_find(c.root, "checkpoint");
    if (!sp_bytes_eq(sp_json_text_of(c.root, "format"), SP_LIT(FORMAT)) ||
        sp_json_int_of(c.root, "v", 0) != SP_AUDIT_SCHEMA ||
        !sp_id_parse(sp_json_text_of(c.root, "message"), &out->message))
        judge(&c, SP_AUDIT_WAS_ALTERED, "no proof file");
    else if (check_checkpoint(&c, trusted))
        (void)check_records(&c);
    sp_json_doc_free(c.settled);
    sp_free(c.seqs);
}
