/*
 * When footers are written: for a segment that is still needed when a whole other one has been filled behind it, one at
 * a time, oldest first. Mail that goes out at once takes its segments with it before that. One that fails is not tried
 * again in this run: a restart only takes longer without it.
 */
#include "journal/footer_priv.h"
#include "journal/journal_priv.h"

enum { BEHIND = 2 };

struct sp_journal_footing {
    struct sp_journal *journal; /* NULL: closed */
    const struct sp_journal_io *io;
    const struct sp_random *random;
    const struct sp_segment *segment;
    uint64_t number;
    enum sp_rc rc;
};

/* thread: the disk worker's, if there is one; it is the one that lets go of segments, too */
static void run(void *arg)
{
    struct sp_journal_footing *f = arg;

    f->rc = sp_footer_write(f->io, f->segment, f->random);
}

static void tell(const struct sp_journal *j, const struct sp_journal_footing *f)
{
    if (f->rc == SP_OK)
        sp_log_info(j->o.log, "journal.footer-written", SP_INT("segment", f->number));
    else
        sp_log_warn(j->o.log, "journal.footer-failed", SP_INT("segment", f->number),
                    SP_RC("why", f->rc));
}

static void done(void *arg)
{
    struct sp_journal_footing *f = arg;
    struct sp_journal *j = f->journal;

    if (j != NULL) {
        j->footing = NULL;
        tell(j, f);
        sp_journal_make_footers(j);
    }
    sp_free(f);
}

static struct sp_segment *find_next(const struct sp_journal *j)
{
    uint64_t current = sp_journal_current(j);

    for (size_t i = 0; i < j->count && j->segments[i]->number + BEHIND <= current; i++)
        if (!j->segments[i]->is_footed)
            return j->segments[i];
    return NULL;
}

void sp_journal_make_footers(struct sp_journal *j)
{
    struct sp_segment *s;

    while (j->footing == NULL && j->state == SP_JOURNAL_OPEN && (s = find_next(j)) != NULL) {
        struct sp_journal_footing *f;

        if (j->o.loop != NULL && j->worker == NULL)
            return; /* closing */
        f = sp_calloc(1, sizeof(*f));
        *f = (struct sp_journal_footing){j, j->o.io, j->o.random, s, s->number, SP_OK};
        s->is_footed = true;
        j->footing = f;
        if (j->worker != NULL) {
            sp_worker_submit(j->worker, run, done, f);
            return;
        }
        run(f);
        j->footing = NULL;
        tell(j, f);
        sp_free(f);
    }
}

void sp_journal_footing_end(struct sp_journal *j)
{
    if (j->footing != NULL)
        j->footing->journal = NULL; /* its done callback is still to come */
    j->footing = NULL;
}
