/*
 * Finding batches in a segment file, and records in a batch: what recovery and the reader share. For the journal alone.
 */
#ifndef SP_JOURNAL_SCAN_PRIV_H
#define SP_JOURNAL_SCAN_PRIV_H

#include "journal/segment_priv.h"

/* A walk over the batches of one segment. */
struct sp_scan {
    const struct sp_journal_io *io;
    const struct sp_segment *segment; /* lent */
    uint64_t at;                      /* where to look next */
    uint64_t batch;                   /* number of the last one found */
};

void sp_scan_init(struct sp_scan *s, const struct sp_journal_io *io,
                  const struct sp_segment *segment);

/*
 * The next intact batch header at or behind s->at, at a block boundary before `limit`.
 *
 * at:      where it was found; more than s->at was if something unreadable lay before it
 * returns: SP_OK, and s->at is behind that batch; SP_E_NOT_FOUND; SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_scan_next(struct sp_scan *s, uint64_t limit, struct sp_batch_header *h,
                                      uint64_t *at);

/* Reads a whole batch into buf (reset before). returns: SP_E_MALFORMED if the file ends before it, SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_scan_load(const struct sp_scan *s, uint64_t at,
                                      const struct sp_batch_header *h, struct sp_buf *buf);

/*
 * The same without the bodies of large records: what lies in their place in buf is undefined, so that only
 * sp_scan_record with heads_only may look. returns: see above
 */
SP_MUST_CHECK enum sp_rc sp_scan_load_heads(const struct sp_scan *s, uint64_t at,
                                            const struct sp_batch_header *h, struct sp_buf *buf);

/* One record of a loaded batch. */
struct sp_scan_record {
    struct sp_bytes batch;
    const struct sp_batch_header *header;
    uint64_t batch_at;
    uint32_t index;
    bool heads_only; /* the metadata's GCM tag is proof enough: the bodies are not looked at */
};

/*
 * Opens it: checks its CRC, opens the metadata.
 *
 * key:     keyed with the segment's record key; meta: reset, then holds the metadata
 * returns: SP_OK; SP_E_JOURNAL_DAMAGED, with out->damaged and what is known of the place
 */
SP_MUST_CHECK enum sp_rc sp_scan_record(const struct sp_scan_record *r, struct sp_aead *key,
                                        struct sp_buf *meta, struct sp_journal_entry *out);

/* What the batch headers of a segment say. */
struct sp_scan_summary {
    bool any;
    uint64_t durable;  /* highest durable_to */
    uint64_t last;     /* where the last batch with an intact header begins */
    uint64_t end;      /* behind it */
    uint64_t prev_end; /* where the segment before ends */
    bool clean;        /* the last batch closed the journal */
};
/* Whether all records of the batch at `at` are intact. returns: SP_OK, SP_E_JOURNAL_DAMAGED, SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_scan_check(const struct sp_journal_io *io,
                                       const struct sp_segment *segment, uint64_t at);

/* The same of the first one alone: any and prev_end are set. */
SP_MUST_CHECK enum sp_rc sp_scan_first(const struct sp_journal_io *io,
                                       const struct sp_segment *segment,
                                       struct sp_scan_summary *out);

SP_MUST_CHECK enum sp_rc sp_scan_summary(const struct sp_journal_io *io,
                                         const struct sp_segment *segment,
                                         struct sp_scan_summary *out);

/* Where a segment ends by what it says of itself: behind its last batch, if that is intact. */
SP_MUST_CHECK enum sp_rc sp_scan_durable_end(const struct sp_journal_io *io,
                                             const struct sp_segment *segment, uint64_t *end);

#endif
