/*
 * Which messages are lost with a segment: its records named them, and nobody else in the spool does. The ledger has read them,
 * though: what it has as accepted and not ended, and no shard holds, is missing. It needs no numbers of segments, so it also finds
 * what was lost in a way that leaves no gap (a shard's folder that is gone, say). The ledger is asked first: what comes later is in
 * no list, and what ends later says so in the log, or, where that has gone meanwhile, in the ledger, which is asked once more.
 *
 * A segment goes when the ledger has read it, durably. So one that stands before the oldest that a shard knows of is older than this
 * spool, as when somebody has put it back from a copy: what ended in the segments that it has not read, it takes for waiting.
 */
#include "gateway/cli-spool/spool.h"

#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OPEN_MESSAGES "SELECT data FROM message WHERE settled = 0 ORDER BY id"
#define CURSORS       "SELECT shard || ' ' || segment FROM cursor"

static bool is_open(const struct sp_audit_message *m)
{
    for (uint32_t n = 0; n < m->rcpt_count; n++)
        if (!sp_rcpt_state_is_final(m->rcpts[n].state))
            return true;
    return false;
}

static int compare(const void *a, const void *b)
{
    const struct sp_audit_message *const *x = a;
    const struct sp_audit_message *const *y = b;

    return memcmp(&(*x)->id, &(*y)->id, sizeof((*x)->id));
}

static void take(void *arg, struct sp_bytes row)
{
    struct spool_missing *m = arg;
    struct sp_audit_message *message = NULL;

    if (sp_audit_message_decode(row, &message) != SP_OK)
        return;
    if (!message->known || !is_open(message)) {
        sp_audit_message_free(message);
        return;
    }
    if (m->count % 1024 == 0)
        m->at = sp_realloc(m->at, (m->count + 1024) * sizeof(struct sp_audit_message *));
    m->at[m->count++] = message;
}

bool spool_missing_read(struct spool *s, const char *folder, struct spool_missing *m)
{
    char path[SPOOL_PATH_MAX];
    struct sp_err err = {0};

    *m = (struct spool_missing){.is_known = false};
    if (!spool_path(path, folder, "ledger/state.db") || access(path, F_OK) != 0)
        return true;
    m->is_known = sp_store_look(path, OPEN_MESSAGES, take, m, &err) == SP_OK;
    if (!m->is_known)
        (void)spool_fail(s, 0, "%s; so it can't be told which messages are missing", err.text);
    return m->is_known;
}

static struct sp_audit_message *find(const struct spool_missing *m, const struct sp_id *id)
{
    struct sp_audit_message key = {.id = *id};
    const struct sp_audit_message *wanted = &key;
    struct sp_audit_message **at =
        m->count == 0
            ? NULL
            : bsearch(&wanted, m->at, m->count, sizeof(struct sp_audit_message *), compare);

    return at == NULL ? NULL : *at;
}

void spool_missing_on_ended(void *arg, const struct sp_id *id, uint16_t n)
{
    struct sp_audit_message *message = find(arg, id);

    for (uint32_t i = 0; message != NULL && i < message->rcpt_count; i++)
        if ((i == n || n == SP_QUEUE_ALL) && !sp_rcpt_state_is_final(message->rcpts[i].state))
            message->rcpts[i].state = SP_RCPT_DELETED; /* which end it was, nobody asks here */
}

/* Keeps those that are wanted. */
static void sieve(struct spool_missing *m, bool (*wants)(const void *arg, const struct sp_id *id),
                  const void *arg)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->count; i++) {
        if (is_open(m->at[i]) && wants(arg, &m->at[i]->id))
            m->at[kept++] = m->at[i];
        else
            sp_audit_message_free(m->at[i]);
    }
    m->count = kept;
}

static bool is_not_in(const void *q, const struct sp_id *id)
{
    return !sp_queue_has(q, id);
}

