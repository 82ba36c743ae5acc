/*
 * The gateway's storage without its processes: the same calls in the order in which relay and ledger make them, on one
 * thread, so that a seed gives the same run again.
 */
#include "power/world.h"

#include "base/mem.h"
#include "power/vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHARD "0"
#define OWN   "ledger"

uint64_t world_roll(struct world *w, uint64_t below)
{
    return power_random(&w->dice) % below;
}

size_t world_now(const struct world *w)
{
    return power_disk_now(w->disk);
}

static void attach(struct world *w)
{
    power_view_init(&w->spool, w->disk, "spool/0");
    power_view_init(&w->ledger, w->disk, "ledger");
    power_view_init(&w->acts, w->disk, "ledger/journal");
    w->arena = sp_arena_new(16384);
}

void world_init(struct world *w, uint64_t seed)
{
    uint8_t public_key[SP_SIGN_PUBLIC_LEN];
    struct fake_random random;

    memset(w, 0, sizeof(*w));
    w->dice = seed;
    fake_random_init(&w->random, seed);
    fake_clock_init(&w->clock, 0);
    memset(w->keys.content.b, 0x11, SP_SECRET_LEN);
    memset(w->keys.record.b, 0x22, SP_SECRET_LEN);
    memcpy(w->keys.kek_id, "kek-test", 8);
    w->acts_keys = w->keys;
    w->generations[w->generation_count++].keys = w->keys;
    w->is_renewed = true;
    w->segment_len = 96 * 1024;
    w->prewrite = world_roll(w, 4) == 0;
    fake_random_init(&random, 5);
    w->signer.node = "gw1";
    sp_secret_init(&w->signer.secret, &random.random);
    sp_assert(sp_sign_public(&w->signer.secret, public_key) == SP_OK &&
              sp_audit_public_from_raw(sp_bytes(public_key, sizeof(public_key)), &w->signer.key));
    (void)snprintf(w->folder, sizeof(w->folder), "/tmp/sp-power-XXXXXX");
    sp_assert(mkdtemp(w->folder) != NULL);
    w->disk = power_disk_new();
    power_disk_folder(w->disk, "spool/0");
    power_disk_folder(w->disk, "ledger");
    power_disk_folder(w->disk, "ledger/journal");
    attach(w);
}

void world_make_tight(struct world *w)
{
    w->is_tight = true;
    w->segment_len = 16 * 1024;
}

void world_init_found(struct world *w, const struct world *was, size_t at, struct power_disk *found)
{
    *w = *was;
    w->disk = found;
    if (was->history == NULL) {
        w->history = was->disk;
        w->history_at = at;
    }
    for (size_t i = 0; was->history == NULL && i < was->generation_count; i++)
        if (was->generations[i].at <= at)
            w->keys = was->generations[i].keys;
    w->gone_count = 0;
    for (size_t i = 0; i < was->gone_count; i++) /* what was not said yet is not known */
        if (was->history != NULL || was->gone[i].at <= at)
            w->gone[w->gone_count++] = was->gone[i];
    w->audit_seen = 0;
    w->queue = NULL;
    w->own = NULL;
    w->own_reader = NULL;
    w->reader = NULL;
    w->book = NULL;
    w->dead = false;
    for (size_t i = 0; i < w->message_count; i++)
        if (w->messages[i].parent != NULL)
            w->messages[i].parent = &w->messages[was->messages[i].parent - was->messages];
    for (size_t i = 0; i < w->act_count; i++)
        w->act[i].busy = false;
    attach(w);
}

static void close_books(struct world *w)
{
    sp_journal_reader_free(w->reader);
    sp_journal_reader_free(w->own_reader);
    sp_audit_book_free(w->book);
    w->reader = NULL;
    w->own_reader = NULL;
    w->book = NULL;
}

static void close_all(struct world *w)
{
    power_vfs_use(w->disk, "ledger");
    if (w->queue != NULL && w->met != NULL)
        w->met->carried += sp_queue_stats(w->queue).carried;
    sp_queue_close(w->queue);
    sp_journal_close(w->own);
    w->queue = NULL;
    w->own = NULL;
    close_books(w);
}

