/*
 * What must hold of a disk that was found after a power cut at a known moment, by the diary of what was answered before
 * it. A message that was acknowledged is there once, whole, with its recipients as they were acknowledged, or as something
 * asked for later has left them. One that was refused is not there. One that nobody had an answer for may be there. What
 * the audit says is destroyed can't be opened. No file lies about that nothing names.
 */
#include "power/world.h"

#include "audit/verify.h"
#include "base/mem.h"
#include "power/disk_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fail(struct world_verdict *v, const char *format, ...)
{
    va_list args;

    if (v->text[0] != '\0')
        return;
    va_start(args, format);
    (void)vsnprintf(v->text, sizeof(v->text), format, args);
    va_end(args);
}

/* ---- the queue ---- */

/* Whether the whole body can be read, and is the one that was handed over. */
static bool body_is_whole(struct world *w, const struct world_message *m)
{
    static uint8_t out[65536];
    static uint8_t expected[65536];
    struct sp_content c;
    uint64_t at = 0;
    size_t got = 0;
    enum sp_rc rc;
    bool same = true;
    SP_AUTO(sp_content_reader) r = NULL;

    if (sp_queue_body(w->queue, &m->id, &c) != SP_OK)
        return false;
    r = sp_content_reader_new(&c);
    memset(expected, 'b', sizeof(expected));
    do {
        rc = sp_content_read(r, at, out, sizeof(out), &got);
        same = same && memcmp(out, expected, got) == 0;
        at += got;
    } while (rc == SP_OK && got > 0);
    sp_content_clear(&c);
    return rc == SP_OK && same && at == m->body_len;
}

/* Whether a recipient may stand so at that moment. */
static bool may_be(const struct world_rcpt *r, size_t at, uint8_t state)
{
    size_t last = r->count; /* behind the last change that was acknowledged */

    while (last > 0 && (r->changes[last - 1].at == 0 || r->changes[last - 1].at > at))
        last--;
    if (last == 0 && (state == SP_RCPT_PENDING || state == SP_RCPT_HELD))
        return true;
    for (size_t i = last == 0 ? 0 : last - 1; i < r->count; i++)
        if (r->changes[i].from <= at && r->changes[i].state == state)
            return true;
    return false;
}

/* Whether a recipient may be one that nothing more is to be done for. */
static bool may_be_final(const struct world_rcpt *r, size_t at)
{
    for (uint8_t state = SP_RCPT_DELIVERED; state < SP_RCPT_STATE_COUNT; state++)
        if (may_be(r, at, state))
            return true;
    return false;
}

static bool must_be_final(const struct world_rcpt *r, size_t at)
{
    for (uint8_t state = SP_RCPT_PENDING; state < SP_RCPT_DELIVERED; state++)
        if (may_be(r, at, state))
            return false;
    return true;
}

/* Whether a recipient may have that address at that moment. */
static bool may_bear(const struct world_rcpt *r, size_t at, struct sp_bytes address)
{
    if (sp_bytes_eq(address, SP_LIT(WORLD_OTHER)))
        return r->moved_from != 0 && r->moved_from <= at;
    return r->moved_at == 0 || r->moved_at > at;
}

static void judge_states(struct world_message *m, size_t at, const struct sp_queue_message *found,
                         struct world_verdict *v)
{
    bool may_be_gone = true;
    bool must_be_gone = true;

    for (size_t n = 0; n < m->rcpt_count; n++) {
        may_be_gone = may_be_gone && may_be_final(&m->rcpts[n], at);
        must_be_gone = must_be_gone && must_be_final(&m->rcpts[n], at);
        if (found != NULL && !may_be(&m->rcpts[n], at, found->rcpts[n].state))
            fail(v, "recipient %zu stands at '%s', which nobody acknowledged last", n,
                 sp_rcpt_state_name(found->rcpts[n].state));
        if (found != NULL && !may_bear(&m->rcpts[n], at, found->accept.recipients[n].address))
            fail(v, "recipient %zu bears an address that is not the one acknowledged last", n);
    }
    if (found == NULL && !may_be_gone)
        fail(v, "an acknowledged message is lost");
    if (found != NULL && must_be_gone)
        fail(v, "a settled message is back");
}

/* A DSN is there exactly if the outcome that holds it is. */
static void judge_child(struct world *w, const struct world_message *m, size_t at, bool there,
                        struct world_verdict *v)
{
    struct sp_queue_message *parent = NULL;
    bool returned;

