/*
 * Folding: each turn takes what is durable in each shard, commits it as one transaction, and lets others run. Turns come
 * when a relay says that something is durable, but at most ten a second, so that one sync carries many records and the
 * relays have the disk; and every second without being asked, in case a relay died before it could tell.
 */
#include "gateway/ledger/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW_TURNS     64
#define TURN_RECORDS  400 /* of one shard in one transaction */
#define GATHER_MS     100
#define IDLE_MS       1000
#define SCAN_MS       5000
#define RETRY_MS      1000  /* the audit file can't be written */
#define TRIM_MS       10000 /* between two times that free memory is given back */
#define CLOCK_STEP_MS 1000  /* a jump, and no correction of the kernel's */

static void free_shard(struct shard *s)
{
    sp_list_remove(&s->link);
    sp_journal_reader_free(s->reader);
    if (s->io_open)
        sp_journal_io_posix_free(&s->io);
    sp_free(s->name);
    sp_free(s);
}

struct shard *ledger_shard(struct ledger *l, struct sp_bytes name)
{
    SP_LIST_EACH(node, &l->shards)
    {
        struct shard *s = SP_CONTAINER(node, struct shard, link);

        if (sp_bytes_eq(sp_bytes_cstr(s->name), name))
            return s;
    }
    return NULL;
}

static enum sp_rc add_shard(struct ledger *l, const char *name, const char *folder,
                            struct sp_err *err)
{
    struct sp_journal_cursor from;
    struct shard *s;
    enum sp_rc rc = sp_audit_book_cursor(l->book, name, &from, err);

    if (rc != SP_OK)
        return rc;
    s = sp_calloc(1, sizeof(*s));
    sp_list_append(&l->shards, &s->link);
    s->name = sp_strdup(name);
    s->passed = from.segment;
    rc = sp_journal_io_posix(folder, &s->io, err);
    if (rc != SP_OK) {
        free_shard(s);
        return rc;
    }
    s->io_open = true;
    s->reader = sp_journal_reader_new(&s->io, &l->record_kek, &from);
    sp_log_info(l->log, "ledger.shard-found", SP_TEXT("shard", s->name));
    return SP_OK;
}

struct scan {
    struct ledger *l;
    const char *spool;
};

static void on_name(void *arg, const char *name)
{
    struct scan *scan = arg;
    struct sp_err err = {0};
    struct sp_buf path;

    if (name[0] == '.' || strcmp(name, LEDGER_OWN_SHARD) == 0 ||
        ledger_shard(scan->l, sp_bytes_cstr(name)) != NULL)
        return;
    sp_buf_init(&path, LEDGER_PATH_MAX);
    if (ledger_path(&path, scan->spool, name) == SP_OK &&
        add_shard(scan->l, name, (const char *)path.ptr, &err) != SP_OK)
        sp_log_warn(scan->l->log, "ledger.shard-failed", SP_TEXT("shard", name),
                    SP_RC("why", err.rc));
    sp_buf_clear(&path);
}

static void find_shards(struct ledger *l)
{
    struct sp_journal_io io;
    struct sp_buf spool;
    struct scan scan = {.l = l};

    l->scan_at_ms = sp_clock_mono_ms(l->clock) + SCAN_MS;
    sp_buf_init(&spool, LEDGER_PATH_MAX);
    if (ledger_path(&spool, sp_role_state_dir(l->role), "spool") == SP_OK &&
        sp_journal_io_posix((const char *)spool.ptr, &io, NULL) == SP_OK) {
        scan.spool = (const char *)spool.ptr;
        (void)io.list(io.ctx, ".", on_name, &scan);
        sp_journal_io_posix_free(&io);
    }
    sp_buf_clear(&spool);
}

struct shard *ledger_tail_shard(struct ledger *l, struct sp_bytes name)
{
    struct shard *s = ledger_shard(l, name);

