/*
 * The verifier builds the same running state as the ledger and compares at each line: form, number, link to the line
 * before, and at checkpoints size, root, head and signature. A line that is missing from the middle, changed, moved or
 * added breaks the chain there: altered. What is missing at either end leaves the chain whole: the head file, or the
 * rule that a file without one ends with a checkpoint, shows it: incomplete. The first fault decides, since after it
 * nothing that follows is worth anything; only an unknown key is kept for the end, because the chain may still tell more.
 */
#include "audit/verify.h"

#include "audit/series.h"

#include <stdarg.h>
#include <stdio.h>

struct sp_audit_verifier {
    struct sp_audit_ring ring;
    bool may_learn; /* keys from the file */
    bool key_unknown;
    bool stopped;
    bool is_part;     /* of a series, alone */
    bool ends_signed; /* the last line is a good checkpoint */
    bool head_seen;   /* passed its place and fitted */
    char *head;       /* text of the head file; NULL if there is none */
    size_t head_len;
    struct sp_audit_statement said; /* by it */
    struct sp_audit_state state;
    struct sp_buf line; /* the start of a line whose end has not come */
    char node[SP_AUDIT_NODE_MAX + 1];
    struct sp_audit_report report;
};

const char *sp_audit_verdict_name(enum sp_audit_verdict verdict)
{
    static const char *const names[] = {"proved", "altered", "incomplete", "key-unknown"};

    return (size_t)verdict < SP_ARRAY_LEN(names) ? names[verdict] : "altered";
}

static void stop(struct sp_audit_verifier *v, enum sp_audit_verdict verdict, uint64_t line,
                 const struct sp_err *why)
{
    v->stopped = true;
    v->report.verdict = verdict;
    v->report.line = line;
    memcpy(v->report.why, why->text, sizeof(v->report.why));
}

static void SP_PRINTF(3, 4)
    stop_here(struct sp_audit_verifier *v, enum sp_audit_verdict verdict, const char *fmt, ...)
{
    struct sp_err why = {0};
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why.text, sizeof(why.text), fmt, args);
    va_end(args);
    stop(v, verdict, v->report.records + 1, &why);
}

/* Its signature is judged at the end, when the file has brought the keys that it may bring. */
static void take_head(struct sp_audit_verifier *v, struct sp_bytes text)
{
    struct sp_err err = {0};
    enum sp_rc rc = sp_audit_head_parse(text, &v->ring, &v->said, &err);

    v->report.has_head = true;
    v->head = sp_strdup_bytes(text);
    v->head_len = text.len;
    if (rc != SP_OK && rc != SP_E_AUDIT_KEY)
        stop(v, SP_AUDIT_WAS_ALTERED, 0, &err);
}

static void note_key(struct sp_audit_verifier *v, const struct sp_json *object)
{
    struct sp_bytes id = sp_json_text_of(object, "key");
    size_t len = id.len < SP_AUDIT_KEY_ID_MAX ? id.len : SP_AUDIT_KEY_ID_MAX - 1;

    memcpy(v->report.key, id.ptr, len);
    v->report.key[len] = 0;
}

/* Where no checkpoint has been made yet, the head's key is the one to name. */
static void note_head_key(struct sp_audit_verifier *v)
{
    SP_AUTO(sp_json_doc) doc = NULL;

    if (sp_json_parse(sp_bytes(v->head, v->head_len), NULL, &doc, NULL) == SP_OK)
        note_key(v, sp_json_root(doc));
}

static void judge_head(struct sp_audit_verifier *v)
{
    struct sp_audit_statement said;
    struct sp_err err = {0};
    enum sp_rc rc;

    if (!v->report.has_head)
        return;
    rc = sp_audit_head_parse(sp_bytes(v->head, v->head_len), &v->ring, &said, &err);
    if (rc == SP_E_AUDIT_KEY)
        v->key_unknown = true;
    else if (rc != SP_OK)
        stop(v, SP_AUDIT_WAS_ALTERED, 0, &err);
    else if (v->head_seen && v->report.signed_to < said.tree_size)
        v->report.signed_to = said.tree_size;
    if (rc == SP_OK && v->report.key[0] == 0)
        note_head_key(v);
}

struct sp_audit_verifier *sp_audit_verifier_new(const struct sp_audit_ring *trusted,
                                                struct sp_bytes head)
{
    struct sp_audit_verifier *v = sp_calloc(1, sizeof(*v));

    if (trusted != NULL)
        v->ring = *trusted;
    v->may_learn = v->ring.count == 0;
    v->report.key_from_file = v->may_learn;
    sp_audit_state_init(&v->state);
    sp_buf_init(&v->line, SP_AUDIT_LINE_MAX + 1);
    if (head.len > 0)
        take_head(v, head);
    return v;
}