    if (m->accepted != 0 && m->accepted <= at)
        return; /* judged like any other */
    if (m->parent->refused != 0 || may_be_final(&m->rcpts[0], at))
        return;
    returned = sp_queue_load(w->queue, &m->parent->id, &parent) != SP_OK ||
               sp_rcpt_state_is_final(parent->rcpts[m->parent_n].state);
    sp_queue_message_free(parent);
    if (there != returned && m->asked <= at)
        fail(v, "a DSN is %s its outcome", there ? "there without" : "not there with");
}

static void judge_message(struct world *w, struct world_message *m, size_t at, bool *there,
                          struct world_verdict *v)
{
    struct sp_queue_message *found = NULL;

    *there = sp_queue_load(w->queue, &m->id, &found) == SP_OK;
    if (*there && m->asked > at)
        fail(v, "a message is there that was not handed over yet");
    if (*there && m->refused != 0 && m->refused <= at && !m->may_return)
        fail(v, "a refused message is there");
    if (m->accepted != 0 && m->accepted <= at)
        judge_states(m, at, found, v);
    else if (m->parent != NULL)
        judge_child(w, m, at, *there, v);
    if (*there && !body_is_whole(w, m))
        fail(v, "its body is not whole");
    sp_queue_message_free(found);
}

/* ---- files ---- */

struct files {
    struct world *world;
    struct world_verdict *verdict;
};

static bool is_named(struct world *w, const char *file)
{
    struct sp_queue_message *m = NULL;
    bool named;
    struct sp_id id;

    if (!sp_id_parse(sp_bytes_cstr(file), &id) || sp_queue_load(w->queue, &id, &m) != SP_OK)
        return false;
    named = m->accept.body_in_file;
    sp_queue_message_free(m);
    return named;
}

static void on_file(void *arg, const char *name)
{
    struct files *f = arg;
    const char *base = strrchr(name, '/') + 1;

    if (strstr(name, "/body-") != NULL && !is_named(f->world, base))
        fail(f->verdict, "the body file %s belongs to nothing", name);
    if (strstr(base, ".new") != NULL && strncmp(base, "audit", 5) != 0)
        fail(f->verdict, "the file %s was left behind", name);
    if (strstr(base, ".foreign") != NULL)
        fail(f->verdict, "the audit file had bytes that its ledger did not know");
}

/* The salt of a segment, from the first write to the file that got its number. */
static bool salt_of(const struct world *w, uint64_t segment, const uint8_t **salt)
{
    const struct power_disk *d = w->history;
    char name[POWER_NAME_MAX];
    int node = -1;

    (void)snprintf(name, sizeof(name), "spool/0/%012llu.seg", (unsigned long long)segment);
    for (size_t i = 0; i < w->history_at; i++)
        if (d->ops[i].kind == POWER_RENAME && strcmp(d->ops[i].to, name) == 0)
            node = d->ops[i].node;
    for (size_t i = 0; i < d->op_count && node >= 0; i++) {
        if (d->ops[i].kind != POWER_WRITE || d->ops[i].node != node || d->ops[i].offset != 0)
            continue;
        *salt = d->ops[i].data + 8;
        return true;
    }
    return false;
}

static void on_keyring(void *arg, const char *name)
{
    struct files *f = arg;
    size_t len;
    uint8_t *bytes;

    if (strncmp(name, "spool/0/keyring", 15) != 0)
        return;
    bytes = power_disk_read(f->world->disk, name, &len);
    for (size_t i = 0; i < f->world->gone_count; i++) {
        const uint8_t *salt;

        if (salt_of(f->world, f->world->gone[i].segment, &salt) &&
            memmem(bytes, len, salt, 16) != NULL)
            fail(f->verdict, "the key of segment %llu was destroyed, and lies in %s",
                 (unsigned long long)f->world->gone[i].segment, name);
    }
    sp_free(bytes);
}

/* The record of a key's end, and the key: one of the two must not be there. */
static void check_record(struct world *w, const struct sp_journal_entry *e, struct world_verdict *v)
{
    struct files files = {w, v};
    struct sp_act act;

    sp_arena_reset(w->arena);
    if (e->type != SP_RECORD_DESTROYED || sp_act_decode(e->meta, w->arena, &act) != SP_OK ||
        act.reason.len < 9)
        return;
    w->gone_count = 1;
    if (sp_bytes_to_u64(sp_bytes_slice(act.reason, 8, act.reason.len), &w->gone[0].segment))
        power_disk_each(w->disk, on_keyring, &files);
}

