/*
 * The body of a report lies in the record of what it tells of: whatever the settings say about bodies, and however much of
 * them is in memory while it is made.
 */
#include "rig.h"

enum {
    REPORT = 5000,
    MANY = 8,
    EACH = 200 * 1024,
};

static struct rig rig;

static void begin(size_t body_inline, size_t body_memory)
{
    rig_init(&rig, fake_disk_new());
    rig.options.body_inline = body_inline;
    rig.options.body_memory = body_memory;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

static void assert_len(const struct sp_id *id, size_t len)
{
    SP_AUTO(sp_content_reader) r = NULL;
    struct sp_content c;
    uint8_t *out = sp_calloc(1, len + 1);
    size_t got = 0;

    ck_assert_int_eq(sp_queue_body(rig.queue, id, &c), SP_OK);
    r = sp_content_reader_new(&c);
    ck_assert_int_eq(sp_content_read(r, 0, out, len + 1, &got), SP_OK);
    ck_assert_uint_eq(got, len);
    ck_assert(got > 0 && out[0] == 'b' && out[got - 1] == 'b');
    sp_free(out);
    sp_content_clear(&c);
}

/* Gives one up with a report of it, and takes one in with a report of whom it refuses; both outlive a crash. */
static void report_both_ways(void)
{
    struct sp_id id = rig_put(&rig, 100);
    struct sp_accept *dsn = rig_accept(&rig, 1), *mail = rig_accept(&rig, 2);
    struct sp_result result = {.n = 0, .state = SP_RCPT_RETURNED};
    struct sp_outcome o = {
        .id = id, .attempt = 1, .results = &result, .result_count = 1, .child = dsn};
    struct sp_queue_accept accept = {.accept = mail, .done = rig_done, .arg = &rig};
    struct sp_queue_due due;

    ck_assert(rig_due(&rig, &due));
    sp_queue_outcome(rig.queue, &o, rig_child_body(&rig, &dsn->id, REPORT), rig_done, &rig);
    rig.rc = PENDING_RC;
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_OK);
    mail->child = rig_accept(&rig, 1);
    accept.body = rig_body(&rig, &mail->id, 100);
    accept.child_body = rig_child_body(&rig, &mail->child->id, REPORT);
    rig.rc = PENDING_RC;
    sp_queue_accept(rig.queue, &accept);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_OK);
    assert_len(&dsn->id, REPORT);
    assert_len(&mail->child->id, REPORT);
}

static void assert_there(size_t messages)
{
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, messages);
    ck_assert_uint_eq(fake_disk_files(rig.disk, "body-"), 0);
}

START_TEST(a_report_longer_than_bodies_in_records_may_be_is_in_its_record)
{
    begin(512, 0);
    report_both_ways();
    assert_there(3);
    rig_free(&rig);
}
END_TEST

START_TEST(a_report_is_in_its_record_while_bodies_hold_all_the_memory)
{
    struct sp_queue_body *under_way[MANY];
    uint8_t *block;

    begin(0, 1024 * 1024);
    block = sp_calloc(1, EACH);
    for (size_t i = 0; i < MANY; i++) {
        struct sp_id id = rig_id(&rig);

        under_way[i] = sp_queue_body_new(rig.queue, &id);
        ck_assert_int_eq(sp_queue_body_feed(under_way[i], sp_bytes(block, EACH)), SP_OK);
    }
    report_both_ways();
    for (size_t i = 0; i < MANY; i++)
        sp_queue_body_free(under_way[i]);
    sp_free(block);
    sp_queue_commit(rig.queue);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 3);
    rig_free(&rig);
}
END_TEST

/* One of thousands of recipients: the longest there is, beside a message that is itself in the record. */
START_TEST(the_longest_report_is_in_its_record)
{
    struct sp_queue_accept accept = {.done = rig_done, .arg = &rig};
    struct sp_accept *mail;

    rig_init(&rig, fake_disk_new());
    rig.options.segment_len = (size_t)8 << 20;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    mail = rig_accept(&rig, 2000);
    mail->child = rig_accept(&rig, 1);
    accept.accept = mail;
    accept.body = rig_body(&rig, &mail->id, SP_QUEUE_BODY_INLINE_MAX);
    accept.child_body = rig_child_body(&rig, &mail->child->id, SP_QUEUE_BODY_STAY_MAX);
    rig.rc = PENDING_RC;
    sp_queue_accept(rig.queue, &accept);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_OK);
    assert_len(&mail->child->id, SP_QUEUE_BODY_STAY_MAX);
    assert_there(2);
    assert_len(&mail->child->id, SP_QUEUE_BODY_STAY_MAX);
    rig_free(&rig);
}
END_TEST

START_TEST(a_report_that_no_record_takes_is_refused)
{
    struct sp_queue_body *b;
    struct sp_id id;
    uint8_t *block = sp_calloc(1, SP_QUEUE_BODY_STAY_MAX);

    begin(0, 0);
    id = rig_id(&rig);
    b = sp_queue_body_new(rig.queue, &id);
    sp_queue_body_stay(b);
    ck_assert_int_eq(sp_queue_body_feed(b, sp_bytes(block, SP_QUEUE_BODY_STAY_MAX)), SP_OK);
    ck_assert_int_eq(sp_queue_body_feed(b, sp_bytes(block, 1)), SP_E_LIMIT);
    sp_queue_body_finish(b, rig_done, &rig);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_E_LIMIT);
    sp_queue_body_free(b);
    b = sp_queue_body_new(rig.queue, &id); /* whoever comes next may be longer */
    ck_assert_int_eq(sp_queue_body_feed(b, sp_bytes(block, SP_QUEUE_BODY_INLINE_MAX + 1)), SP_OK);
    sp_queue_body_free(b);
    sp_queue_commit(rig.queue);
    ck_assert_uint_eq(fake_disk_files(rig.disk, "body-"), 0);
    sp_free(block);
    rig_free(&rig);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_report_longer_than_bodies_in_records_may_be_is_in_its_record);
    tcase_add_test(c, a_report_is_in_its_record_while_bodies_hold_all_the_memory);
    tcase_add_test(c, the_longest_report_is_in_its_record);
    tcase_add_test(c, a_report_that_no_record_takes_is_refused);
}

SP_TEST_MAIN("queue.child", add)
