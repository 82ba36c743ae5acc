/*
 * `queue check`: every shard is opened read-only and read from end to end. While the gateway runs a message may end
 * between the look at the log and the look at its body: what seems damaged then is looked at once more from the start,
 * and told only if it still is. The same where the shard did not hold still while it was opened.
 */
#include "gateway/cli-spool/spool.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 3 };

static void take(void *arg, const struct sp_queue_finding *finding)
{
    struct spool_findings *f = arg;

    f->at = sp_realloc(f->at, (f->count + 1) * sizeof(*f->at));
    f->at[f->count++] = *finding;
}

static int compare(const void *a, const void *b)
{
    return memcmp(&((const struct sp_queue_finding *)a)->id,
                  &((const struct sp_queue_finding *)b)->id, sizeof(struct sp_id));
}

void spool_findings_gather(struct spool_findings *f, struct sp_queue *q)
{
    const uint64_t *lost;

    spool_findings_clear(f);
    (void)sp_queue_check(q, take, f);
    if (f->count > 0)
        qsort(f->at, f->count, sizeof(*f->at), compare);
    if (f->count > 0 && sp_id_is_zero(&f->at[0].id)) { /* else it was given up */
        f->lost_count = sp_queue_lost(q, &lost);
        f->lost = sp_calloc(f->lost_count + 1, sizeof(*f->lost));
        memcpy(f->lost, lost, f->lost_count * sizeof(*f->lost));
    }
}

void spool_findings_clear(struct spool_findings *f)
{
    sp_free(f->at);
    sp_free(f->lost);
    *f = (struct spool_findings){.count = 0};
}

void spool_finding_put(const struct sp_queue_finding *finding, struct sp_jw *w)
{
    char id[SP_ID_TEXT_LEN + 1];

    if (w != NULL) {
        sp_jw_object(w, NULL);
        sp_jw_id(w, "message", finding->id.b);
        sp_jw_cstr(w, "why", sp_rc_name(finding->why));
        sp_jw_int(w, "segment", (int64_t)finding->segment);
        if (finding->record != 0)
            sp_jw_int(w, "record", (int64_t)finding->record);
        sp_jw_end(w);
        return;
    }
    sp_id_format(&finding->id, id);
    if (sp_id_is_zero(&finding->id))
        (void)printf("  what lies in segment %llu, from nobody knows which messages: %s\n",
                     (unsigned long long)finding->segment, sp_rc_name(finding->why));
    else if (finding->record != 0)
        (void)printf("  message %s (segment %llu, record %llu): %s\n", id,
                     (unsigned long long)finding->segment, (unsigned long long)finding->record,
                     sp_rc_name(finding->why));
    else
        (void)printf("  message %s (segment %llu): %s\n", id, (unsigned long long)finding->segment,
                     sp_rc_name(finding->why));
}

/*
 * A record is damaged: who misses it? Nobody, if a start finds the same in the segment's footer; what lives there is read again, with
 * its body. A shard that can't be opened now has been looked at.
 */
static void look_as_start(struct spool *s, const char *folder, unsigned shard,
                          struct spool_findings *f, struct sp_queue_stats *stats)
{
    struct sp_queue *q = NULL;
    struct sp_err err = {0};

    if (spool_open(s, folder, shard, SPOOL_AS_START, &q, &err) != SP_OK)
        return;
    spool_findings_gather(f, q);
    if (s->missing != NULL) {
        spool_missing_found(s->missing, shard, q);
        spool_twins_take(&s->twins, shard, q);
    }
    stats->messages = sp_queue_stats(q).messages;
    sp_queue_close(q);
}

/* One look. returns: SP_OK if the shard could be opened */
static enum sp_rc look(struct spool *s, const char *folder, unsigned shard,
                       struct spool_findings *f, struct sp_queue_stats *stats, struct sp_err *err)
{
    struct sp_queue *q = NULL;
    enum sp_rc rc = spool_open(s, folder, shard, SPOOL_LOOK, &q, err);