void world_judge_records(struct world *w, struct world_verdict *v)
{
    struct world_gone *kept = sp_calloc(w->gone_count + 1, sizeof(*kept));
    size_t count = w->gone_count;
    struct sp_journal_cursor from = {0, 0};
    struct sp_journal_entry e;
    enum sp_rc rc;
    SP_AUTO(sp_journal_reader) r = sp_journal_reader_new(&w->spool.io, &w->keys.record, &from);

    memcpy(kept, w->gone, count * sizeof(*kept));
    do { /* no relay is there to say how far it is durable: all that lies there counts */
        uint64_t segment = sp_journal_reader_cursor(r).segment;
        char name[POWER_NAME_MAX];
        int64_t len;

        (void)snprintf(name, sizeof(name), "spool/0/%012llu.seg", (unsigned long long)segment);
        len = power_disk_len(w->disk, name);
        if (len > 0)
            sp_journal_reader_tell(r, segment, (uint64_t)len);
        rc = sp_journal_reader_next(r, &e);
        if (rc == SP_OK)
            check_record(w, &e, v);
    } while (rc == SP_OK);
    memcpy(w->gone, kept, count * sizeof(*kept));
    w->gone_count = count;
    sp_free(kept);
}

void world_judge_raw(struct world *w, struct world_verdict *v)
{
    struct files files = {w, v};

    power_disk_each(w->disk, on_keyring, &files);
}

/* ---- the audit file ---- */

/* A member's text in a canonical line. */
static struct sp_bytes member(struct sp_bytes line, const char *name)
{
    char key[32];
    const uint8_t *at;
    const uint8_t *end;

    (void)snprintf(key, sizeof(key), "\"%s\":\"", name);
    at = memmem(line.ptr, line.len, key, strlen(key));
    if (at == NULL)
        return sp_bytes(NULL, 0);
    at += strlen(key);
    end = memchr(at, '"', (size_t)(line.ptr + line.len - at));
    return sp_bytes(at, (size_t)(end - at));
}

/* ---- the audit files, one behind the other ---- */

#define AUDIT_FILE  "ledger/audit.jsonl"
#define AUDIT_FILES 64

struct audit_files {
    char names[AUDIT_FILES]
              [64]; /* of those that have ended: names with as many digits sort by number */
    size_t count;
};

static void note_audit(void *arg, const char *name)
{
    struct audit_files *f = arg;
    size_t i = f->count;

    if (strncmp(name, AUDIT_FILE ".0", sizeof(AUDIT_FILE ".0") - 1) != 0)
        return;
    sp_assert(f->count < AUDIT_FILES);
    for (; i > 0 && strcmp(f->names[i - 1], name) > 0; i--)
        memcpy(f->names[i], f->names[i - 1], sizeof(f->names[i]));
    (void)snprintf(f->names[i], sizeof(f->names[i]), "%s", name);
    f->count++;
}

/* owner: the caller, of the bytes. returns: NULL if there are none */
static uint8_t *read_audit(struct power_disk *d, size_t *len)
{
    static struct audit_files files;
    uint8_t *all = NULL;

    files.count = 0;
    *len = 0;
    power_disk_each(d, note_audit, &files);
    for (size_t i = 0; i <= files.count; i++) {
        size_t part_len = 0;
        uint8_t *part =
            power_disk_read(d, i < files.count ? files.names[i] : AUDIT_FILE, &part_len);

        if (part_len > 0) {
            all = sp_realloc(all, *len + part_len);
            memcpy(all + *len, part, part_len);
            *len += part_len;
        }
        sp_free(part);
    }
    return all;
}

