/*
 * A journal on a fake disk, without a thread, and what was asked of it, done, and found again.
 */
#ifndef SP_TEST_UNIT_JOURNAL_RIG_H
#define SP_TEST_UNIT_JOURNAL_RIG_H

#include "base/arena.h"
#include "content/content.h"
#include "journal/journal.h"
#include "support/check_main.h"
#include "support/fake_clock.h"
#include "support/fake_disk.h"

#include <stdio.h>

enum { RIG_MAX = 512 };

struct rig_record {
    struct sp_journal_append append;
    struct rig *rig;
    char meta[64];
    struct sp_content_writer *body;
    bool is_done;
    enum sp_rc rc;
    size_t done_at; /* position in the disk's record */
};

struct rig {
    struct fake_disk *disk;
    struct fake_clock clock;
    struct fake_random random;
    struct sp_journal_keys keys;
    struct sp_journal_options options;
    struct sp_journal *journal;
    struct sp_journal_recovery found;
    struct rig_record records[RIG_MAX];
    size_t count;
    uint16_t seen[RIG_MAX]; /* how often record i was found at the last opening */
    size_t damaged;
    bool check_sync;        /* every done must follow a sync of all written */
    bool sums_when_written; /* bodies come without their CRC, as compaction brings them */
    uint32_t spoil;         /* changes the CRC that comes with a body */
};

static inline void rig_on_entry(void *arg, const struct sp_journal_entry *e)
{
    struct rig *r = arg;
    unsigned n = 0;
    char text[64];

    if (e->damaged) {
        r->damaged++;
        return;
    }
    ck_assert_uint_lt(e->meta.len, sizeof(text));
    memcpy(text, e->meta.ptr, e->meta.len);
    text[e->meta.len] = '\0';
    n = (unsigned)strtoul(text + strlen("record "), NULL, 10);
    ck_assert_uint_lt(n, RIG_MAX);
    r->seen[n]++;
}

static inline void rig_init(struct rig *r, struct fake_disk *disk)
{
    memset(r, 0, sizeof(*r));
    r->disk = disk;
    fake_clock_init(&r->clock, 0);
    fake_random_init(&r->random, 7);
    memset(r->keys.content.b, 0x11, SP_SECRET_LEN);
    memset(r->keys.record.b, 0x22, SP_SECRET_LEN);
    strcpy(r->keys.kek_id, "kek-test");
    r->options = (struct sp_journal_options){
        .keys = &r->keys,
        .clock = &r->clock.clock,
        .random = sp_random_system(),
        .segment_len = 256 * 1024,
        .reserve_len = 64 * 1024,
        .on_entry = rig_on_entry,
        .arg = r,
    };
}

static inline enum sp_rc rig_open(struct rig *r)
{
    struct sp_err err = {0};

    memset(r->seen, 0, sizeof(r->seen));
    r->damaged = 0;
    r->options.io = fake_disk_io(r->disk);
    return sp_journal_open(&r->options, &r->journal, &r->found, &err);
}

static inline void rig_close(struct rig *r)
{
    sp_journal_close(r->journal);
    r->journal = NULL;
}

/* Forgets what was appended, frees bodies. */
static inline void rig_clear(struct rig *r)
{
    for (size_t i = 0; i < r->count; i++)
        sp_content_writer_free(r->records[i].body);
    r->count = 0;
}

static inline void rig_done(struct sp_journal_append *a, enum sp_rc rc)
{
    struct rig_record *record = a->arg;
    struct rig *r = record->rig;

    ck_assert(!record->is_done);
    record->is_done = true;
    record->rc = rc;
    record->done_at = fake_disk_now(r->disk);
    if (r->check_sync && rc == SP_OK)
        ck_assert(fake_disk_is_synced(r->disk, record->done_at));
}

/* Appends record number r->count, with a body of body_len bytes if that is not 0. */
static inline struct rig_record *rig_append(struct rig *r, enum sp_journal_class class,
                                            size_t body_len)
{
    struct rig_record *record = &r->records[r->count];

    ck_assert_uint_lt(r->count, RIG_MAX);
    *record = (struct rig_record){.rig = r};
    (void)snprintf(record->meta, sizeof(record->meta), "record %u", (unsigned)r->count);
    record->append = (struct sp_journal_append){
        .type = class == SP_JOURNAL_ASKED ? SP_RECORD_ACCEPT : SP_RECORD_OUTCOME,
        .class = class,
        .message = sp_id_new(&r->clock.clock, sp_random_system()),
        .meta = sp_bytes_cstr(record->meta),
        .done = rig_done,
        .arg = record,
    };
    if (body_len > 0) {
        uint8_t *plain = sp_calloc(1, body_len);

        memset(plain, 'a' + (int)(r->count % 26), body_len);
        record->body = sp_content_writer_new(&record->append.message, sp_random_system(), NULL);
        ck_assert_int_eq(sp_content_writer_feed(record->body, sp_bytes(plain, body_len)), SP_OK);
        ck_assert_int_eq(sp_content_writer_finish(record->body), SP_OK);
        record->append.body_count = 1;
        record->append.bodies[0] = (struct sp_journal_body){
            .id = record->append.message,
            .key = sp_content_writer_key(record->body),
            .sealed = sp_content_writer_sealed(record->body),
            .has_crc = !r->sums_when_written, /* as the queue brings them */
            .crc = sp_content_writer_crc(record->body) ^ r->spoil,
        };
        sp_free(plain);
    }
    r->count++;
    sp_journal_append(r->journal, &record->append);
    return record;
}

#endif
