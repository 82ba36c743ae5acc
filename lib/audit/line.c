/*
 * Making and reading lines. The event's text comes from other processes of ours, but a line is evidence, so it is parsed
 * again and refused when it is no event of the list or claims what only the ledger may say. Reading is stricter still:
 * a line whose bytes differ from their own canonical form was not written by a ledger.
 */
#include "audit/line.h"

#include "base/text.h"

static const char *const stamped[] = {"v", "node", "seq", "prev", "time", "journal"};

void sp_digest_format(const struct sp_digest *d, struct sp_buf *out)
{
    sp_hex_encode(out, sp_bytes(d->b, sizeof(d->b)));
}

bool sp_digest_parse(struct sp_bytes text, struct sp_digest *out)
{
    struct sp_buf raw;
    bool ok;

    if (text.len != 2 * SP_SHA256_LEN)
        return false;
    sp_buf_init(&raw, SP_SHA256_LEN);
    ok = sp_hex_decode(&raw, text) && raw.len == SP_SHA256_LEN;
    if (ok)
        memcpy(out->b, raw.ptr, SP_SHA256_LEN);
    sp_buf_clear(&raw);
    return ok;
}

struct sp_digest sp_audit_line_digest(struct sp_bytes line)
{
    struct sp_digest d = {0};

    sp_crypt_sha256(line, d.b);
    return d;
}

static enum sp_rc check_event(const struct sp_json *root, const struct sp_audit_event **out,
                              struct sp_err *err)
{
    struct sp_bytes name = sp_json_text_of(root, "event");
    const struct sp_audit_event *event = sp_audit_event_find(name);
    struct sp_id id;

    if (root->type != SP_JSON_OBJECT)
        return sp_fail(err, SP_E_MALFORMED, "no object");
    if (event == NULL)
        return sp_fail(err, SP_E_MALFORMED, "no event of the list");
    if (event->of_message && !sp_id_parse(sp_json_text_of(root, "message"), &id))
        return sp_fail(err, SP_E_MALFORMED, "%s without its message", event->name);
    if (event->reason_needed &&
        (sp_json_find(root, "actor") == NULL || sp_json_text_of(root, "reason").len == 0))
        return sp_fail(err, SP_E_MALFORMED, "%s without actor and reason", event->name);
    *out = event;
    return SP_OK;
}

static void set_origin(struct sp_json_doc *doc, const struct sp_audit_origin *origin)
{
    const struct sp_json *place = sp_json_set_object(doc, sp_json_root(doc), "journal");

    sp_json_set_text(doc, place, "shard", sp_bytes_cstr(origin->shard));
    sp_json_set_int(doc, place, "segment", (int64_t)origin->segment);
    sp_json_set_int(doc, place, "record", (int64_t)origin->record);
    sp_json_set_int(doc, place, "part", origin->part);
}

static void stamp_it(struct sp_json_doc *doc, const struct sp_audit_stamp *stamp)
{
    const struct sp_json *root = sp_json_root(doc);
    char time[SP_TIME_TEXT_MAX];
    struct sp_buf prev;

    sp_buf_init(&prev, (size_t)2 * SP_SHA256_LEN);
    sp_digest_format(&stamp->prev, &prev);
    sp_time_format_rfc3339(stamp->time_ms, time);
    sp_json_set_int(doc, root, "v", SP_AUDIT_SCHEMA);
    sp_json_set_text(doc, root, "node", sp_bytes_cstr(stamp->node));
    sp_json_set_int(doc, root, "seq", (int64_t)stamp->seq);
    sp_json_set_text(doc, root, "prev", sp_buf_bytes(&prev));
    sp_json_set_text(doc, root, "time", sp_bytes_cstr(time));
    if (stamp->origin.shard != NULL)
        set_origin(doc, &stamp->origin);
    sp_buf_clear(&prev);
}

static enum sp_rc altered(struct sp_err *err, const char *why)
{
    return sp_fail(err, SP_E_AUDIT_ALTERED, "%s", why);
}

static enum sp_rc check_canonical(struct sp_bytes text, const struct sp_json *root,
                                  struct sp_err *err)
{
    struct sp_buf again;
    enum sp_rc rc;

    sp_buf_init(&again, text.len + 1);
    rc = sp_json_canonical(root, &again);
    if (rc != SP_OK || !sp_bytes_eq(sp_buf_bytes(&again), text))
        rc = altered(err, "not in the canonical form that the ledger writes");
    sp_buf_clear(&again);
    return rc;
}

