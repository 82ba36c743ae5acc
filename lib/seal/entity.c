/*
 * The inner entity and the outer header. The header is split by mail's bounded field splitter; fields are copied as they
 * stand, folds and all (outside, lines that are too long for a host get more of them), and the body is read by range, so what the recipient opens is byte for byte what was sent.
 *
 * Without a protected subject everything stays outside but Content-*, Bcc, signatures that the sealing breaks, and what
 * the caller strips. With one, a list of what the road needs says what stays outside, since a Thread-Topic or Keywords
 * field tells as much as the subject; all of it is also copied inside (RFC 9788 2.2, hp="cipher"), with HP-Outer telling
 * what outside looked like. A parameter is added to the raw Content-Type for that: readers know the protected header by
 * it (hp of RFC 9788, and protected-headers, which programs before it look for).
 */
#include "seal/entity.h"

#include "base/clock.h"
#include "base/text.h"
#include "mail/header.h"
#include "mail/trace.h"
#include "seal/edit_priv.h"

#define OUTER_MAX    (SP_SEAL_HEADER_MAX + 4096)
#define PROLOGUE_MAX (SP_SEAL_HEADER_MAX * 3)
#define PARAMETERS   ";\r\n\tprotected-headers=\"v1\"; hp=\"cipher\"\r\n"
#define LONG_LINE    900 /* a longer one gets "HP-Outer:" on a line of its own, RFC 5322 2.1.1 */

struct sp_seal_entity {
    struct sp_seal_source source;
    struct sp_buf outer;
    struct sp_buf prologue; /* inner header and its empty line */
    uint64_t body_at;
    uint64_t at; /* in the inner entity */
};

/* What the road and the mailbox need: outside even when the subject is protected. */
static const struct sp_bytes road_fields[] = {
    SP_LIT_INIT("From"),
    SP_LIT_INIT("Sender"),
    SP_LIT_INIT("Reply-To"),
    SP_LIT_INIT("To"),
    SP_LIT_INIT("Cc"),
    SP_LIT_INIT("Date"),
    SP_LIT_INIT("Message-ID"),
    SP_LIT_INIT("In-Reply-To"),
    SP_LIT_INIT("References"),
    SP_LIT_INIT("Auto-Submitted"),
    SP_LIT_INIT("Precedence"),
    SP_LIT_INIT("Disposition-Notification-To"),
    SP_LIT_INIT("Received"),
    SP_LIT_INIT("Resent-From"),
    SP_LIT_INIT("Resent-Sender"),
    SP_LIT_INIT("Resent-To"),
    SP_LIT_INIT("Resent-Cc"),
    SP_LIT_INIT("Resent-Date"),
    SP_LIT_INIT("Resent-Message-ID"),
    SP_LIT_INIT(SP_TRACE_MARK),
};

/* Of the road only: never copied inside. */
static const struct sp_bytes trace_fields[] = {
    SP_LIT_INIT("Received"),
    SP_LIT_INIT(SP_TRACE_MARK),
};

/* What sealing breaks or replaces, and blind copies. */
static const struct sp_bytes dropped_fields[] = {
    SP_LIT_INIT("MIME-Version"),
    SP_LIT_INIT("Return-Path"),
    SP_LIT_INIT("DKIM-Signature"),
    SP_LIT_INIT("DomainKey-Signature"),
    SP_LIT_INIT("X-Google-DKIM-Signature"),
    SP_LIT_INIT("Authentication-Results"),
    SP_LIT_INIT("HP-Outer"),
};

static bool is_dropped(const struct sp_field *f, const struct sp_seal_options *options)
{
    return sp_seal_is_stripped(f, options) ||
           sp_seal_is_among(f, dropped_fields, SP_ARRAY_LEN(dropped_fields)) ||
           sp_bytes_starts_nocase(f->name, SP_LIT("ARC-"));
}

/* What stood outside, told inside: RFC 9788 2.2.3. */
static void put_outer_copy(struct sp_buf *out, struct sp_bytes raw)
{
    size_t first = sp_bytes_find(raw, '\n');

    sp_buf_put_cstr(out, first > LONG_LINE ? "HP-Outer:\r\n " : "HP-Outer: ");
    sp_buf_put(out, raw);
}

