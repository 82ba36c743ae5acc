/*
 * A random day of a queue (mail in with small and big bodies, delivered, deferred, held, released, deleted, failed
 * operations of the disk between), and a crash at random moments of it: is every 250 there, whole, and once; is what was
 * acknowledged as settled still settled?
 */
#include "rig.h"

#include <errno.h>

enum { MESSAGES = 60, RECIPIENTS = 3, STEPS = 220, CRASHES = 120 };

/* What the caller of the queue knows of a message: positions in the disk's record. */
struct known {
    struct sp_id id;
    size_t count;
    size_t body_len;
    size_t accepted_at;            /* 0: not yet, SIZE_MAX: refused */
    size_t ended_from[RECIPIENTS]; /* when the end was asked for; 0: never */
    size_t ended_at[RECIPIENTS];   /* when it was acknowledged; 0: never */
};

static struct rig rig;
static struct known known[MESSAGES];
static size_t known_count;
static uint64_t dice;

static uint64_t roll(uint64_t below)
{
    dice = dice * 6364136223846793005U + 1442695040888963407U;
    return (dice >> 33) % below;
}

static void on_accepted(void *arg, enum sp_rc rc)
{
    struct known *k = arg;

    k->accepted_at = rc == SP_OK ? fake_disk_now(rig.disk) : SIZE_MAX;
}

static void take_one_in(void)
{
    static const size_t lens[] = {10, 3000, 3000, 300000};
    struct known *k = &known[known_count];
    struct sp_accept *a;
    struct sp_queue_accept accept = {.done = on_accepted, .arg = k};
    uint8_t *text;

    if (known_count == MESSAGES)
        return;
    *k = (struct known){.count = 1 + roll(RECIPIENTS), .body_len = lens[roll(4)]};
    a = rig_accept(&rig, k->count);
    k->id = a->id;
    if (roll(5) == 0)
        a->recipients[0].decision = 1; /* held */
    known_count++;
    accept.accept = a;
    accept.body = sp_queue_body_new(rig.queue, &a->id);
    text = sp_calloc(1, k->body_len);
    memset(text, 'b', k->body_len);
    rig.rc = PENDING_RC;
    if (sp_queue_body_feed(accept.body, sp_bytes(text, k->body_len)) == SP_OK)
        sp_queue_body_finish(accept.body, rig_done, &rig);
    sp_free(text);
    sp_queue_commit(rig.queue);
    if (rig.rc != SP_OK) { /* its file could not be written: the client hears 4xx */
        k->accepted_at = SIZE_MAX;
        sp_queue_body_free(accept.body);
        return;
    }
    sp_queue_accept(rig.queue, &accept);
    if (roll(2) == 0)
        sp_queue_commit(rig.queue);
}

static struct known *find(const struct sp_id *id)
{
    for (size_t i = 0; i < known_count; i++)
        if (sp_id_eq(&known[i].id, id))
            return &known[i];
    return NULL;
}

/* An outcome or act on its way. */
struct ending {
    struct known *k;
    uint16_t ns[SP_QUEUE_DUE_MAX];
    size_t n_count;
};

static void on_ended(void *arg, enum sp_rc rc)
{
    struct ending *e = arg;

    for (size_t i = 0; i < e->n_count && rc == SP_OK; i++)
        e->k->ended_at[e->ns[i]] = fake_disk_now(rig.disk);
    sp_free(e);
}

static void deliver_one(bool final)
{
    struct sp_result results[SP_QUEUE_DUE_MAX] = {{0}};
    struct sp_queue_due due;
    struct sp_outcome o = {.attempt = 1, .results = results};
    struct ending *e;

    if (!rig_due(&rig, &due))
        return;
    e = sp_calloc(1, sizeof(*e));
    e->k = find(&due.id);
    o.id = due.id;
    o.result_count = due.n_count;
    for (size_t i = 0; i < due.n_count; i++) {
        results[i].n = due.ns[i];
        results[i].state = final ? SP_RCPT_DELIVERED : SP_RCPT_DEFERRED;
        results[i].next_at_ms = rig.clock.wall_ms + 1000;
        if (final) {
            e->ns[e->n_count++] = due.ns[i];
            if (e->k->ended_from[due.ns[i]] == 0)
                e->k->ended_from[due.ns[i]] = fake_disk_now(rig.disk);
        }
    }
    sp_queue_outcome(rig.queue, &o, NULL, on_ended, e);
}

