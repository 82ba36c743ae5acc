/*
 * `queue repair`: gives up, on record, what a check has found that nobody can read any more. It guesses nothing and mends
 * no bytes: without --yes it says what it would do; with it each such message gets the record of a deletion, with who and
 * why, as `queue delete` writes it. Only with the gateway stopped, since a shard has one writer. Files are made as the
 * shard's owner's.
 */
#include "gateway/cli-spool/spool.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENT_MAX = 8192 };

/* What it came to. */
struct repaired {
    size_t total, failed; /* messages to be given up, and those that could not be */
    uint64_t copies;      /* headers and keyrings of which one of two was damaged */
};

/* Works as that folder's owner from now on, if we are root; NULL: is root again. */
static bool act_as_owner(const char *path)
{
    struct stat st;

    if (getuid() != 0)
        return true;
    if (path == NULL)
        return seteuid(0) == 0 && setegid(0) == 0;
    return stat(path, &st) == 0 && setegid(st.st_gid) == 0 && seteuid(st.st_uid) == 0;
}

static void on_done(void *arg, enum sp_rc rc)
{
    *(enum sp_rc *)arg = rc;
}

static void put_event(const struct spool *s, const struct sp_id *id, struct sp_buf *out)
{
    char uid[24];
    struct sp_jw w;

    (void)snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "admin.acted");
    sp_jw_id(&w, "message", id->b);
    sp_jw_cstr(&w, "act", "queue.repair");
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "uid");
    sp_jw_cstr(&w, "id", uid);
    sp_jw_end(&w);
    sp_jw_cstr(&w, "reason", s->reason);
    sp_jw_end(&w);
}

static enum sp_rc give_up(struct spool *s, struct sp_queue *q, const struct sp_id *id)
{
    struct sp_act act = {.id = *id, .time_ms = sp_clock_wall_ms(sp_loop_clock(s->loop))};
    enum sp_rc rc = SP_E_IO;
    struct sp_bytes event;
    struct sp_buf text;

    sp_buf_init(&text, EVENT_MAX);
    put_event(s, id, &text);
    event = sp_buf_bytes(&text);
    act.reason = sp_bytes_cstr(s->reason);
    act.audit = (struct sp_audit_list){&event, 1};
    if (sp_buf_rc(&text) == SP_OK)
        sp_queue_act(q, SP_RECORD_DELETE, &act, on_done, &rc);
    sp_queue_commit(q);
    sp_buf_clear(&text);
    return rc;
}

/* Writes the deletions of one shard; failed: plus how many could not be. returns: whether it could be opened */
static bool repair_shard(struct spool *s, unsigned shard, const struct spool_findings *f,
                         size_t *failed)
{
    char path[SPOOL_PATH_MAX];
    char name[64];
    struct sp_queue *q = NULL;
    struct sp_err err = {0};
    size_t given_up = 0;
    bool is_open = false;

    (void)snprintf(name, sizeof(name), "spool/%u", shard);
    if (!spool_path(path, s->state, name) || !act_as_owner(path)) {
        (void)spool_fail(s, 0, "shard %u: its owner's rights can't be taken", shard);
    } else if (spool_open(s, s->state, shard, SPOOL_WRITE, &q, &err) != SP_OK) {
        (void)spool_fail(s, 0, "shard %u: %s", shard, err.text);
    } else { /* opening has mended headers, too */
        is_open = true;
        for (size_t i = 0; i < f->count; i++) {
            sp_queue_miss(q, &f->at[i].id);
            given_up += give_up(s, q, &f->at[i].id) == SP_OK;
        }
        sp_queue_close(q);
    }
    *failed += f->count - given_up;
    return act_as_owner(NULL) && is_open;
}

/* Messages that no shard has are given up in the first: the record tells whom it is about. */
static void give_up_missing(struct spool *s, const struct spool_missing *m, size_t *failed)
{
    struct spool_findings f = {.count = m->count};

    if (m->count == 0 || !s->yes)
        return;
    f.at = sp_calloc(m->count, sizeof(*f.at));
    for (size_t i = 0; i < m->count; i++)
        f.at[i].id = m->at[i]->id;
    (void)repair_shard(s, s->shards[0], &f, failed);
    spool_findings_clear(&f);
}