static void put_parameters(struct sp_buf *out, const struct sp_field *type)
{
    struct sp_bytes raw = sp_bytes_trim(type->raw);

    while (raw.len > 0 && raw.ptr[raw.len - 1] == ';')
        raw = sp_bytes_trim(sp_bytes(raw.ptr, raw.len - 1));
    sp_buf_put(out, raw);
    sp_buf_put_cstr(out, PARAMETERS);
}

static void plan_content(struct sp_seal_entity *e, const struct sp_header *h,
                         const struct sp_seal_options *options)
{
    bool protect = options->protect_subject;
    struct sp_field f;
    bool typed = false;

    for (size_t at = 0; sp_header_next(h, &at, &f);) {
        if (!sp_field_is_content(&f))
            continue;
        if (protect && !typed && sp_field_is(&f, SP_LIT("Content-Type"))) {
            put_parameters(&e->prologue, &f);
            typed = true;
        } else {
            sp_seal_put_field(&e->prologue, &f, options);
        }
    }
    if (protect && !typed)
        sp_buf_put_cstr(&e->prologue, "Content-Type: text/plain; charset=us-ascii" PARAMETERS);
    sp_buf_put_cstr(&e->prologue, "\r\n");
}

static void plan_open(struct sp_seal_entity *e, const struct sp_header *h,
                      const struct sp_seal_options *options)
{
    struct sp_field f;

    for (size_t at = 0; sp_header_next(h, &at, &f);)
        if (!sp_field_is_content(&f) && !is_dropped(&f, options))
            sp_seal_put_field(&e->outer, &f, options);
}

static void plan_protected(struct sp_seal_entity *e, const struct sp_header *h,
                           const struct sp_seal_options *options)
{
    const char *subject =
        options->outer_subject == NULL ? SP_SEAL_SUBJECT_PLAIN : options->outer_subject;
    struct sp_field f;

    for (size_t at = 0; sp_header_next(h, &at, &f);) {
        if (sp_field_is_content(&f) || is_dropped(&f, options))
            continue;
        if (sp_seal_is_among(&f, road_fields, SP_ARRAY_LEN(road_fields)))
            sp_seal_put_field(&e->outer, &f, options);
        if (!sp_seal_is_among(&f, trace_fields, SP_ARRAY_LEN(trace_fields)))
            sp_seal_put_field(&e->prologue, &f, options);
    }
    for (size_t at = 0; sp_header_next(h, &at, &f);)
        if (sp_seal_is_among(&f, road_fields, SP_ARRAY_LEN(road_fields)) &&
            !is_dropped(&f, options) &&
            !sp_seal_is_among(&f, trace_fields, SP_ARRAY_LEN(trace_fields)))
            put_outer_copy(&e->prologue, f.raw);
    sp_buf_put_cstr(&e->prologue, "HP-Outer: Subject: ");
    sp_buf_put_cstr(&e->prologue, subject);
    sp_buf_put_cstr(&e->prologue, "\r\n");
    sp_buf_put_cstr(&e->outer, "Subject: ");
    sp_buf_put_cstr(&e->outer, subject);
    sp_buf_put_cstr(&e->outer, "\r\n");
}

/* The subject in place of the protected one comes from a policy: one line, nothing that adds a field. */
static bool is_line(const char *text)
{
    struct sp_bytes b = sp_bytes_cstr(text);

    return b.len <= LONG_LINE && sp_bytes_find(b, '\r') == SIZE_MAX &&
           sp_bytes_find(b, '\n') == SIZE_MAX;
}

/* A host takes no longer lines, of what is sealed either. Words that can't be folded never come here, unless such lines are
 * let through (delivery.long_lines): then they stay as they are. */
static void fold_outer(struct sp_seal_entity *e)
{
    struct sp_buf folded;

    if (sp_buf_rc(&e->outer) != SP_OK)
        return;
    sp_buf_init(&folded, OUTER_MAX + OUTER_MAX / 256);
    (void)sp_header_fold(sp_buf_bytes(&e->outer), &folded);
    sp_buf_wipe(&e->outer);
    e->outer = folded;
}

