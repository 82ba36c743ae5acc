/*
 * Batches begin at 4 KiB boundaries, so that recovery finds the next one behind a torn or damaged one by looking at
 * every boundary for this segment's salt and a rising number: a stale header of a file's earlier life has another salt.
 * The batch's CRC covers its header alone, each record has its own, so that one bad sector costs the records in it. What
 * opens all the records of a segment stands in its first block twice.
 */
#include "journal/format_priv.h"

#include "base/reader.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>

#define SEGMENT_MAGIC  0x31675053U /* "SPg1" */
#define BATCH_MAGIC    0x31625053U /* "SPb1" */
#define SEGMENT_FIXED  (4 + 4 + SP_SALT_LEN + SP_WRAPPED_LEN + SP_JOURNAL_KEK_ID_MAX)
#define SEGMENT_SUFFIX ".seg"

static void put_u32(uint8_t *out, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

static void put_u64(uint8_t *out, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

void sp_segment_header_encode(const struct sp_segment_header *h, uint8_t *out)
{
    uint8_t *at = out + 8;

    memset(out, 0, SP_BLOCK);
    put_u32(out, SEGMENT_MAGIC);
    memcpy(at, h->salt, SP_SALT_LEN);
    at += SP_SALT_LEN;
    memcpy(at, h->record_key, SP_WRAPPED_LEN);
    at += SP_WRAPPED_LEN;
    memcpy(at, h->kek_id, SP_JOURNAL_KEK_ID_MAX);
    put_u32(out + 4, sp_crc32c(0, sp_bytes(out + 8, SEGMENT_FIXED - 8)));
    memcpy(out + SP_SEGMENT_COPY, out, SEGMENT_FIXED);
}

static enum sp_rc decode_one(struct sp_bytes in, struct sp_segment_header *out)
{
    struct sp_reader r = sp_reader(in);
    uint32_t magic = sp_reader_u32(&r);
    uint32_t crc = sp_reader_u32(&r);

    if (in.len < SEGMENT_FIXED || magic != SEGMENT_MAGIC ||
        crc != sp_crc32c(0, sp_bytes(in.ptr + 8, SEGMENT_FIXED - 8)))
        return SP_E_MALFORMED;
    sp_reader_copy(&r, out->salt, SP_SALT_LEN);
    sp_reader_copy(&r, out->record_key, SP_WRAPPED_LEN);
    sp_reader_copy(&r, out->kek_id, SP_JOURNAL_KEK_ID_MAX);
    out->kek_id[SP_JOURNAL_KEK_ID_MAX - 1] = '\0';
    return sp_reader_rc(&r);
}

/* Once it stood there once. */
static bool is_blank(struct sp_bytes in)
{
    for (size_t i = 0; i < in.len && i < SEGMENT_FIXED; i++)
        if (in.ptr[i] != 0)
            return false;
    return in.len > 0;
}

enum sp_rc sp_segment_header_decode(struct sp_bytes in, struct sp_segment_header *out)
{
    struct sp_bytes copy = sp_bytes_slice(in, SP_SEGMENT_COPY, in.len);
    struct sp_segment_header second;

    if (decode_one(in, out) != SP_OK) {
        out->half = SP_HALF_FIRST;
        return decode_one(copy, out);
    }
    out->half = SP_HALF_NONE;
    if (decode_one(copy, &second) != SP_OK)
        out->half = is_blank(copy) ? SP_HALF_ABSENT : SP_HALF_SECOND;
    return SP_OK;
}

void sp_batch_header_encode(const struct sp_batch_header *h, const uint32_t *offsets, uint8_t *out)
{
    size_t len = SP_BATCH_HEADER + 4 * (size_t)h->count;

    memset(out, 0, SP_BATCH_HEADER);
    put_u32(out, BATCH_MAGIC);
    memcpy(out + 8, h->salt, SP_SALT_LEN);
    put_u64(out + 24, h->segment);
    put_u64(out + 32, h->batch);
    put_u32(out + 40, h->len);
    put_u32(out + 44, h->count);
    put_u64(out + 48, h->durable_to);
    put_u64(out + 56, h->prev_end);
    put_u32(out + 64, h->flags);
    for (uint32_t i = 0; i < h->count; i++)
        put_u32(out + SP_BATCH_HEADER + 4 * (size_t)i, offsets[i]);
    put_u32(out + 4, sp_crc32c(0, sp_bytes(out + 8, len - 8)));
}

enum sp_rc sp_batch_header_decode(struct sp_bytes in, struct sp_batch_header *out)
{
    struct sp_reader r = sp_reader(in);
    uint32_t magic = sp_reader_u32(&r);
    uint32_t crc = sp_reader_u32(&r);
    size_t head;

    if (magic != BATCH_MAGIC)
        return SP_E_MALFORMED;
    sp_reader_copy(&r, out->salt, SP_SALT_LEN);
    out->segment = sp_reader_u64(&r);
    out->batch = sp_reader_u64(&r);
    out->len = sp_reader_u32(&r);
    out->count = sp_reader_u32(&r);
    out->durable_to = sp_reader_u64(&r);
    out->prev_end = sp_reader_u64(&r);
    out->flags = sp_reader_u32(&r);
    if (sp_reader_rc(&r) != SP_OK || out->count > SP_BATCH_RECORDS || out->len > SP_BATCH_MAX)
        return SP_E_MALFORMED;
    head = SP_BATCH_HEADER + 4 * (size_t)out->count;
    if (out->len < head || in.len < head || crc != sp_crc32c(0, sp_bytes(in.ptr + 8, head - 8)))
        return SP_E_MALFORMED;
    return SP_OK;
}

enum sp_rc sp_batch_record(struct sp_bytes batch, const struct sp_batch_header *h, uint32_t i,
                           struct sp_bytes *record)
{
    const uint8_t *offsets = batch.ptr + SP_BATCH_HEADER;
    size_t from = get_u32(offsets + 4 * (size_t)i);
    size_t to = i + 1 < h->count ? get_u32(offsets + 4 * (size_t)(i + 1)) : h->len;

    if (from < SP_BATCH_HEADER + 4 * (size_t)h->count || from > to || to > h->len || to > batch.len)
        return SP_E_MALFORMED;
    *record = sp_bytes(batch.ptr + from, to - from);
    return SP_OK;
}

void sp_record_header_encode(const struct sp_record_header *h, uint8_t *out)
{
    put_u32(out, h->len);
    put_u32(out + 4, 0);
    put_u32(out + 8, (uint32_t)h->type | (uint32_t)h->body_count << 8);
    put_u32(out + 12, h->meta_len);
    put_u64(out + 16, h->sequence);
    memcpy(out + 24, h->message.b, SP_ID_LEN);
    put_u32(out + 40, h->body_len[0]);
    put_u32(out + 44, h->body_len[1]);
}

void sp_record_header_set_crc(uint8_t *header, uint32_t crc)
{
    put_u32(header + 4, crc);
}

enum sp_rc sp_record_header_decode(struct sp_bytes in, struct sp_record_header *out)
{
    struct sp_reader r = sp_reader(in);
    uint64_t sum;

    out->len = sp_reader_u32(&r);
    out->crc = sp_reader_u32(&r);
    out->type = sp_reader_u8(&r);
    out->body_count = sp_reader_u8(&r);
    if (sp_reader_u16(&r) != 0)
        sp_reader_fail(&r);
    out->meta_len = sp_reader_u32(&r);
    out->sequence = sp_reader_u64(&r);
    sp_reader_copy(&r, out->message.b, SP_ID_LEN);
    out->body_len[0] = sp_reader_u32(&r);
    out->body_len[1] = sp_reader_u32(&r);
    if (sp_reader_rc(&r) != SP_OK || out->body_count > SP_JOURNAL_BODIES_MAX ||
        out->meta_len < SP_AEAD_TAG_LEN)
        return SP_E_MALFORMED;
    sum = (uint64_t)sp_record_aad_len(out) + out->meta_len + out->body_len[0] + out->body_len[1];
    return sum == out->len ? SP_OK : SP_E_MALFORMED;
}

bool sp_record_is_intact(struct sp_bytes record, const struct sp_record_header *h)
{
    static const uint8_t zero[4] = {0};
    uint32_t crc;

    if (h->len != record.len)
        return false;
    crc = sp_crc32c(0, sp_bytes(record.ptr, 4));
    crc = sp_crc32c(crc, sp_bytes(zero, 4));
    crc = sp_crc32c(crc, sp_bytes(record.ptr + 8, record.len - 8));
    return crc == h->crc;
}

size_t sp_record_body_offset(const struct sp_record_header *h, size_t which)
{
    return sp_record_aad_len(h) + h->meta_len + (which == 1 ? h->body_len[0] : 0);
}

void sp_record_key_context(uint64_t sequence, size_t which, uint8_t out[SP_KEY_CONTEXT_LEN])
{
    put_u64(out, sequence);
    out[8] = (uint8_t)which;
}

enum sp_rc sp_record_open(struct sp_aead *record_key, struct sp_bytes start,
                          const struct sp_record_header *h, struct sp_buf *meta)
{
    uint8_t aad[SP_RECORD_HEADER + SP_JOURNAL_BODIES_MAX * SP_WRAPPED_LEN];
    size_t aad_len = sp_record_aad_len(h);
    uint8_t *out;
    enum sp_rc rc;

    if (start.len < aad_len || start.len - aad_len < h->meta_len)
        return SP_E_MALFORMED;
    out = sp_buf_reserve(meta, h->meta_len);
    if (out == NULL)
        return SP_E_MALFORMED;
    memcpy(aad, start.ptr, aad_len);
    memset(aad + 4, 0, 4);
    rc = sp_aead_open(record_key, sp_aead_nonce_of(h->sequence), sp_bytes(aad, aad_len),
                      sp_bytes(start.ptr + aad_len, h->meta_len), out);
    if (rc == SP_OK)
        sp_buf_commit(meta, h->meta_len - SP_AEAD_TAG_LEN);
    return rc;
}

void sp_segment_name(uint64_t number, char out[SP_SEGMENT_NAME_MAX])
{
    (void)snprintf(out, SP_SEGMENT_NAME_MAX, "%012" PRIu64 SEGMENT_SUFFIX, number);
}

bool sp_segment_name_parse(const char *name, uint64_t *number)
{
    struct sp_bytes text = sp_bytes_cstr(name);
    char again[SP_SEGMENT_NAME_MAX];

    if (text.len < sizeof(SEGMENT_SUFFIX))
        return false;
    if (!sp_bytes_to_u64(sp_bytes_slice(text, 0, text.len - (sizeof(SEGMENT_SUFFIX) - 1)), number))
        return false;
    sp_segment_name(*number, again);
    return *number >= 1 && *number <= SP_SEGMENT_NUMBER_MAX &&
           sp_bytes_eq(text, sp_bytes_cstr(again));
}