void sp_audit_verifier_free(struct sp_audit_verifier *v)
{
    if (v == NULL)
        return;
    sp_buf_clear(&v->line);
    sp_free(v->head);
    sp_free(v);
}

static bool check_first(struct sp_audit_verifier *v, const struct sp_audit_line *line)
{
    static const struct sp_digest zero;

    memcpy(v->node, line->node.ptr, line->node.len);
    v->report.first_seq = line->seq;
    v->report.first_ms = line->time_ms;
    if (line->seq != 1 && sp_audit_continued_get(line, &v->state)) {
        v->report.begins_later = true; /* the next checkpoint shows whether the edge is right */
        return true;
    }
    if (line->seq != 1) {
        stop_here(v, SP_AUDIT_IS_INCOMPLETE, "the file begins with record %llu, not with 1",
                  (unsigned long long)line->seq);
        return false;
    }
    if (!sp_digest_eq(&line->prev, &zero)) {
        stop_here(v, SP_AUDIT_WAS_ALTERED, "the first record names one before it");
        return false;
    }
    return true;
}

static bool check_link(struct sp_audit_verifier *v, const struct sp_audit_line *line)
{
    unsigned long long due = (unsigned long long)v->state.last_seq + 1;
    unsigned long long is = (unsigned long long)line->seq;

    if (!sp_bytes_eq(line->node, sp_bytes_cstr(v->node)))
        stop_here(v, SP_AUDIT_WAS_ALTERED, "record %llu is of another node", is);
    else if (is > due && strcmp(line->event->name, "audit.continued") == 0)
        stop_here(v, SP_AUDIT_IS_INCOMPLETE, "records %llu to %llu are missing: a file of its own",
                  due, is - 1);
    else if (is > due)
        stop_here(v, SP_AUDIT_WAS_ALTERED,
                  "record %llu stands where %llu is due: dropped or swapped", is, due);
    else if (is < due)
        stop_here(v, SP_AUDIT_WAS_ALTERED, "record %llu stands where %llu is due: added or swapped",
                  is, due);
    else if (!sp_digest_eq(&line->prev, &v->state.head))
        stop_here(v, SP_AUDIT_WAS_ALTERED,
                  "record %llu does not follow from the line before: one of the two was changed",
                  is);
    return !v->stopped;
}

/* Where a file goes on from another, it says what the lines before come to. */
static bool check_edge(struct sp_audit_verifier *v, const struct sp_audit_line *line)
{
    struct sp_audit_state said;

    if (strcmp(line->event->name, "audit.continued") != 0)
        return true;
    if (sp_audit_continued_get(line, &said) && said.tree.size == v->state.tree.size &&
        sp_digest_eq(&said.head, &v->state.head)) {
        struct sp_digest theirs = sp_merkle_root(&said.tree);
        struct sp_digest ours = sp_merkle_root(&v->state.tree);

        if (sp_digest_eq(&theirs, &ours))
            return true;
    }
    stop_here(v, SP_AUDIT_WAS_ALTERED, "what it goes on from are other lines than these");
    return false;
}

static void note_purge(struct sp_audit_verifier *v, const struct sp_audit_line *line)
{
    int64_t last = sp_json_int_of(line->root, "last_seq", 0);

    if (strcmp(line->event->name, "audit.purged") == 0 && last > 0 &&
        (uint64_t)last > v->report.purged_to)
        v->report.purged_to = (uint64_t)last;
}

/* A key that the file brings: believed only where nobody gave a better one. */
static void learn_key(struct sp_audit_verifier *v, const struct sp_audit_line *line)
{
    struct sp_audit_public key;

    if (!v->may_learn || (strcmp(line->event->name, "audit.started") != 0 &&
                          strcmp(line->event->name, "audit.continued") != 0))
        return;
    if (!sp_audit_public_get(sp_json_find(line->root, "key"), &key))
        return;
    if (!sp_audit_ring_add(&v->ring, &key))
        stop_here(v, SP_AUDIT_WAS_ALTERED, "the file brings too many keys");
}

static void check_checkpoint(struct sp_audit_verifier *v, const struct sp_audit_line *line)
{
    struct sp_err err = {0};
    enum sp_rc rc;

    v->ends_signed = false;
    if (strcmp(line->event->name, "audit.checkpoint") != 0)
        return;
    rc = sp_audit_checkpoint_check(line, &v->state, &v->ring, &err);
    if (rc == SP_OK) {
        v->report.checkpoints++;
        v->report.signed_to = v->state.last_seq;
        v->ends_signed = true;
        note_key(v, line->root);
    } else if (rc == SP_E_AUDIT_KEY) {
        v->key_unknown = true;
        v->ends_signed = true; /* as far as completeness goes */
        note_key(v, line->root);
    } else {
        stop(v, SP_AUDIT_WAS_ALTERED, v->report.records + 1, &err);
    }
}