    spool_findings_clear(f);
    if (rc != SP_OK)
        return rc;
    spool_findings_gather(f, q);
    if (s->missing != NULL) {
        spool_missing_found(s->missing, shard, q);
        spool_twins_take(&s->twins, shard, q);
    }
    *stats = sp_queue_stats(q);
    sp_queue_close(q);
    if (stats->damaged > 0)
        look_as_start(s, folder, shard, f, stats);
    return SP_OK;
}

static void put_words(unsigned shard, const struct spool_findings *f,
                      const struct sp_queue_stats *stats)
{
    (void)printf("shard %u: %zu messages, %llu records in %llu segments: %s\n", shard,
                 stats->messages, (unsigned long long)stats->records,
                 (unsigned long long)stats->segments, f->count > 0 ? "DAMAGED" : "all whole");
    if (stats->damaged > 0)
        (void)printf("  %llu record%s can't be read%s\n", (unsigned long long)stats->damaged,
                     stats->damaged == 1 ? "" : "s",
                     f->count > 0 ? ""
                                  : ", and nobody waits for what was in there (given up, "
                                    "ended, or in the footer, too): they go with their segment");
    if (stats->copies > 0)
        (void)printf("  %llu header%s or keyring read from the second copy, or with a second copy "
                     "that is damaged: the next start, or `queue repair --yes`, writes it anew\n",
                     (unsigned long long)stats->copies, stats->copies == 1 ? "" : "s");
    for (size_t i = 0; i < f->count; i++)
        spool_finding_put(&f->at[i], NULL);
    if (f->lost_count > 1) {
        (void)printf("  so of segments");
        for (size_t i = 0; i < f->lost_count; i++)
            (void)printf(" %llu", (unsigned long long)f->lost[i]);
        (void)printf("\n");
    }
}

static void put_shard(struct spool *s, unsigned shard, const struct spool_findings *f,
                      const struct sp_queue_stats *stats, struct sp_jw *w)
{
    sp_jw_object(w, NULL);
    sp_jw_int(w, "shard", shard);
    sp_jw_int(w, "segments", (int64_t)stats->segments);
    sp_jw_int(w, "records", (int64_t)stats->records);
    sp_jw_int(w, "messages", (int64_t)stats->messages);
    sp_jw_int(w, "damaged_records", (int64_t)stats->damaged);
    sp_jw_int(w, "unacknowledged", (int64_t)stats->dropped);
    sp_jw_array(w, "damaged_messages");
    for (size_t i = 0; i < f->count; i++)
        spool_finding_put(&f->at[i], w);
    sp_jw_end(w);
    sp_jw_array(w, "lost_segments");
    for (size_t i = 0; i < f->lost_count; i++)
        sp_jw_int(w, NULL, (int64_t)f->lost[i]);
    sp_jw_end(w);
    sp_jw_int(w, "read_from_copy", (int64_t)stats->copies);
    sp_jw_end(w);
    if (!s->json && !s->quiet)
        put_words(shard, f, stats);
}

/* What an administrator can do about it. */
static void put_hints(const struct spool_found *found, const struct spool_missing *m)
{
    bool has_missing = m != NULL && m->is_known && m->count > 0;

    if (has_missing) {
        (void)printf("%zu message%s accepted and not ended, and in no shard: `sallyport audit show "
                     "ID` tells the sender, who is to send it again\n",
                     m->count, m->count == 1 ? " was" : "s were");
        spool_missing_put(m, NULL);
    }
    if (found->damaged > 0)
        (void)printf(
            "what can't be read keeps its segment, and all behind it, on the disk until it "
            "is given up: `sallyport queue delete ID --reason TEXT`\n");
    if (found->damaged > 0 || has_missing)
        (void)printf("all of it is given up, on record, by `sallyport queue repair --yes --reason "
                     "TEXT` while the gateway is stopped\n");
}

