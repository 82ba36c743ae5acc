/*
 * The first step of a recovery: which segments there are, and each opened with its keys. Who only looks does so beside the shard's
 * owner, who goes on: what it sees must be of one moment all the same.
 */
#include "journal/recover_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define SPARE_PREFIX "spare-"
#define NUMBERS_LEFT 1000000 /* a segment a second takes eleven days for these */
#define LOOKS_MAX                                                                                  \
    8 /* one is a few system calls a segment; what goes meanwhile has been carried and synced */

static void on_name(void *arg, const char *name)
{
    struct sp_recover_listing *l = arg;
    uint64_t number;

    if (strncmp(name, SPARE_PREFIX, strlen(SPARE_PREFIX)) == 0) {
        sp_buf_put(&l->spares, sp_bytes(name, strlen(name) + 1));
        return;
    }
    if (!sp_segment_name_parse(name, &number))
        return;
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 16 : l->cap * 2;
        l->numbers = sp_realloc(l->numbers, l->cap * sizeof(*l->numbers));
    }
    l->numbers[l->count++] = number;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void remove_spares(const struct sp_journal_io *io, struct sp_bytes names)
{
    struct sp_bytes name;

    while (sp_bytes_split(&names, '\0', &name))
        if (name.len > 0)
            (void)io->unlink(io->ctx, (const char *)name.ptr);
}

void sp_recover_remove(const struct sp_journal_options *o, uint64_t number)
{
    char name[SP_SEGMENT_NAME_MAX];

    sp_segment_name(number, name);
    if (!o->read_only)
        (void)o->io->unlink(o->io->ctx, name);
}

static bool is_named(const struct sp_recover_work *w, const struct sp_segment *s)
{
    return sp_keyring_next(w->m->keyring, s->number - 1) == s->number;
}

bool sp_recover_is_emptied(const struct sp_recover_work *w, const struct sp_segment *s)
{
    return s->is_headless || is_named(w, s);
}

void sp_recover_name(const struct sp_recover_work *w, const struct sp_segment *s)
{
    uint8_t salt[SP_SALT_LEN];
    struct sp_secret key;

    memcpy(salt, s->salt, SP_SALT_LEN);
    if (!sp_segment_has_salt(s) && !is_named(w, s)) {
        sp_random_fill(w->m->random, salt, SP_SALT_LEN);
        sp_keyring_add(w->m->keyring, salt, &key);
        sp_secret_clear(&key);
    }
    sp_keyring_number(w->m->keyring, salt, s->number);
}

static void keep(struct sp_recovered *r, struct sp_segment *s)
{
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->segments = sp_realloc(r->segments, r->cap * sizeof(struct sp_segment *));
    }
    r->segments[r->count++] = s;
}

/* What of its two headers is damaged is written anew from the other one. */
static void mend_header(struct sp_recover_work *w, const struct sp_segment *s)
{
    bool is_damaged = s->half == SP_HALF_FIRST || s->half == SP_HALF_SECOND;
    bool is_mended = false;

    if (s->half != SP_HALF_NONE && !w->o->read_only)
        is_mended = sp_segment_mend(w->m->io, s) == SP_OK; /* else it goes on as it is */
    w->r->found.copies += is_damaged;
    if (is_damaged)
        sp_log_warn(w->o->log, "journal.header-copy", SP_INT("segment", s->number),
                    SP_BOOL("mended", is_mended));
}

/*
 * Whether a segment's key was deleted, and its file not yet. Where nothing tells its salt its number does: all that hold something
 * are named from the first time on that a later one is, so a keyring that names a later one alone has let go of this one. One without
 * numbers, of version 1 or of a backup, says nothing.
 */
static bool is_let_go(const struct sp_recover_work *w, const struct sp_segment *s)
{
    return sp_segment_has_salt(s) || sp_keyring_next(w->m->keyring, s->number - 1) > s->number;
}

/* Opens one segment with its keys; *out is NULL if it is to be passed over. */
static enum sp_rc open_one(struct sp_recover_work *w, uint64_t number, struct sp_segment **out)
{
    enum sp_rc rc = sp_segment_open(w->m->io, &w->m->record_kek, number, out);

    if (rc == SP_E_JOURNAL_DAMAGED) {
        sp_log_error(w->o->log, "journal.damaged", SP_INT("segment", number), SP_INT("offset", 0));
        rc = sp_segment_open_headless(w->m->io, number, out);
        w->is_headless |= rc == SP_OK;
    }
    if (rc == SP_E_NOT_FOUND && w->o->read_only) { /* its owner has let go of it just now */
        *out = NULL;
        return SP_OK;
    }
    if (rc == SP_E_CRYPT_AUTH)
        return sp_fail(w->err, SP_E_JOURNAL_DAMAGED,
                       "segment %" PRIu64 " was written under another master key", number);
    if (rc != SP_OK)
        return sp_fail(w->err, rc,
                       "%012" PRIu64 ".seg can't be opened: look at its owner and mode, and at "
                       "the disk",
                       number);
    mend_header(w, *out);
    rc = sp_keyring_find(w->m->keyring, (*out)->salt, &(*out)->content_key);
    if (rc == SP_OK || rc == SP_E_NOT_FOUND) {
        (*out)->is_gone = rc == SP_E_NOT_FOUND && is_let_go(w, *out);
        return SP_OK;
    }
    sp_segment_free(w->m->io, SP_STEAL(*out));
    return sp_fail(w->err, SP_E_JOURNAL_DAMAGED,
                   "the keyring was written under another master key, or before a `keys rotate`");
}

/* Opens all segments and looks at their first batch; a last one without any batch is removed. */
static enum sp_rc open_all(struct sp_recover_work *w)
{
    struct sp_recovered *r = w->r;