static void check_head(struct sp_audit_verifier *v)
{
    struct sp_digest root;

    if (!v->report.has_head || v->state.tree.size != v->said.tree_size)
        return;
    root = sp_merkle_root(&v->state.tree);
    v->head_seen = true;
    if (sp_digest_eq(&root, &v->said.root) && sp_digest_eq(&v->state.head, &v->said.head))
        return;
    stop_here(v, SP_AUDIT_WAS_ALTERED, "the head file speaks of other lines than these");
}

static void take_line(struct sp_audit_verifier *v, struct sp_bytes text)
{
    struct sp_audit_line line;
    struct sp_err err = {0};
    enum sp_rc rc = sp_audit_line_parse(text, &line, &err);

    if (rc != SP_OK) {
        stop(v, SP_AUDIT_WAS_ALTERED, v->report.records + 1, &err);
        return;
    }
    if (v->report.records == 0 ? check_first(v, &line)
                               : check_link(v, &line) && check_edge(v, &line)) {
        learn_key(v, &line);
        note_purge(v, &line);
        check_checkpoint(v, &line);
    }
    if (!v->stopped) {
        sp_audit_state_add(&v->state, text);
        v->report.last_seq = line.seq;
        v->report.last_ms = line.time_ms;
        check_head(v);
    }
    if (!v->stopped)
        v->report.records++;
    sp_audit_line_clear(&line);
}

void sp_audit_verifier_feed(struct sp_audit_verifier *v, struct sp_bytes data)
{
    while (!v->stopped && data.len > 0) {
        size_t end = sp_bytes_find(data, '\n');
        struct sp_bytes part = sp_bytes_slice(data, 0, end);

        if (end == SIZE_MAX || v->line.len > 0)
            sp_buf_put(&v->line, part);
        if (sp_buf_rc(&v->line) != SP_OK) {
            stop_here(v, SP_AUDIT_WAS_ALTERED, "longer than any line of a ledger");
            return;
        }
        if (end == SIZE_MAX)
            return;
        take_line(v, v->line.len > 0 ? sp_buf_bytes(&v->line) : part);
        sp_buf_reset(&v->line);
        data = sp_bytes_slice(data, end + 1, SIZE_MAX);
    }
}

void sp_audit_verifier_set_part(struct sp_audit_verifier *v)
{
    v->is_part = true;
}

/* returns: whether lines before the first are missing and nothing says why */
static bool lacks_beginning(const struct sp_audit_verifier *v)
{
    return v->report.begins_later && !v->is_part && v->report.purged_to + 1 < v->report.first_seq;
}

static void check_end(struct sp_audit_verifier *v)
{
    unsigned long long lines = (unsigned long long)v->state.tree.size;

    if (v->line.len > 0)
        stop_here(v, SP_AUDIT_IS_INCOMPLETE, "the last line is cut in the middle");
    else if (v->report.has_head && !v->head_seen && v->said.tree_size > v->state.tree.size)
        stop_here(v, SP_AUDIT_IS_INCOMPLETE, "cut at its end: %llu lines of %llu are there", lines,
                  (unsigned long long)v->said.tree_size);
    else if (lacks_beginning(v))
        stop_here(v, SP_AUDIT_IS_INCOMPLETE,
                  "records 1 to %llu are in older files that are not here, and no record says "
                  "that they were removed",
                  (unsigned long long)v->report.first_seq - 1);
    else if (lines == 0)
        stop_here(v, SP_AUDIT_IS_INCOMPLETE, "there is no record in it");
    else if (!v->report.has_head && !v->ends_signed)
        stop_here(v, SP_AUDIT_IS_INCOMPLETE,
                  "the last %llu lines are under no checkpoint: cut at its end, or too new",
                  lines - (unsigned long long)v->report.signed_to);
}

const struct sp_audit_report *sp_audit_verifier_finish(struct sp_audit_verifier *v)
{
    if (!v->stopped)
        check_end(v);
    if (!v->stopped)
        judge_head(v);
    if (!v->stopped && v->key_unknown)
        stop_here(v, SP_AUDIT_KEY_IS_UNKNOWN,
                  "the chain holds, but it is signed by %s, a key not known here",
                  v->report.key[0] == 0 ? "a key that nothing names" : v->report.key);
    if (v->report.verdict == SP_AUDIT_KEY_IS_UNKNOWN)
        v->report.line = 0;
    v->stopped = true;
    return &v->report;
}
