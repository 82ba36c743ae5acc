/*
 * `queue check`: every shard is opened read-only and read from end to end. While the gateway runs a message may end
 * between the look at the log and the look at its body: what seems damaged then is looked at once more from the start,
 * and told only if it still is.
 */
#include "gateway/cli-spool/spool.h"

#include "base/text.h"

#include <stdio.h>

enum { TRIES = 3 };

struct finding {
    struct sp_id id;
    enum sp_rc why;
};

struct findings {
    struct finding *at;
    size_t count;
};

static void on_finding(void *arg, const struct sp_id *id, enum sp_rc why)
{
    struct findings *f = arg;

    f->at = sp_realloc(f->at, (f->count + 1) * sizeof(*f->at));
    f->at[f->count++] = (struct finding){*id, why};
}

/* One look. returns: SP_OK if the shard could be opened */
static enum sp_rc look(struct spool *s, const char *folder, unsigned shard, struct findings *f,
                       struct sp_queue_stats *stats, struct sp_err *err)
{
    struct sp_queue *q = NULL;
    enum sp_rc rc = spool_open(s, folder, shard, true, &q, err);

    f->count = 0;
    if (rc != SP_OK)
        return rc;
    (void)sp_queue_check(q, on_finding, f);
    *stats = sp_queue_stats(q);
    sp_queue_close(q);
    return SP_OK;
}

static void put_shard(struct spool *s, unsigned shard, const struct findings *f,
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
    for (size_t i = 0; i < f->count; i++) {
        sp_jw_object(w, NULL);
        sp_jw_id(w, "message", f->at[i].id.b);
        sp_jw_cstr(w, "why", sp_rc_name(f->at[i].why));
        sp_jw_end(w);
    }
    sp_jw_end(w);
    sp_jw_end(w);
    if (s->json || s->quiet)
        return;
    (void)printf("shard %u: %zu messages, %llu records in %llu segments: %s\n", shard,
                 stats->messages, (unsigned long long)stats->records,
                 (unsigned long long)stats->segments,
                 f->count + stats->damaged == 0 ? "all whole" : "DAMAGED");
    if (stats->damaged > 0)
        (void)printf("  %llu records can't be read\n", (unsigned long long)stats->damaged);
    for (size_t i = 0; i < f->count; i++) {
        char id[SP_ID_TEXT_LEN + 1];

        sp_id_format(&f->at[i].id, id);
        (void)printf("  message %s: %s\n", id, sp_rc_name(f->at[i].why));
    }
}

/* One shard, with what it came to. returns: SPOOL_OK, SPOOL_DAMAGED or SPOOL_FAILED */
static int check_shard(struct spool *s, const char *folder, unsigned shard, int tries,
                       struct spool_found *found, struct sp_jw *w)
{
    struct sp_queue_stats stats = {0};
    struct findings f = {0};
    struct sp_err err = {0};
    enum sp_rc rc = SP_OK;
    int code = SPOOL_OK;

    for (int n = 0; n < tries; n++) {
        rc = look(s, folder, shard, &f, &stats, &err);
        if (rc == SP_OK && f.count == 0)
            break;
    }
    if (rc == SP_OK) {
        put_shard(s, shard, &f, &stats, w);
        found->messages += stats.messages;
        found->damaged += f.count + stats.damaged;
        code = f.count + stats.damaged > 0 ? SPOOL_DAMAGED : SPOOL_OK;
    } else {
        found->damaged++;
        code = spool_fail(s, rc == SP_E_JOURNAL_DAMAGED ? SPOOL_DAMAGED : SPOOL_FAILED,
                          "shard %u: %s", shard, err.text);
    }
    sp_free(f.at);
    return code;
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
    sp_jw_bool(&w, "whole", found->damaged == 0);
    sp_jw_end(&w);
    if (s->json && !s->quiet)
        (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&json)));
    sp_buf_clear(&json);
    return code;
}

int spool_check(struct spool *s)
{
    const char *folder = s->folder != NULL ? s->folder : s->state;
    struct spool_found found;

    return spool_check_folder(s, folder, spool_is_running(folder), &found);
}