    for (size_t i = 0; i < w->l.count; i++) {
        struct sp_scan_summary *sum = &w->sums[r->count];
        struct sp_segment *s = NULL;
        uint64_t other;
        enum sp_rc rc = open_one(w, w->l.numbers[i], &s);

        if (rc != SP_OK)
            return rc;
        if (s == NULL)
            continue;
        rc = sp_scan_first(w->m->io, s, sum);
        if (rc == SP_OK && !sum->any && (other = sp_segment_other(w->m->io, s)) != 0) {
            sp_segment_free(w->m->io, s);
            return sp_fail(w->err, SP_E_JOURNAL_DAMAGED,
                           "%012" PRIu64 ".seg is segment %" PRIu64 ": give it the name %012" PRIu64
                           ".seg, or move it away",
                           w->l.numbers[i], other, other);
        }
        if (rc == SP_OK && !sum->any && i + 1 == w->l.count && !sp_recover_is_emptied(w, s)) {
            sp_recover_remove(w->o, s->number);
            sp_segment_free(w->m->io, s);
            continue;
        }
        keep(r, s);
        if (rc != SP_OK)
            return sp_fail(w->err, rc, "segment %" PRIu64 " can't be read", w->l.numbers[i]);
    }
    return SP_OK;
}

/*
 * Keys go oldest first, so one that is not there behind one that is was lost, as with a keyring that somebody has put back: what lives
 * there is found out when it is sent.
 */
static void find_lost_keys(const struct sp_recover_work *w)
{
    bool is_behind = false;

    for (size_t i = 0; i < w->r->count; i++) {
        struct sp_segment *s = w->r->segments[i];

        is_behind |= !s->is_gone && !s->is_headless;
        if (!s->is_gone || !is_behind)
            continue;
        s->is_gone = false;
        if (s->is_headless) /* told by what else it lacks */
            continue;
        s->is_keyless = true;
        sp_log_error(w->o->log, "journal.key-lost", SP_INT("segment", s->number));
    }
}

/* The keyring of now. */
static enum sp_rc load_keyring(struct sp_recover_work *w, bool *has_lost)
{
    enum sp_rc rc = sp_keyring_reload(w->m->keyring, has_lost);

    if (rc == SP_E_NOT_FOUND && w->l.count == 0)
        return SP_OK;
    if (rc == SP_E_IO)
        return sp_fail(w->err, rc,
                       "the keyring can't be read: look at its owner and mode, and at the disk");
    return rc == SP_OK ? rc
                       : sp_fail(w->err, SP_E_JOURNAL_DAMAGED, "the keyring is missing or damaged");
}

/* A name has twelve digits: behind such a number the next ones could not be found again. returns: SP_E_JOURNAL_DAMAGED */
static enum sp_rc refuse_last(const struct sp_recover_work *w)
{
    uint64_t last = w->l.count == 0 ? 0 : w->l.numbers[w->l.count - 1];

    if (last <= SP_SEGMENT_NUMBER_MAX - NUMBERS_LEFT)
        return SP_OK;
    return sp_fail(w->err, SP_E_JOURNAL_DAMAGED,
                   "%012" PRIu64 ".seg is not of this log, as no log comes so far: move it away",
                   last);
}

/* Which segments there are, each opened. has_lost: out: whether a key has gone meanwhile, for who only looks */
static enum sp_rc gather(struct sp_recover_work *w, bool *has_lost)
{
    enum sp_rc rc;

    *has_lost = false;
    if (w->o->read_only && sp_keyring_reload(w->m->keyring, NULL) != SP_OK)
        *has_lost = true; /* told below, unless there is nothing yet */
    if (w->m->io->list(w->m->io->ctx, ".", on_name, &w->l) != 0)
        return sp_fail(w->err, SP_E_IO, "the shard's folder can't be read");
    if (!w->o->read_only)
        remove_spares(w->m->io, sp_buf_bytes(&w->l.spares));
    if (w->l.count > 0)
        qsort(w->l.numbers, w->l.count, sizeof(*w->l.numbers), compare);
    rc = refuse_last(w);
    if (rc == SP_OK)
        rc = load_keyring(w, has_lost);
    if (rc != SP_OK)
        return rc;
    w->sums = sp_calloc(w->l.count + 1, sizeof(*w->sums));
    rc = open_all(w);
    if (rc == SP_OK && w->o->read_only)
        rc = load_keyring(w, has_lost);
    return rc;
}

static void start_over(struct sp_recover_work *w)
{
    struct sp_recovered *r = w->r;

    for (size_t i = 0; i < r->count; i++)
        sp_segment_free(w->m->io, r->segments[i]);
    r->count = 0;
    r->found = (struct sp_journal_recovery){.clean = true};
    sp_free(SP_STEAL(w->sums));
    w->l.count = 0;
    sp_buf_reset(&w->l.spares);
    w->is_headless = false;
}

/*
 * Where the owner of the shard runs, it may carry what lives in a segment that is listed into one that is not, and let the first
 * go before it is opened. Keys go before files, and a carry is durable before a key goes: so as long as no key has gone from before
 * the list to behind the last file's opening, each message is in some file that is open. Else all is opened anew.
 */
enum sp_rc sp_recover_gather(struct sp_recover_work *w)
{
    bool has_lost;
    enum sp_rc rc = gather(w, &has_lost);

    for (int n = 1; has_lost && n < LOOKS_MAX && w->o->read_only; n++) {
        start_over(w);
        rc = gather(w, &has_lost);
    }
    w->r->found.is_torn = has_lost && w->o->read_only && w->l.count > 0;
    find_lost_keys(w);
    return rc;
}