static int one_shard(struct spool *s, unsigned shard, struct sp_jw *w, struct repaired *r)
{
    struct spool_findings f = {.count = 0};
    struct sp_queue *q = NULL;
    struct sp_err err = {0};
    uint64_t copies;
    bool is_done = true;

    if (spool_open(s, s->state, shard, SPOOL_AS_START, &q, &err) != SP_OK)
        return spool_fail(s, SPOOL_FAILED, "shard %u: %s", shard, err.text);
    spool_findings_gather(&f, q);
    spool_missing_found(s->missing, shard, q);
    copies = sp_queue_stats(q).copies;
    sp_queue_close(q);
    for (size_t i = 0; i < f.count; i++)
        spool_finding_put(&f.at[i], s->json ? w : NULL);
    r->total += f.count;
    r->copies += copies;
    if (s->yes && (f.count > 0 || copies > 0))
        is_done = repair_shard(s, shard, &f, &r->failed);
    spool_findings_clear(&f);
    return is_done ? SPOOL_OK : SPOOL_FAILED;
}

static void tell_words(const struct spool *s, const struct repaired *r)
{
    size_t total = r->total;
    const char *ending = total == 1 ? "" : "s";

    if (r->copies > 0)
        (void)printf("%llu header%s or keyring of which one of two was damaged%s\n",
                     (unsigned long long)r->copies, r->copies == 1 ? "" : "s",
                     s->yes ? ": written anew from the other"
                            : ": --yes --reason TEXT writes it anew from the other");
    if (total == 0)
        (void)printf("nothing to repair: every waiting message can be read\n");
    else if (s->yes)
        (void)printf("%zu message%s given up, on record; all others are as they were\n", total,
                     ending);
    else
        (void)printf(
            "%zu message%s can't be read by anybody: with --yes --reason TEXT %s given up, all "
            "others stay as they are\n",
            total, ending, total == 1 ? "it is" : "they are");
}

/* All shards, one after the other, the others if one can't be opened; json gets what is told in JSON. */
static int repair_all(struct spool *s, struct sp_buf *json, struct repaired *r)
{
    struct sp_jw w;
    int code = SPOOL_OK;

    sp_jw_init(&w, json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "damaged_messages");
    for (size_t i = 0; i < s->shard_count; i++)
        if (one_shard(s, s->shards[i], &w, r) != SPOOL_OK)
            code = SPOOL_FAILED;
    sp_jw_end(&w);
    if (code == SPOOL_OK && !spool_missing_end(s, s->state, s->missing))
        code = SPOOL_DAMAGED;
    if (code == SPOOL_OK && s->missing->is_known) { /* else they may be in what can't be opened */
        sp_jw_array(&w, "missing");
        spool_missing_put(s->missing, s->json ? &w : NULL);
        sp_jw_end(&w);
        r->total += s->missing->count;
        give_up_missing(s, s->missing, &r->failed);
    }
    sp_jw_int(&w, "given_up", s->yes ? (int64_t)(r->total - r->failed) : 0);
    sp_jw_int(&w, "read_from_copy", (int64_t)r->copies);
    sp_jw_end(&w);
    return code;
}

int spool_repair(struct spool *s)
{
    struct spool_missing missing;
    struct repaired r = {0};
    struct sp_buf json;
    int code;

    if (s->yes && (s->reason == NULL || sp_bytes_trim(sp_bytes_cstr(s->reason)).len == 0))
        return spool_fail(s, SPOOL_USAGE,
                          "--reason is needed: it becomes part of the audit record");
    if (spool_is_running(s->state))
        return spool_fail(s, SPOOL_USAGE, "a gateway runs on %s: stop it, or use `queue delete`",
                          s->state);
    if (!spool_find_shards(s, s->state))
        return spool_fail(s, SPOOL_NO_INPUT, "%s holds no spool", s->state);
    if (!spool_missing_read(s, s->state, &missing) && s->yes)
        return SPOOL_FAILED; /* what is given up is told to the ledger: not as long as that is damaged */
    sp_buf_init(&json, (size_t)64 << 20);
    s->missing = &missing;
    code = repair_all(s, &json, &r);
    s->missing = NULL;
    spool_missing_clear(&missing);
    if (s->json)
        (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&json)));
    sp_buf_clear(&json);
    if (code != SPOOL_OK && r.total == 0) /* of the rest nothing is to be said */
        return code;
    if (r.failed > 0)
        return spool_fail(s, SPOOL_FAILED, "%zu of %zu could not be given up", r.failed, r.total);
    if (!s->json)
        tell_words(s, &r);
    if (code != SPOOL_OK)
        return code;
    return r.total > 0 && !s->yes ? SPOOL_DAMAGED : SPOOL_OK;
}
