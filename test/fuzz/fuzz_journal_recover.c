/*
 * A segment file as a crash, a bad disk or an enemy might leave it. Header CRCs are made right first, or the fuzzer would
 * never get past them; then the walk must end, stay inside the file, and give out only records whose tag holds.
 */
#include "journal/scan_priv.h"

#include "base/text.h"

#include <sys/mman.h>
#include <unistd.h>

enum { FILE_MAX = 256 * 1024, BATCH_MAGIC = 0x31625053 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t read_fd(void *ctx, int fd, void *out, size_t len, int64_t offset)
{
    (void)ctx;
    return pread(fd, out, len, offset);
}

static void put_u32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

/* Gives each block that could be a batch header magic, salt, number and CRC; some of its records their CRC. */
static void mend(uint8_t *file, size_t len, const struct sp_segment *segment)
{
    for (size_t at = SP_BLOCK; at + SP_BLOCK <= len; at += SP_BLOCK) {
        uint8_t *h = file + at;
        uint32_t count = get_u32(h + 44) % (SP_BATCH_RECORDS + 1);

        if ((h[0] & 3) == 0) /* some stay as they are */
            continue;
        put_u32(h, BATCH_MAGIC);
        memcpy(h + 8, segment->salt, SP_SALT_LEN);
        put_u32(h + 24, (uint32_t)segment->number);
        put_u32(h + 28, 0);
        put_u32(h + 40, get_u32(h + 40) % (3 * SP_BLOCK));
        put_u32(h + 44, count);
        put_u32(h + 4, sp_crc32c(0, sp_bytes(h + 8, SP_BATCH_HEADER + 4 * (size_t)count - 8)));
    }
}

static void walk(const struct sp_journal_io *io, const struct sp_segment *segment, size_t len)
{
    struct sp_batch_header h;
    struct sp_scan scan;
    struct sp_buf buf;
    struct sp_buf meta;
    struct sp_journal_entry e;
    struct sp_aead *key = sp_aead_new(&segment->record_key);
    uint64_t at;

    sp_buf_init(&buf, SP_BATCH_MAX);
    sp_buf_init(&meta, SP_RECORD_META_MAX + SP_AEAD_TAG_LEN);
    sp_scan_init(&scan, io, segment);
    while (sp_scan_next(&scan, UINT64_MAX, &h, &at) == SP_OK) {
        sp_assert(at < len && scan.at > at);
        if (sp_scan_load(&scan, at, &h, &buf) != SP_OK)
            continue;
        for (uint32_t i = 0; i < h.count; i++) {
            struct sp_scan_record r = {
                .batch = sp_buf_bytes(&buf), .header = &h, .batch_at = at, .index = i};

            sp_assert(sp_scan_record(&r, key, &meta, &e) != SP_OK); /* nobody has the key */
            sp_assert(e.damaged && e.place.offset >= at && e.place.offset <= at + h.len);
        }
    }
    sp_buf_clear(&buf);
    sp_buf_clear(&meta);
    sp_aead_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_journal_io io = {.pread = read_fd};
    struct sp_segment segment = {.number = 7, .fd = memfd_create("fuzz", MFD_CLOEXEC)};
    struct sp_segment_header header;
    struct sp_scan_summary sum;
    uint8_t *file = sp_calloc(1, FILE_MAX);
    size_t len = size < FILE_MAX ? size : FILE_MAX;

    if (size > 0)
        memcpy(file, data, len);
    memset(segment.salt, 0x5a, SP_SALT_LEN);
    if (sp_segment_header_decode(sp_bytes(file, len), &header) == SP_OK)
        sp_assert(header.kek_id[SP_JOURNAL_KEK_ID_MAX - 1] == '\0');
    len = (size_t)sp_block_up(len);
    mend(file, len, &segment);
    sp_assert(segment.fd >= 0 && write(segment.fd, file, len) == (ssize_t)len);
    sp_assert(sp_scan_summary(&io, &segment, &sum) == SP_OK);
    walk(&io, &segment, len);
    sp_free(file);
    (void)close(segment.fd);
    return 0;
}
