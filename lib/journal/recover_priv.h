/*
 * Recovery: which segments there are, where each ends, and every record in them, in order. For the journal alone.
 */
#ifndef SP_JOURNAL_RECOVER_PRIV_H
#define SP_JOURNAL_RECOVER_PRIV_H

#include "journal/scan_priv.h"

/* What was found; segments belong to the caller from then on. */
struct sp_recovered {
    struct sp_segment **segments; /* by number */
    size_t count;
    size_t cap;
    struct sp_segment **gone; /* whose key is gone, and whose file is not yet: to be told of */
    size_t gone_count;
    uint64_t last;     /* number of the last, 0: none */
    uint64_t last_end; /* where it ends */
    struct sp_journal_recovery found;
};

struct sp_recover_listing {
    uint64_t *numbers;
    size_t count;
    size_t cap;
    struct sp_buf spares; /* names, each with its NUL */
};

/* What one recovery works on. */
struct sp_recover_work {
    const struct sp_journal_options *o;
    const struct sp_segment_maker *m;
    struct sp_recover_listing l;
    struct sp_scan_summary *sums; /* one for each segment kept */
    bool is_headless; /* a segment's header is damaged: which key is its own, nobody may know */
    struct sp_recovered *r;
    struct sp_err *err;
};

/*
 * Lists the folder, loads the keyring, opens all segments and looks at their first batch; a last one without any batch is
 * removed. (gather.c)
 *
 * returns: SP_E_JOURNAL_DAMAGED, SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_recover_gather(struct sp_recover_work *w);
/* Removes a segment's file, unless we only look. */
void sp_recover_remove(const struct sp_journal_options *o, uint64_t number);
/* returns: whether it held something, though nothing of it can be found any more */
bool sp_recover_is_emptied(const struct sp_recover_work *w, const struct sp_segment *s);
/*
 * Makes the keyring name it, as it holds something, or did: from then on a file or a name that is not there says so. One that nobody
 * knows the salt of gets an entry of its own, or the number would be missed as soon as a later one has one. (gather.c)
 */
void sp_recover_name(const struct sp_recover_work *w, const struct sp_segment *s);

/*
 * Reads the folder; removes spares, and segments whose key is gone or that hold nothing; gives out every record.
 *
 * returns: SP_E_JOURNAL_DAMAGED (keyring gone, or keys are others), SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_recover(const struct sp_journal_options *o,
                                    const struct sp_segment_maker *m, struct sp_recovered *out,
                                    struct sp_err *err);

/*
 * Opens a segment whose header can't be read by what its batches say of themselves. It has no record key, so each record in
 * it is damage, with the id of its message; one without any batch is opened, too, and holds nothing. (headless.c)
 *
 * owner:   the caller, of *out
 * returns: SP_E_NOT_FOUND if the file is gone, SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_segment_open_headless(const struct sp_journal_io *io, uint64_t number,
                                                  struct sp_segment **out);

/* returns: false for one that was opened without its header, and in which no batch tells whose it is */
bool sp_segment_has_salt(const struct sp_segment *s);

/*
 * Of a segment in which no batch names its number: whether they name another one, as when somebody gave its file another name.
 * returns: that number; 0: there is none
 */
uint64_t sp_segment_other(const struct sp_journal_io *io, const struct sp_segment *s);

/*
 * The numbers of segments of which there should be a file and is none, between two that are there, or before the first or
 * behind the last as far as the keyring names them.
 *
 * after, before: numbers of the two; 0: none, as there is none before the first, or behind the last
 * at:            0, then what was returned last
 * returns:       the next such number, 0 behind the last
 */
uint64_t sp_segment_lost(const struct sp_segment_maker *m, uint64_t after, uint64_t before,
                         uint64_t at);

#endif
