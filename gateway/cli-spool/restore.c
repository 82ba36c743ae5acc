/*
 * `queue restore`: a backup into a state folder that holds nothing. What is copied says to the relays that all that waits in
 * it may have been sent since; the keyrings come last, so that one that was cut off opens no shard.
 */
#include "gateway/cli-spool/spool.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_file(const char *name)
{
    return strcmp(name, SPOOL_MANIFEST) != 0;
}

/* Without a keyring no shard opens: they come last, so that a restore that was cut off is no spool. */
static bool is_before_keyrings(const char *name)
{
    return is_file(name) && strcmp(name, "keyring") != 0;
}

/* Whether a state folder holds nothing that a restore would mix with. */
static bool is_empty(struct spool *s)
{
    char path[SPOOL_PATH_MAX];
    size_t count = 0;

    if (spool_path(path, s->state, "ledger/state.db") && access(path, F_OK) == 0)
        return false;
    if (!spool_find_shards(s, s->state))
        return true;
    for (size_t i = 0; i < s->shard_count && count == 0; i++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "spool/%u", s->shards[i]);
        if (spool_path(path, s->state, name))
            sp_free(spool_list_segments(path, &count));
    }
    return count == 0;
}

/* Says to the shard's relay that whatever waits in it may have been delivered meanwhile. */
static bool mark(struct spool *s)
{
    bool ok = spool_find_shards(s, s->state);

    for (size_t i = 0; ok && i < s->shard_count; i++) {
        char keyring[SPOOL_PATH_MAX];
        char path[SPOOL_PATH_MAX];
        char name[64];

        (void)snprintf(name, sizeof(name), "spool/%u/keyring", s->shards[i]);
        ok = spool_path(keyring, s->target, name); /* its owner and mode */
        (void)snprintf(name, sizeof(name), "spool/%u/" SP_QUEUE_RESTORED, s->shards[i]);
        ok = ok && spool_path(path, s->state, name) && spool_copy_file(keyring, path, 0);
    }
    return ok;
}

/* returns: an exit code; nobody else is at the state folder */
static int restore(struct spool *s)
{
    static const struct spool_walk first = {.wants = is_before_keyrings};
    static const struct spool_walk all = {.wants = is_file};
    struct spool_found found;

    if (!is_empty(s))
        return spool_fail(s, SPOOL_USAGE, "%s holds mail or an audit already: move it away first",
                          s->state);
    if (!spool_walk(&first, s->target, s->state, 0) || !mark(s) ||
        !spool_walk(&all, s->target, s->state, 0) || !spool_sync_above(s->state))
        return spool_fail(s, SPOOL_FAILED, "%s can't be copied to %s%s", s->target, s->state,
                          spool_why());
    s->quiet = false;
    return spool_check_folder(s, s->state, false, &found);
}

int spool_restore(struct spool *s)
{
    char path[SPOOL_PATH_MAX];
    int lock, code;

    if (!spool_path(path, s->target, SPOOL_MANIFEST) || access(path, R_OK) != 0)
        return spool_fail(s, SPOOL_NO_INPUT, "%s is no backup, or was not finished", s->target);
    lock = spool_hold(s->state);
    if (lock < 0)
        return spool_fail(s, SPOOL_USAGE, "a gateway runs on %s: stop it first", s->state);
    code = restore(s);
    if (code == SPOOL_OK && spool_path(path, s->state, "root.mark") && unlink(path) == 0 &&
        !spool_sync_folder(s->state)) /* it was of the keys of what was there before */
        code = spool_fail(s, SPOOL_FAILED, "%s can't be synced%s", s->state, spool_why());
    (void)close(lock);
    return code;
}