/* One shard, with what it came to. returns: SPOOL_OK, SPOOL_DAMAGED or SPOOL_FAILED */
static int check_shard(struct spool *s, const char *folder, unsigned shard, int tries,
                       struct spool_found *found, struct sp_jw *w)
{
    struct sp_queue_stats stats = {0};
    struct spool_findings f = {0};
    struct sp_err err = {0};
    enum sp_rc rc = SP_OK;
    int code = SPOOL_OK;

    for (int n = 0; n < tries; n++) {
        rc = look(s, folder, shard, &f, &stats, &err);
        if (rc == SP_OK && f.count == 0 && !stats.is_torn)
            break;
    }
    if (s->missing != NULL)
        s->missing->is_torn |= stats.is_torn;
    if (rc == SP_OK) {
        put_shard(s, shard, &f, &stats, w);
        found->messages += stats.messages;
        found->damaged += f.count; /* each record that somebody waits for is one of them */
        code = f.count > 0 ? SPOOL_DAMAGED : SPOOL_OK;
    } else if (s->quiet && rc == SP_E_JOURNAL_DAMAGED) { /* looked at again, and told then */
        found->damaged++;
        found->closed++;
        code = SPOOL_DAMAGED;
    } else {
        found->damaged++;
        found->closed++;
        code = spool_fail(s, rc == SP_E_JOURNAL_DAMAGED ? SPOOL_DAMAGED : SPOOL_FAILED,
                          "shard %u: %s", shard, err.text);
    }
    spool_findings_clear(&f);
    return code;
}

/* Who is missing, when all shards have been looked at. returns: how many, or what is wrong; 0 where a shard is closed or there is no ledger */
static size_t end_missing(struct spool *s, const char *folder, const struct spool_found *found,
                          struct sp_jw *w)
{
    struct spool_missing *m = s->missing;

    m->is_known = m->is_known && found->closed == 0; /* what lies in there, nobody sees */
    if (!spool_missing_end(s, folder, m))
        return 1;
    if (!m->is_known)
        return 0;
    sp_jw_array(w, "missing");
    spool_missing_put(m, w);
    sp_jw_end(w);
    return m->count;
}

int spool_check_folder(struct spool *s, const char *folder, bool is_running,
                       struct spool_found *found)
{
    struct sp_buf json;
    struct sp_jw w;
    int code = SPOOL_OK;

    *found = (struct spool_found){0};
    if (!spool_find_shards(s, folder))
        return spool_fail(s, SPOOL_NO_INPUT, "%s holds no spool", folder);
    sp_buf_init(&json, (size_t)64 << 20);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "shards");
    for (size_t i = 0; i < s->shard_count && code != SPOOL_FAILED; i++) {
        int of_this = check_shard(s, folder, s->shards[i], is_running ? TRIES : 1, found, &w);

        code = of_this > code ? of_this : code;
    }
    sp_jw_end(&w);
    if (s->missing != NULL) {
        size_t wrong = end_missing(s, folder, found, &w);

        sp_jw_array(&w, "in_two_shards");
        wrong += spool_twins_end(s, &s->twins, &w);
        sp_jw_end(&w);
        sp_jw_array(&w, "databases");
        wrong += spool_check_databases(s, folder, &w);
        sp_jw_end(&w);
        if (wrong > 0 && code == SPOOL_OK)
            code = SPOOL_DAMAGED;
    }
    sp_jw_bool(&w, "whole", code == SPOOL_OK);
    sp_jw_end(&w);
    if (s->json && !s->quiet)
        (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&json)));
    else if (!s->quiet && found->closed == 0)
        put_hints(found, s->missing);
    sp_buf_clear(&json);
    return code;
}

int spool_check(struct spool *s)
{
    const char *folder = s->folder != NULL ? s->folder : s->state;
    struct spool_missing missing;
    struct spool_found found;
    bool is_readable = spool_missing_read(s, folder, &missing);
    int code;

    s->missing = &missing;
    code = spool_check_folder(s, folder, spool_is_running(folder), &found);
    spool_missing_clear(&missing);
    s->missing = NULL;
    return code == SPOOL_OK && !is_readable ? SPOOL_DAMAGED : code;
}