static enum sp_rc read_stamp(struct sp_audit_line *line, struct sp_err *err)
{
    const struct sp_json *root = line->root;
    int64_t seq = sp_json_int_of(root, "seq", 0);

    if (sp_json_int_of(root, "v", 0) != SP_AUDIT_SCHEMA)
        return altered(err, "of another schema than 1");
    line->node = sp_json_text_of(root, "node");
    if (line->node.len == 0 || line->node.len > SP_AUDIT_NODE_MAX)
        return altered(err, "without its node");
    if (seq < 1)
        return altered(err, "without its seq");
    line->seq = (uint64_t)seq;
    if (!sp_digest_parse(sp_json_text_of(root, "prev"), &line->prev))
        return altered(err, "without its prev");
    if (!sp_time_parse_rfc3339(sp_json_text_of(root, "time"), &line->time_ms))
        return altered(err, "without its time");
    line->has_message = sp_id_parse(sp_json_text_of(root, "message"), &line->message);
    return SP_OK;
}

enum sp_rc sp_audit_line_build(struct sp_bytes event, const struct sp_audit_stamp *stamp,
                               struct sp_buf *out, struct sp_audit_line *made, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_audit_line line = {0};
    size_t before = out->len;
    enum sp_rc rc = sp_json_parse(event, NULL, &doc, err);

    if (rc == SP_E_JSON_SYNTAX)
        return SP_E_MALFORMED;
    if (rc != SP_OK)
        return rc;
    line.root = sp_json_root(doc);
    rc = check_event(line.root, &line.event, err);
    if (rc != SP_OK)
        return rc;
    for (size_t i = 0; i < SP_ARRAY_LEN(stamped); i++) {
        if (sp_json_find(line.root, stamped[i]) != NULL)
            return sp_fail(err, SP_E_MALFORMED, "%s: '%s' is the ledger's to say", line.event->name,
                           stamped[i]);
    }
    stamp_it(doc, stamp);
    rc = sp_json_canonical(line.root, out);
    if (rc == SP_OK && out->len - before > SP_AUDIT_LINE_MAX)
        rc = sp_fail(err, SP_E_LIMIT, "%s: a line of %zu bytes", line.event->name,
                     out->len - before);
    if (rc != SP_OK)
        return rc;
    line.node = sp_bytes_cstr(stamp->node);
    line.seq = stamp->seq;
    line.prev = stamp->prev;
    line.time_ms = stamp->time_ms;
    line.has_message = sp_id_parse(sp_json_text_of(line.root, "message"), &line.message);
    line.doc = SP_STEAL(doc);
    *made = line;
    return SP_OK;
}

enum sp_rc sp_audit_line_make(struct sp_bytes event, const struct sp_audit_stamp *stamp,
                              struct sp_buf *out, struct sp_err *err)
{
    struct sp_audit_line line = {0};
    enum sp_rc rc = sp_audit_line_build(event, stamp, out, &line, err);

    if (rc == SP_OK)
        sp_audit_line_clear(&line);
    return rc;
}

enum sp_rc sp_audit_line_parse(struct sp_bytes text, struct sp_audit_line *out, struct sp_err *err)
{
    struct sp_audit_line line = {0};
    struct sp_err detail = {0};
    enum sp_rc rc;

    if (text.len > SP_AUDIT_LINE_MAX)
        return altered(err, "longer than any line of a ledger");
    if (sp_json_parse(text, NULL, &line.doc, &detail) != SP_OK)
        return sp_fail(err, SP_E_AUDIT_ALTERED, "no JSON: %s", detail.text);
    line.root = sp_json_root(line.doc);
    rc = check_event(line.root, &line.event, &detail);
    if (rc != SP_OK)
        rc = altered(err, detail.text);
    if (rc == SP_OK)
        rc = check_canonical(text, line.root, err);
    if (rc == SP_OK)
        rc = read_stamp(&line, err);
    if (rc != SP_OK) {
        sp_audit_line_clear(&line);
        return rc;
    }
    *out = line;
    return SP_OK;
}

void sp_audit_line_clear(struct sp_audit_line *line)
{
    sp_json_doc_free(line->doc);
    *line = (struct sp_audit_line){0};
}
