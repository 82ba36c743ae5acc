/*
 * Inside delivery: the bytes of a copy as they go out: fields of ours first, then the message as received, without the
 * few fields that must not leave. Read by ranges; nothing is held but one chunk. thread: loop
 */
#ifndef SP_DELIVERY_SOURCE_H
#define SP_DELIVERY_SOURCE_H

#include "base/err.h"
#include "content/content.h"

#define SP_SOURCE_CUTS_MAX 256

struct sp_source_cut {
    uint64_t at;
    uint64_t len;
};

struct sp_source {
    struct sp_bytes prefix;
    struct sp_content_reader *reader;
    uint64_t len; /* of the message as received */
    struct sp_source_cut cuts[SP_SOURCE_CUTS_MAX];
    size_t cut_count;
    uint64_t removed; /* bytes in all cuts */

    bool prefix_done;
    uint64_t at;
    size_t next_cut;
};

/*
 * Starts a source and looks for fields to leave out.
 *
 * content: lent until clear
 * prefix:  lent until clear
 * as_is:   nothing is left out: a copy that the sealer made
 * returns: SP_OK, or why the content can't be read
 */
SP_MUST_CHECK enum sp_rc sp_source_open(struct sp_source *s, const struct sp_content *content,
                                        struct sp_bytes prefix, bool as_is);
void sp_source_clear(struct sp_source *s);

/* Begins anew, for another attempt with the same bytes. */
void sp_source_rewind(struct sp_source *s);

/* returns: bytes that will go out in all, before dot-stuffing */
uint64_t sp_source_total(const struct sp_source *s);

/* returns: whether the next bytes are none, so that asking leaves the last view alone */
bool sp_source_is_at_end(const struct sp_source *s);

/*
 * Takes the next bytes.
 *
 * out:     a view, good until the next call; empty at the end
 * returns: SP_OK, or as sp_content_view
 */
SP_MUST_CHECK enum sp_rc sp_source_next(struct sp_source *s, struct sp_bytes *out);

#endif