void world_note_gone(struct world *w)
{
    size_t len = 0;
    uint8_t *text = read_audit(w->disk, &len);
    struct sp_bytes rest;
    struct sp_bytes line;

    if (text == NULL || len < w->audit_seen) {
        sp_free(text);
        return;
    }
    rest = sp_bytes(text + w->audit_seen, len - w->audit_seen);
    w->audit_seen = len;
    while (sp_bytes_split(&rest, '\n', &line)) {
        struct sp_bytes key = member(line, "key");
        uint64_t segment;

        if (!sp_bytes_eq(member(line, "event"), SP_LIT("content.destroyed")) || key.len < 9 ||
            !sp_bytes_to_u64(sp_bytes_slice(key, 8, key.len), &segment))
            continue;
        if ((w->gone_count == 0 || w->gone[w->gone_count - 1].segment != segment) &&
            w->gone_count < WORLD_SEGMENTS)
            w->gone[w->gone_count++] = (struct world_gone){segment, world_now(w)};
    }
    sp_free(text);
}

/* How often the file says what of whom. */
struct counts {
    uint8_t accepted[WORLD_MESSAGES];
    uint8_t destroyed[WORLD_MESSAGES];
    uint8_t settled[WORLD_MESSAGES];
    uint8_t acts[WORLD_ACTS];
    char gap[200]; /* the first line that tells of one */
};

static size_t index_of(const struct world *w, struct sp_bytes id_text)
{
    struct sp_id id;

    if (!sp_id_parse(id_text, &id))
        return WORLD_MESSAGES;
    for (size_t i = 0; i < w->message_count; i++)
        if (sp_id_eq(&w->messages[i].id, &id))
            return i;
    return WORLD_MESSAGES;
}

static void count_line(const struct world *w, struct sp_bytes line, struct counts *c)
{
    struct sp_bytes event = member(line, "event");
    struct sp_bytes what = member(line, "what");
    size_t i = index_of(w, member(line, "message"));
    uint64_t act;

    if (sp_bytes_eq(event, SP_LIT("audit.gap")) && c->gap[0] == '\0')
        (void)snprintf(c->gap, sizeof(c->gap), "%.*s", (int)line.len, (const char *)line.ptr);
    if (what.len > 8 && sp_bytes_to_u64(sp_bytes_slice(what, 7, what.len - 8), &act) &&
        act < WORLD_ACTS)
        c->acts[act]++;
    if (i == WORLD_MESSAGES)
        return;
    if (sp_bytes_eq(event, SP_LIT("message.accepted")))
        c->accepted[i]++;
    else if (sp_bytes_eq(event, SP_LIT("content.destroyed")))
        c->destroyed[i]++;
    else if (sp_bytes_eq(event, SP_LIT("message.settled")))
        c->settled[i]++;
}

static void check_proofs(struct world *w, struct sp_bytes text, struct world_verdict *v)
{
    const struct sp_audit_report *report;
    struct sp_audit_ring ring = {0};
    size_t len = 0;
    uint8_t *head = power_disk_read(w->disk, "ledger/audit.jsonl.head", &len);
    SP_AUTO(sp_audit_verifier) verifier = NULL;

    sp_assert(sp_audit_ring_add(&ring, &w->signer.key));
    verifier = sp_audit_verifier_new(&ring, sp_bytes(head, len));
    sp_audit_verifier_feed(verifier, text);
    report = sp_audit_verifier_finish(verifier);
    if (report->verdict != SP_AUDIT_PROVED)
        fail(v, "the audit file is %s at line %llu: %s", sp_audit_verdict_name(report->verdict),
             (unsigned long long)report->line, report->why);
    sp_free(head);
}

/* The chain alone: each line names the digest of the one before. */
static void check_chain(struct sp_bytes text, struct counts *c, const struct world *w,
                        struct world_verdict *v)
{
    struct sp_digest before = {0};
    struct sp_bytes line;
    size_t number = 0;

    while (sp_bytes_split(&text, '\n', &line)) {
        struct sp_digest said;

        if (line.len == 0)
            continue;
        number++;
        if (!sp_digest_parse(member(line, "prev"), &said) ||
            memcmp(&said, &before, sizeof(said)) != 0)
            fail(v, "the audit chain is broken at line %zu", number);
        before = sp_audit_line_digest(line);
        count_line(w, line, c);
    }
}

static void judge_audit(struct world *w, size_t at, bool proofs, struct counts *c,
                        struct world_verdict *v)
{
    size_t len = 0;
    uint8_t *text = read_audit(w->disk, &len);

    memset(c, 0, sizeof(*c));
    check_chain(sp_bytes(text, len), c, w, v);
    if (proofs)
        check_proofs(w, sp_bytes(text, len), v);
    sp_free(text);
    if (c->gap[0] != '\0')
        fail(v, "the audit file tells of a gap: %s", c->gap);
    for (size_t i = 0; i < w->act_count; i++)
        if (c->acts[i] > 1 || (w->act[i].done != 0 && w->act[i].done <= at && c->acts[i] == 0))
            fail(v, "act %zu stands %u times in the audit file", i, c->acts[i]);
}