    if (s == NULL)
        find_shards(l);
    return s == NULL ? ledger_shard(l, name) : s;
}

/* The process ends and begins anew from the last commit. Until it has ended, nothing more is taken. */
static void give_up(struct ledger *l, const struct sp_err *err)
{
    if (!l->failed)
        sp_role_fail(l->role, err);
    l->failed = true;
}

/* returns: records folded; a failure of the books ends the process: the record must not be passed over */
static size_t fold_shard(struct ledger *l, struct shard *s)
{
    struct sp_journal_entry entry;
    struct sp_journal_cursor after;
    struct sp_err err = {0};
    size_t count = 0;

    while (count < TURN_RECORDS) {
        enum sp_rc rc = sp_journal_reader_next(s->reader, &entry);

        if (rc == SP_E_JOURNAL_DAMAGED) {
            entry.damaged = true;
            rc = SP_OK;
        }
        if (rc != SP_OK) {
            if (rc != SP_E_NOT_FOUND)
                sp_log_warn(l->log, "ledger.read-failed", SP_TEXT("shard", s->name),
                            SP_RC("why", rc));
            break;
        }
        after = sp_journal_reader_cursor(s->reader);
        if (sp_audit_book_fold(l->book, s->name, &entry, &after, &err) != SP_OK) {
            give_up(l, &err);
            break;
        }
        count++;
    }
    l->untrimmed |= count > 0;
    return count;
}

/*
 * A relay lets a segment go that the reader has left, also into one without a record so far: then the books say so first. A cursor
 * before the shard's oldest segment is that of an older copy (gateway/cli-spool/missing.c).
 */
static void move_on(struct ledger *l, const struct shard *s)
{
    struct sp_journal_cursor at = sp_journal_reader_cursor(s->reader);
    struct sp_err err = {0};

    if (at.segment != s->passed && sp_audit_book_move(l->book, s->name, &at, &err) != SP_OK)
        give_up(l, &err);
}

static void committed(struct ledger *l)
{
    SP_LIST_EACH(node, &l->shards)
    {
        struct shard *s = SP_CONTAINER(node, struct shard, link);

        s->passed = sp_journal_reader_cursor(s->reader).segment;
        if (strcmp(s->name, LEDGER_OWN_SHARD) == 0)
            ledger_act_folded(l, s->passed);
    }
    ledger_posture_tell(l);
    ledger_suppress_tell(l);
    ledger_contacts_tell(l);
    ledger_wishes_tell(l);
}

/* returns: whether some shard had more than one turn's worth */
static bool turn(struct ledger *l)
{
    struct sp_err err = {0};
    bool more = false;

    if (sp_audit_book_is_broken(l->book)) { /* by a question of the command line, or by a fold */
        (void)sp_fail(&err, SP_E_STORE_FAILED, "the audit's database has failed");
        give_up(l, &err);
        return false;
    }
    if (!sp_audit_book_is_behind(l->book)) {
        SP_LIST_EACH(node, &l->shards)
        {
            struct shard *s = SP_CONTAINER(node, struct shard, link);

            more |= fold_shard(l, s) == TURN_RECORDS;
            move_on(l, s);
        }
    }
    if (!l->failed && sp_audit_book_has_work(l->book) &&
        sp_audit_book_commit(l->book, &err) != SP_OK)
        give_up(l, &err);
    if (l->failed)
        return false;
    committed(l);
    if (sp_audit_book_checkpoint_is_due(l->book) &&
        (sp_audit_book_checkpoint(l->book, &err) != SP_OK ||
         sp_audit_book_rotate(l->book, &err) != SP_OK))
        give_up(l, &err);
    return more;
}

void ledger_tail_now(struct ledger *l)
{
    find_shards(l);
    for (int i = 0; i < NOW_TURNS && turn(l); i++)
        ;
}