void spool_missing_found(struct spool_missing *m, unsigned shard, const struct sp_queue *q)
{
    struct sp_queue_stats stats = sp_queue_stats(q);

    sieve(m, is_not_in, q);
    m->begins = sp_realloc(m->begins, (m->begin_count + 1) * sizeof(*m->begins));
    m->begins[m->begin_count++] = (struct spool_begin){shard, stats.known_from};
}

static bool is_still_open(const void *now, const struct sp_id *id)
{
    return find(now, id) != NULL;
}

/* What the ledger has read of a shard, and what it should have. */
struct reading {
    struct spool *s;
    struct spool_missing *m;
};

static void judge_cursor(void *arg, struct sp_bytes row)
{
    const struct reading *r = arg;
    struct sp_bytes shard;
    uint64_t number;
    uint64_t segment;

    if (!sp_bytes_split(&row, ' ', &shard) || !sp_bytes_to_u64(shard, &number) ||
        !sp_bytes_to_u64(row, &segment))
        return; /* the ledger's own journal */
    for (size_t i = 0; i < r->m->begin_count && !r->m->is_older; i++) {
        const struct spool_begin *b = &r->m->begins[i];

        if (b->shard != number || segment >= b->segment)
            continue;
        r->m->is_older = true;
        (void)spool_fail(r->s, 0,
                         "ledger/state.db is older than the spool: of shard %u it has read up to "
                         "segment %llu, and what came up to segment %llu has ended and gone since. "
                         "So it can't be told which messages are missing: put the newest state.db "
                         "in its place, or move it away (docs/operations.md, A damaged database)",
                         b->shard, (unsigned long long)segment, (unsigned long long)b->segment - 1);
    }
}

/* Those who have ended meanwhile go: their segments may have gone, too. returns: false if the ledger can't be read */
static bool ask_again(struct spool *s, const char *folder, struct spool_missing *m)
{
    struct spool_missing now = {.count = 0};
    bool is_read = m->count == 0 || spool_missing_read(s, folder, &now);

    if (is_read && m->count > 0)
        sieve(m, is_still_open, &now);
    spool_missing_clear(&now);
    return is_read;
}

static bool judge(struct spool *s, const char *folder, struct spool_missing *m)
{
    struct reading reading = {s, m};
    char path[SPOOL_PATH_MAX];
    struct sp_err err = {0};

    if (m->is_torn) {
        (void)spool_fail(s, 0,
                         "the gateway made room all the time, so it can't be told which "
                         "messages are missing: try again");
        return false;
    }
    if (!ask_again(s, folder, m) || !spool_path(path, folder, "ledger/state.db"))
        return false;
    if (sp_store_look(path, CURSORS, judge_cursor, &reading, &err) == SP_OK)
        return !m->is_older;
    (void)spool_fail(s, 0, "%s; so it can't be told which messages are missing", err.text);
    return false;
}

bool spool_missing_end(struct spool *s, const char *folder, struct spool_missing *m)
{
    if (!m->is_known)
        return true;
    m->is_known = judge(s, folder, m);
    return m->is_known;
}

static void put_one(const struct sp_audit_message *message, struct sp_jw *w)
{
    char id[SP_ID_TEXT_LEN + 1];

    if (w != NULL) {
        sp_jw_object(w, NULL);
        sp_jw_id(w, "message", message->id.b);
        sp_jw_text(w, "tenant", message->tenant);
        sp_jw_text(w, "message_id", message->message_id);
        sp_jw_cstr(w, "kind", sp_accept_kind_name(message->kind));
        sp_jw_end(w);
        return;
    }
    sp_id_format(&message->id, id);
    (void)printf("  message %s (%s of tenant %.*s): missing\n", id,
                 sp_accept_kind_name(message->kind), SP_FMT(message->tenant));
}

void spool_missing_put(const struct spool_missing *m, struct sp_jw *w)
{
    for (size_t i = 0; i < m->count; i++)
        put_one(m->at[i], w);
}

void spool_missing_clear(struct spool_missing *m)
{
    for (size_t i = 0; i < m->count; i++)
        sp_audit_message_free(m->at[i]);
    sp_free(m->at);
    sp_free(m->begins);
    *m = (struct spool_missing){.count = 0};
}