static enum sp_rc plan(struct sp_seal_entity *e, struct sp_bytes start,
                       const struct sp_seal_options *options, struct sp_err *err)
{
    struct sp_header h;
    enum sp_rc rc = sp_header_parse(start, start.len == e->source.len, &h);

    if (rc != SP_OK)
        return sp_fail(err, rc, "the message's header can't be split");
    rc = sp_seal_put_added(&e->outer, options);
    if (rc != SP_OK)
        return sp_fail(err, rc, "a field to be added is not one line of text");
    if (options->protect_subject)
        plan_protected(e, &h, options);
    else
        plan_open(e, &h, options);
    fold_outer(e);
    plan_content(e, &h, options);
    e->body_at = h.body_at;
    rc = sp_buf_rc(&e->outer);
    if (rc == SP_OK)
        rc = sp_buf_rc(&e->prologue);
    return rc == SP_OK ? SP_OK : sp_fail(err, SP_E_HEADER_LIMIT, "the header is too large to seal");
}

enum sp_rc sp_seal_entity_new(struct sp_seal_source source, const struct sp_seal_options *options,
                              struct sp_seal_entity **out, struct sp_err *err)
{
    SP_AUTO(sp_seal_entity) e = sp_calloc(1, sizeof(*e));
    size_t len = source.len < SP_SEAL_HEADER_MAX ? (size_t)source.len : SP_SEAL_HEADER_MAX;
    uint8_t *start;
    enum sp_rc rc;

    sp_buf_init(&e->outer, OUTER_MAX);
    sp_buf_init(&e->prologue, PROLOGUE_MAX);
    e->source = source;
    if (options->outer_subject != NULL && !is_line(options->outer_subject))
        return sp_fail(err, SP_E_HEADER_SYNTAX, "the subject for outside is not one short line");
    start = sp_malloc(len);
    rc = source.read(source.ctx, 0, start, len);
    if (rc == SP_OK)
        rc = plan(e, sp_bytes(start, len), options, err);
    else
        sp_fail(err, rc, "the message's header can't be read");
    sp_wipe(start, len);
    sp_free(start);
    if (rc == SP_OK)
        *out = SP_STEAL(e);
    return rc;
}

void sp_seal_entity_free(struct sp_seal_entity *e)
{
    if (e == NULL)
        return;
    sp_buf_wipe(&e->outer);
    sp_buf_wipe(&e->prologue);
    sp_free(e);
}

struct sp_bytes sp_seal_entity_outer(const struct sp_seal_entity *e)
{
    return sp_buf_bytes(&e->outer);
}

void sp_seal_entity_rewind(struct sp_seal_entity *e)
{
    e->at = 0;
}

uint64_t sp_seal_entity_len(const struct sp_seal_entity *e)
{
    return e->prologue.len + (e->source.len - e->body_at);
}

enum sp_rc sp_seal_entity_read(struct sp_seal_entity *e, void *buf, size_t len, size_t *got)
{
    uint64_t left = sp_seal_entity_len(e) - e->at;
    enum sp_rc rc = SP_OK;

    if (e->at < e->prologue.len) {
        size_t here = e->prologue.len - (size_t)e->at;

        len = len < here ? len : here;
        memcpy(buf, e->prologue.ptr + e->at, len);
    } else {
        len = len < left ? len : (size_t)left;
        if (len > 0)
            rc = e->source.read(e->source.ctx, e->body_at + (e->at - e->prologue.len), buf, len);
    }
    if (rc != SP_OK)
        return rc;
    e->at += len;
    *got = len;
    return SP_OK;
}

void sp_seal_boundary(char *out)
{
    uint8_t random[16];
    struct sp_buf b;

    sp_random_fill(sp_random_system(), random, sizeof(random));
    sp_buf_init(&b, SP_SEAL_BOUNDARY_LEN);
    sp_buf_put_cstr(&b, "=_");
    sp_hex_encode(&b, sp_bytes(random, sizeof(random)));
    sp_buf_put_u8(&b, 0);
    memcpy(out, b.ptr, b.len);
    sp_buf_clear(&b);
}