static int64_t pause_after(struct ledger *l, bool more)
{
    int64_t checkpoint = sp_audit_book_checkpoint_at(l->book);
    int64_t pause = IDLE_MS;

    if (sp_audit_book_has_work(l->book))
        return RETRY_MS;
    if (more)
        return 0;
    if (checkpoint != INT64_MAX) {
        checkpoint -= sp_clock_steady_ms(l->clock);
        if (checkpoint < pause)
            pause = checkpoint < 0 ? 0 : checkpoint;
    }
    return pause;
}

/* Who reads times must know where they jump. The kernel's slow corrections stay below the limit from turn to turn. */
static void note_clock(struct ledger *l)
{
    int64_t before = l->clock_off_ms;
    struct sp_err err = {0};
    char event[80];

    l->clock_off_ms = sp_clock_wall_ms(l->clock) - sp_clock_steady_ms(l->clock);
    if (llabs(l->clock_off_ms - before) < CLOCK_STEP_MS)
        return;
    sp_log_warn(l->log, "ledger.clock-set", SP_MS("offset", l->clock_off_ms - before));
    snprintf(event, sizeof(event), "{\"event\":\"clock.changed\",\"offset_ms\":%lld}",
             (long long)(l->clock_off_ms - before));
    if (sp_audit_book_say(l->book, sp_bytes_cstr(event), &err) != SP_OK)
        give_up(l, &err);
    ledger_reports_poke(l); /* a day may have ended */
}

/* A destroyed segment is a line a message in one transaction, ten times what a turn needs else, and a batch that a busy disk has
 * made large is several times the next: it is given back. */
static void give_back(struct ledger *l)
{
    if (!l->untrimmed || l->folded_at_ms - l->trimmed_at_ms < TRIM_MS)
        return;
    sp_audit_book_trim(l->book);
    SP_LIST_EACH(node, &l->shards)
    {
        sp_journal_reader_trim(SP_CONTAINER(node, struct shard, link)->reader);
    }
    sp_mem_trim();
    l->trimmed_at_ms = l->folded_at_ms;
    l->untrimmed = false;
}

static void on_tick(void *arg)
{
    struct ledger *l = arg;
    bool more;

    if (l->stopping || l->failed)
        return;
    if (sp_clock_mono_ms(l->clock) >= l->scan_at_ms)
        find_shards(l);
    note_clock(l);
    more = turn(l);
    l->folded_at_ms = sp_clock_mono_ms(l->clock);
    give_back(l);
    sp_timer_start(l->tick, pause_after(l, more));
}

void ledger_tail_poke(struct ledger *l)
{
    int64_t since = sp_clock_mono_ms(l->clock) - l->folded_at_ms;

    if (!l->stopping)
        sp_timer_start(l->tick, since >= GATHER_MS ? 0 : GATHER_MS - since);
}

void ledger_tail_start(struct ledger *l)
{
    struct sp_err err = {0};
    struct sp_buf path;

    sp_buf_init(&path, LEDGER_PATH_MAX);
    if (ledger_path(&path, sp_role_dir(l->role), "journal") != SP_OK ||
        add_shard(l, LEDGER_OWN_SHARD, (const char *)path.ptr, &err) != SP_OK)
        sp_role_fail(l->role, &err);
    sp_buf_clear(&path);
    l->tick = sp_timer_new(l->loop, on_tick, l);
    sp_timer_start(l->tick, 0);
}

void ledger_tail_finish(struct ledger *l)
{
    struct sp_err err = {0};

    l->stopping = true;
    find_shards(l);
    while (turn(l))
        ;
    if (!l->failed && sp_audit_book_stop(l->book, &err) != SP_OK)
        sp_log_error(l->log, "ledger.stop-failed", SP_RC("why", err.rc));
}

void ledger_tail_free(struct ledger *l)
{
    if (l->tick != NULL)
        sp_timer_free(l->tick);
    SP_LIST_EACH(node, &l->shards)
    {
        free_shard(SP_CONTAINER(node, struct shard, link));
    }
}