static void judge_lines(struct world_message *m, size_t at, bool there, unsigned accepted,
                        unsigned destroyed, struct world_verdict *v)
{
    bool must = there || (m->accepted != 0 && m->accepted <= at);

    if (accepted > 1 || (must && accepted == 0))
        fail(v, "message.accepted stands %u times in the audit file", accepted);
    if (destroyed > 1)
        fail(v, "content.destroyed is told %u times", destroyed);
    if (destroyed > 0 && there)
        fail(v, "content.destroyed is told of a message that is there");
}

/* ---- all of it ---- */

void world_judge(struct world *w, size_t at, bool proofs, struct world_verdict *v)
{
    struct files files = {w, v};
    struct sp_queue_stats stats;
    struct counts counts;
    size_t alive = 0;
    bool there[WORLD_MESSAGES];

    for (size_t i = 0; i < w->message_count; i++) {
        struct world_verdict one = {""};

        judge_message(w, &w->messages[i], at, &there[i], &one);
        alive += there[i] ? 1 : 0;
        if (one.text[0] != '\0')
            fail(v, "message %zu: %s", i, one.text);
    }
    stats = sp_queue_stats(w->queue);
    if (stats.quarantined > 0)
        fail(v, "%zu messages are in quarantine", stats.quarantined);
    if (stats.damaged > 0)
        fail(v, "damage is told where there is none");
    if (stats.messages != alive)
        fail(v, "the queue holds %zu messages, of which %zu are known", stats.messages, alive);
    world_commit(w); /* what recovery still had to tell */
    world_turn(w);
    world_commit(w);
    world_turn(w);
    if (w->book == NULL) {
        fail(v, "the books can't be opened");
        return;
    }
    judge_audit(w, at, proofs, &counts, v);
    for (size_t i = 0; i < w->message_count; i++) {
        struct world_verdict one = {""};

        judge_lines(&w->messages[i], at, there[i], counts.accepted[i], counts.destroyed[i], &one);
        if (one.text[0] != '\0')
            fail(v, "message %zu: %s", i, one.text);
    }
    power_disk_each(w->disk, on_file, &files);
    power_disk_each(w->disk, on_keyring, &files);
}

static void ignore(void *arg, enum sp_rc rc)
{
    (void)arg;
    (void)rc;
}

/* Everything delivered; then enough new mail that the old segments can go. */
static void run_on(struct world *w)
{
    fake_clock_advance(&w->clock, 2 * 86400000LL);
    world_commit(w);
    for (size_t i = 0; i < w->message_count; i++) {
        struct sp_act act = {.id = w->messages[i].id,
                             .time_ms = w->clock.wall_ms,
                             .next_at_ms = 1,
                             .reason = SP_LIT("end")};

        sp_queue_act(w->queue, SP_RECORD_RELEASE, &act, ignore, NULL);
        world_commit(w);
    }
    world_deliver_all(w, SP_RCPT_DELIVERED);
    for (int i = 0; i < 3; i++) {
        world_turn(w);
        world_commit(w);
    }
    world_close(w);
}

void world_judge_end(struct world *w, struct world_verdict *v)
{
    struct counts counts;
    uint64_t first;

    run_on(w);
    sp_assert(world_open(w) == SP_OK);
    for (int i = 0; i < 3; i++) { /* a segment of its own now, so that the ones before can go */
        world_turn(w);
        world_commit(w);
    }
    first = sp_queue_stats(w->queue).first_segment;
    if (sp_queue_stats(w->queue).messages > 0)
        fail(v, "messages are left over at the end");
    if (first != sp_queue_stats(w->queue).current_segment)
        fail(v, "segments are left over at the end");
    world_turn(w);
    judge_audit(w, 0, true, &counts, v);
    for (size_t i = 0; i < w->message_count; i++) {
        if (counts.accepted[i] != counts.destroyed[i] || counts.accepted[i] != counts.settled[i])
            fail(v, "message %zu: accepted %u times, settled %u, destroyed %u", i,
                 counts.accepted[i], counts.settled[i], counts.destroyed[i]);
    }
}