static void act_on_one(uint8_t type)
{
    struct known *k = known_count == 0 ? NULL : &known[roll(known_count)];
    struct sp_act act = {.reason = SP_LIT("dice")};
    struct sp_queue_message *m = NULL;
    struct ending *e;

    if (k == NULL || sp_queue_load(rig.queue, &k->id, &m) != SP_OK)
        return;
    e = sp_calloc(1, sizeof(*e));
    e->k = k;
    act.id = k->id;
    for (uint16_t n = 0; n < k->count && type == SP_RECORD_DELETE; n++) {
        if (m->busy[n] || sp_rcpt_state_is_final(m->rcpts[n].state))
            continue;
        e->ns[e->n_count++] = n;
        if (k->ended_from[n] == 0)
            k->ended_from[n] = fake_disk_now(rig.disk);
    }
    sp_queue_message_free(m);
    sp_queue_act(rig.queue, type, &act, on_ended, e);
}

static void step(void)
{
    static const enum fake_op kinds[] = {FAKE_WRITE, FAKE_SYNC, FAKE_SYNC_FOLDER, FAKE_CREATE};

    fake_clock_advance(&rig.clock, 100);
    switch (roll(10)) {
    case 0:
    case 1:
    case 2:
        take_one_in();
        break;
    case 3:
    case 4:
        deliver_one(true);
        break;
    case 5:
        deliver_one(false);
        break;
    case 6:
        act_on_one(roll(2) == 0 ? SP_RECORD_HOLD : SP_RECORD_RELEASE);
        break;
    case 7:
        if (roll(3) == 0)
            act_on_one(SP_RECORD_DELETE);
        break;
    case 8:
        if (roll(6) == 0)
            fake_disk_fail(rig.disk, kinds[roll(4)], 1 + roll(3), roll(2) == 0 ? EIO : ENOSPC,
                           false);
        break;
    default:
        sp_queue_commit(rig.queue);
        break;
    }
}

/* Whether the whole body can be read. */
static bool body_is_whole(struct rig *after, const struct known *k)
{
    struct sp_content c;
    uint8_t out[8192];
    uint64_t at = 0;
    size_t got = 0;
    enum sp_rc rc = SP_OK;
    SP_AUTO(sp_content_reader) r = NULL;

    if (sp_queue_body(after->queue, &k->id, &c) != SP_OK)
        return false;
    r = sp_content_reader_new(&c);
    do {
        rc = sp_content_read(r, at, out, sizeof(out), &got);
        at += got;
    } while (rc == SP_OK && got > 0);
    sp_content_clear(&c);
    return rc == SP_OK && at == k->body_len;
}

/* returns: what is wrong with a message after a crash at `at`, or NULL */
static const char *judge(struct rig *after, const struct known *k, size_t at)
{
    bool must_live = false;
    bool must_be_gone = true;
    bool is_there;
    SP_AUTO(sp_queue_message) m = NULL;

    is_there = sp_queue_load(after->queue, &k->id, &m) == SP_OK;
    if (k->accepted_at == 0 ||
        k->accepted_at > at) /* not promised; refused may come from a torn tail */
        return NULL;
    for (size_t n = 0; n < k->count; n++) {
        if (k->ended_from[n] == 0 || k->ended_from[n] > at)
            must_live = true;
        if (k->ended_at[n] == 0 || k->ended_at[n] > at)
            must_be_gone = false;
        else if (is_there && !sp_rcpt_state_is_final(m->rcpts[n].state))
            return "an acknowledged end is forgotten";
    }
    if (must_live && !is_there)
        return "an accepted message is lost";
    if (must_be_gone && is_there)
        return "a settled message is back";
    return is_there && !body_is_whole(after, k) ? "a body is not whole" : NULL;
}

static void crash_at(size_t at, enum fake_crash how, uint64_t seed)
{
    struct rig after;

    rig_init(&after, fake_disk_crash(rig.disk, at, how, seed));
    ck_assert_int_eq(rig_open(&after), SP_OK);
    for (size_t i = 0; i < known_count; i++) {
        const char *verdict = judge(&after, &known[i], at);

        ck_assert_msg(verdict == NULL, "message %zu, crash at %zu (%d, seed %llu): %s", i, at,
                      (int)how, (unsigned long long)seed, verdict);
    }
    ck_assert_uint_eq(sp_queue_stats(after.queue).quarantined, 0);
    rig_free(&after);
}

START_TEST(a_random_day_and_a_crash)
{
    for (uint64_t day = 1; day <= 3; day++) {
        dice = day;
        known_count = 0;
        rig_init(&rig, fake_disk_new());
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        sp_queue_ledger_passed(rig.queue, UINT64_MAX);
        for (int i = 0; i < STEPS; i++)
            step();
        sp_queue_commit(rig.queue);
        fake_disk_mend(rig.disk);
        ck_assert_uint_gt(known_count, 20);
        for (uint64_t i = 0; i < CRASHES; i++)
            crash_at(roll(fake_disk_now(rig.disk)) + 1, (enum fake_crash)(i % 3), day * 1000 + i);
        crash_at(fake_disk_now(rig.disk), FAKE_CRASH_NONE, 0);
        rig_free(&rig);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_random_day_and_a_crash);
}

SP_TEST_MAIN("queue.crash", add)