void world_clear(struct world *w)
{
    char path[96];

    w->dead = true;
    close_all(w);
    sp_arena_free(w->arena);
    power_disk_free(w->disk);
    if (w->history != NULL) /* the folder is the first world's */
        return;
    (void)snprintf(path, sizeof(path), "%s/state.db", w->folder);
    (void)unlink(path);
    (void)rmdir(w->folder);
}

/* ---- the relay's half ---- */

static void on_durable(void *arg, uint64_t segment, uint64_t end)
{
    struct world *w = arg;

    if (w->reader != NULL)
        sp_journal_reader_tell(w->reader, segment, end);
}

static enum sp_rc open_queue(struct world *w)
{
    struct sp_queue_options o = {
        .io = &w->spool.io,
        .keys = &w->keys,
        .clock = &w->clock.clock,
        .random = &w->random.random,
        .segment_len = w->segment_len,
        .reserve_len = 16 * 1024,
        .prewrite = w->prewrite,
        .body_inline = w->is_tight ? 8192 : 0,
        .on_durable = on_durable,
        .arg = w,
    };
    struct sp_err err = {0};
    enum sp_rc rc;

    rc = sp_queue_open(&o, &w->queue, &err);
    if (rc == SP_OK && w->met != NULL)
        w->met->footers += sp_queue_stats(w->queue).footers;
    return rc;
}

/* ---- the ledger's half ---- */

static void on_entry(void *arg, const struct sp_journal_entry *e)
{
    (void)arg;
    (void)e;
}

static void on_own_durable(void *arg, uint64_t segment, uint64_t end)
{
    struct world *w = arg;

    if (w->own_reader != NULL)
        sp_journal_reader_tell(w->own_reader, segment, end);
}

static enum sp_rc open_own(struct world *w)
{
    struct sp_journal_options o = {
        .io = &w->acts.io,
        .keys = &w->acts_keys,
        .clock = &w->clock.clock,
        .random = &w->random.random,
        .segment_len = 16 * 1024,
        .reserve_len = 8 * 1024,
        .on_entry = on_entry,
        .on_durable = on_own_durable,
        .arg = w,
    };
    struct sp_journal_recovery found;
    struct sp_err err = {0};

    return sp_journal_open(&o, &w->own, &found, &err);
}

static enum sp_rc open_reader(struct world *w, const char *shard, const struct sp_journal_io *io,
                              struct sp_journal_reader **out)
{
    struct sp_journal_cursor from;
    enum sp_rc rc = sp_audit_book_cursor(w->book, shard, &from, NULL);

    if (rc == SP_OK)
        *out = sp_journal_reader_new(io, &w->keys.record, &from);
    return rc;
}

/* A ledger that has just started. returns: false if it could not */
static bool open_books(struct world *w)
{
    char database[96];
    char file[96];
    struct sp_audit_book_options o = {
        .database = database,
        .file = file,
        .io = &w->ledger.io,
        .signer = &w->signer,
        .clock = &w->clock.clock,
        .checkpoint_records = 40,
        .rotate_len = 6000, /* a few files in a run */
    };
    enum sp_rc rc;

    (void)snprintf(database, sizeof(database), "%s/state.db", w->folder);
    (void)snprintf(file, sizeof(file), "%s/audit.jsonl", w->folder);
    power_vfs_use(w->disk, "ledger");
    rc = sp_audit_book_open(&o, &w->book, NULL);
    if (rc == SP_OK)
        rc = open_reader(w, SHARD, &w->spool.io, &w->reader);
    if (rc == SP_OK)
        rc = open_reader(w, OWN, &w->acts.io, &w->own_reader);
    if (rc != SP_OK) {
        w->book_failures++;
        close_books(w);
    }
    return rc == SP_OK;
}

