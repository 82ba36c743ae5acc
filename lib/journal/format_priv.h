/*
 * The bytes on disk: segment header, batch header, record header. Pure functions over bytes: the writer, recovery, the
 * reader and the fuzzer share them. For the journal alone.
 */
#ifndef SP_JOURNAL_FORMAT_PRIV_H
#define SP_JOURNAL_FORMAT_PRIV_H

#include "base/buf.h"
#include "base/id.h"
#include "crypt/aead.h"
#include "crypt/wrap.h"
#include "journal/journal.h"

#define SP_BLOCK         4096
#define SP_SEGMENT_COPY  2048 /* where its header stands again: in another sector of 512 bytes */
#define SP_SALT_LEN      16
#define SP_BATCH_HEADER  72
#define SP_BATCH_MAX     (8 * 1024 * 1024) /* no batch is longer */
#define SP_BATCH_RECORDS 256
#define SP_RECORD_HEADER 48

/* A batch is a multiple of blocks long; so are offsets of batches. */
static inline uint64_t sp_block_up(uint64_t len)
{
    return (len + SP_BLOCK - 1) / SP_BLOCK * SP_BLOCK;
}

#define SP_SEGMENT_NUMBER_MAX 999999999999 /* as a name has digits */

/* What of the two that stand in a segment's first block can't be read. */
enum sp_half {
    SP_HALF_NONE,
    SP_HALF_ABSENT, /* the second, since a version wrote it that had but one */
    SP_HALF_FIRST,
    SP_HALF_SECOND,
};

/* The first block of a segment: written once; of the two that stand in it a start mends the damaged one. */
struct sp_segment_header {
    uint8_t salt[SP_SALT_LEN];
    uint8_t record_key[SP_WRAPPED_LEN]; /* under the record KEK, context: salt */
    char kek_id[SP_JOURNAL_KEK_ID_MAX];
    enum sp_half half; /* decoded */
};

enum { SP_BATCH_CLEAN = 1 /* the journal was closed after it */ };

struct sp_batch_header {
    uint8_t salt[SP_SALT_LEN];
    uint64_t segment;
    uint64_t batch;      /* from 1, rising in the segment */
    uint32_t len;        /* header and records, without padding */
    uint32_t count;      /* records */
    uint64_t durable_to; /* end of the last batch known synced before this was written */
    uint64_t prev_end;   /* where segment - 1 ends; nothing behind it counts */
    uint32_t flags;
};

struct sp_record_header {
    uint32_t len; /* of the whole record */
    uint32_t crc; /* CRC-32C of it with this field zero */
    uint8_t type;
    uint8_t body_count;
    uint32_t meta_len; /* sealed */
    uint64_t sequence;
    struct sp_id message;
    uint32_t body_len[SP_JOURNAL_BODIES_MAX];
};

/* out: SP_BLOCK bytes; it stands there twice */
void sp_segment_header_encode(const struct sp_segment_header *h, uint8_t *out);
/* Either of the two will do. returns: SP_E_MALFORMED if neither is intact */
SP_MUST_CHECK enum sp_rc sp_segment_header_decode(struct sp_bytes in,
                                                  struct sp_segment_header *out);

/* out: SP_BATCH_HEADER + 4 * h->count bytes; offsets: of the records, from the batch's start */
void sp_batch_header_encode(const struct sp_batch_header *h, const uint32_t *offsets, uint8_t *out);
/* returns: SP_E_MALFORMED if in does not begin with a whole, intact header and its offsets */
SP_MUST_CHECK enum sp_rc sp_batch_header_decode(struct sp_bytes in, struct sp_batch_header *out);
/* The i-th record of a batch, in whole: bounded by the next one's offset. returns: SP_E_MALFORMED */
SP_MUST_CHECK enum sp_rc sp_batch_record(struct sp_bytes batch, const struct sp_batch_header *h,
                                         uint32_t i, struct sp_bytes *record);

/* out: SP_RECORD_HEADER bytes, crc field zero */
void sp_record_header_encode(const struct sp_record_header *h, uint8_t *out);
/* Sets the crc field of an encoded header. */
void sp_record_header_set_crc(uint8_t *header, uint32_t crc);
/* Checks the lengths against each other, not the crc. in may be longer. returns: SP_E_MALFORMED */
SP_MUST_CHECK enum sp_rc sp_record_header_decode(struct sp_bytes in, struct sp_record_header *out);
/* returns: whether the whole record's CRC holds */
bool sp_record_is_intact(struct sp_bytes record, const struct sp_record_header *h);

/* The bytes that bind metadata: encoded header with crc zero and wrapped keys. */
static inline size_t sp_record_aad_len(const struct sp_record_header *h)
{
    return SP_RECORD_HEADER + (size_t)h->body_count * SP_WRAPPED_LEN;
}
/* Offset of a body from the record's start. */
size_t sp_record_body_offset(const struct sp_record_header *h, size_t which);
/* What binds a wrapped message key to its record. out: 9 bytes */
#define SP_KEY_CONTEXT_LEN 9
void sp_record_key_context(uint64_t sequence, size_t which, uint8_t out[SP_KEY_CONTEXT_LEN]);

/*
 * Opens a record's metadata. start: the record's bytes at least up to the end of its metadata
 * meta: appended to. returns: SP_E_CRYPT_AUTH, SP_E_MALFORMED
 */
SP_MUST_CHECK enum sp_rc sp_record_open(struct sp_aead *record_key, struct sp_bytes start,
                                        const struct sp_record_header *h, struct sp_buf *meta);

/* File name of a segment. */
#define SP_SEGMENT_NAME_MAX 32
void sp_segment_name(uint64_t number, char out[SP_SEGMENT_NAME_MAX]);
/* returns: false if name is no segment's */
SP_MUST_CHECK bool sp_segment_name_parse(const char *name, uint64_t *number);

#endif