static enum sp_rc fold(struct world *w, const char *shard, struct sp_journal_reader *r)
{
    struct sp_journal_entry e;
    struct sp_journal_cursor after;
    enum sp_rc rc;

    while ((rc = sp_journal_reader_next(r, &e)) == SP_OK || rc == SP_E_JOURNAL_DAMAGED) {
        e.damaged = rc != SP_OK;
        after = sp_journal_reader_cursor(r);
        rc = sp_audit_book_fold(w->book, shard, &e, &after, NULL);
        if (rc != SP_OK)
            return rc;
    }
    return SP_OK; /* nothing more, or it can't be read now: the next turn tries again */
}

void world_turn(struct world *w)
{
    enum sp_rc rc = SP_OK;

    power_vfs_use(w->disk, "ledger");
    if (w->book == NULL && !open_books(w))
        return;
    if (!sp_audit_book_is_behind(w->book)) {
        rc = fold(w, SHARD, w->reader);
        if (rc == SP_OK)
            rc = fold(w, OWN, w->own_reader);
    }
    if (rc == SP_OK && sp_audit_book_has_work(w->book))
        rc = sp_audit_book_commit(w->book, NULL);
    if (rc == SP_OK && sp_audit_book_checkpoint_is_due(w->book))
        rc = sp_audit_book_checkpoint(w->book, NULL);
    if (rc == SP_OK)
        rc = sp_audit_book_rotate(w->book, NULL);
    if (rc != SP_OK) { /* the process ends, and another begins from what was committed */
        w->book_failures++;
        close_books(w);
        return;
    }
    world_note_gone(w);
    if (w->own != NULL) {
        uint64_t passed = sp_journal_reader_cursor(w->own_reader).segment;

        sp_journal_passed(w->own, passed);
        sp_journal_forget(w->own, passed);
    }
    if (w->queue != NULL)
        sp_queue_ledger_passed(w->queue, sp_journal_reader_cursor(w->reader).segment);
}

/* ---- life ---- */

enum sp_rc world_open(struct world *w)
{
    enum sp_rc rc = open_queue(w);

    if (rc != SP_OK)
        return rc;
    if (open_own(w) != SP_OK)
        w->own = NULL;
    (void)open_books(w);
    return SP_OK;
}

void world_close(struct world *w)
{
    world_turn(w);
    if (w->book != NULL && sp_audit_book_stop(w->book, NULL) != SP_OK)
        w->book_failures++;
    close_all(w);
}

/* What the new start holds of a message nobody had an answer for is a fact from then on. */
static void adopt(struct world *w, struct world_message *m)
{
    struct sp_queue_message *found = NULL;
    bool there = sp_queue_load(w->queue, &m->id, &found) == SP_OK;
    size_t now = world_now(w);

    if (there && m->accepted == 0)
        m->accepted = now;
    for (size_t n = 0; n < m->rcpt_count && m->accepted != 0; n++) {
        struct world_rcpt *r = &m->rcpts[n];
        size_t last = r->count;

        if (there && sp_bytes_eq(found->accept.recipients[n].address, SP_LIT(WORLD_OTHER)) &&
            r->moved_at == 0)
            r->moved_at = now;

        while (last > 0 && r->changes[last - 1].at == 0)
            last--;
        for (size_t i = last; i < r->count; i++) { /* begun, and nobody heard of the end */
            bool is_final = sp_rcpt_state_is_final(r->changes[i].state);

            if (there ? r->changes[i].state == found->rcpts[n].state : is_final)
                r->changes[i].at = now;
        }
    }
    sp_queue_message_free(found);
}

bool world_is_dead(const struct world *w)
{
    return w->dead || power_disk_is_frozen(w->disk);
}

void world_kill(struct world *w)
{
    power_disk_freeze(w->disk, true);
    w->dead = true;
    close_all(w);
    w->dead = false;
    power_disk_freeze(w->disk, false);
    if (world_open(w) != SP_OK)
        return;
    for (size_t i = 0; i < w->message_count; i++)
        adopt(w, &w->messages[i]);
}
