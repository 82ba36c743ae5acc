/*
 * Calls and jobs between two ends in one process: each call is answered exactly once, whatever happens to the other end.
 */
#include "jobs/jobs.h"
#include "support/check_main.h"
#include "support/fault_board.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct answer {
    int count;
    enum sp_rc rc;
    char text[64];
    int fd;
    struct sp_jobs *free_this;
};

struct server {
    struct sp_jobs *jobs;
    struct sp_jobs_job *held[8];
    size_t held_count;
    bool hold, starts;
    int handled;
};

static struct sp_loop *loop;
static struct sp_jobs *caller;
static struct sp_jobs *rival; /* another asker of the same pool */
static struct server server, other;
static enum sp_role_kind member =
    SP_ROLE_KEEPER; /* scanner and sealer are pools, with rules of their own */

static void done(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct answer *a = arg;

    a->count++;
    a->rc = rc;
    ck_assert_uint_lt(reply->payload.len, sizeof(a->text));
    if (reply->payload.len > 0)
        memcpy(a->text, reply->payload.ptr, reply->payload.len);
    a->text[reply->payload.len] = '\0';
    a->fd = sp_jobs_reply_fd(reply, 0);
    if (a->free_this != NULL)
        sp_jobs_free(a->free_this);
}

static void handle(void *arg, struct sp_jobs_job *job)
{
    struct server *s = arg;
    int fd = sp_jobs_job_take_fd(job, 0);

    s->handled++;
    if (s->starts)
        sp_jobs_job_started(job);
    if (s->hold) {
        s->held[s->held_count++] = job;
        return;
    }
    sp_jobs_job_reply(job, SP_OK, sp_jobs_job_payload(job), &fd, fd >= 0 ? 1 : 0);
    if (fd >= 0)
        close(fd);
}

static void join(struct server *s, unsigned index)
{
    int fds[2];

    ck_assert_int_eq(sp_ipc_pair(fds, NULL), SP_OK);
    sp_jobs_add_peer(caller, member, index, fds[0]);
    sp_jobs_add_peer(s->jobs, SP_ROLE_RELAY, 0, fds[1]);
}

static void join_rival(struct server *s, unsigned index)
{
    int fds[2];

    ck_assert_int_eq(sp_ipc_pair(fds, NULL), SP_OK);
    sp_jobs_add_peer(rival, member, index, fds[0]);
    sp_jobs_add_peer(s->jobs, SP_ROLE_RELAY, 1, fds[1]);
}

static void server_open(struct server *s)
{
    *s = (struct server){.jobs = sp_jobs_new(loop, NULL)};
    if (member == SP_ROLE_SCANNER)
        sp_jobs_serve_singly(s->jobs, SP_JOBS_SCAN, handle, s);
    else
        sp_jobs_serve(s->jobs, SP_JOBS_SCAN, handle, s);
}

static void open_all(void)
{
    loop = sp_loop_new();
    caller = sp_jobs_new(loop, NULL);
    server_open(&server);
    server_open(&other);
}

static void close_all(void)
{
    sp_jobs_free(caller);
    sp_jobs_free(server.jobs);
    sp_jobs_free(other.jobs);
    sp_loop_free(loop);
}

static void turn(int times)
{
    for (int i = 0; i < times; i++)
        sp_loop_run_once(loop, 1);
}

static struct sp_jobs_request request(const char *text, int64_t timeout_ms)
{
    return (struct sp_jobs_request){.role = member,
                                    .index = SP_JOBS_ANY,
                                    .type = SP_JOBS_SCAN,
                                    .payload = sp_bytes_cstr(text),
                                    .timeout_ms = timeout_ms};
}

START_TEST(a_call_is_answered_once_and_later)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("hello", 60000);

    open_all();
    join(&server, 0);
    ck_assert_uint_ne(sp_jobs_call(caller, &r, done, &a), 0);
    ck_assert_int_eq(a.count, 0);
    turn(5);
    ck_assert_int_eq(a.count, 1);
    ck_assert_int_eq(a.rc, SP_OK);
    ck_assert_str_eq(a.text, "hello");
    ck_assert_uint_eq(sp_jobs_out(caller), 0);
    close_all();
}
END_TEST

START_TEST(descriptors_go_there_and_back)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("", 60000);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    r.fds = &fd;
    r.fd_count = 1;
    open_all();
    join(&server, 0);
    sp_jobs_call(caller, &r, done, &a);
    turn(5);
    ck_assert_int_eq(a.rc, SP_OK);
    ck_assert_int_ge(a.fd, 0);
    close(a.fd);
    close(fd);
    close_all();
}
END_TEST

START_TEST(without_a_peer_a_call_fails_on_a_later_turn)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("x", 60000);

    open_all();
    sp_jobs_call(caller, &r, done, &a);
    ck_assert_int_eq(a.count, 0);
    turn(3);
    ck_assert_int_eq(a.count, 1);
    ck_assert_int_eq(a.rc, SP_E_ROLE_GONE);
    close_all();
}
END_TEST

START_TEST(a_patient_call_waits_for_its_peer)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("late", 60000);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    r.wait_for_peer = true;
    r.fds = &fd;
    r.fd_count = 1;
    open_all();
    sp_jobs_call(caller, &r, done, &a);
    close(fd); /* the call has its own */
    turn(3);
    ck_assert_int_eq(a.count, 0);
    join(&server, 0);
    turn(5);
    ck_assert_int_eq(a.count, 1);
    ck_assert_str_eq(a.text, "late");
    ck_assert_int_ge(a.fd, 0);
    close(a.fd);
    close_all();
}
END_TEST

START_TEST(a_peer_that_dies_fails_its_calls)
{
    struct answer a = {0}, b = {0};
    struct sp_jobs_request r = request("x", 60000);

    open_all();
    join(&server, 0);
    server.hold = true;
    sp_jobs_call(caller, &r, done, &a);
    sp_jobs_call(caller, &r, done, &b);
    turn(3);
    ck_assert_uint_eq(server.held_count, 2);
    sp_jobs_free(server.jobs);
    server.jobs = NULL;
    turn(5);
    ck_assert_int_eq(a.count + b.count, 2);
    ck_assert_int_eq(a.rc, SP_E_ROLE_GONE);
    ck_assert_int_eq(b.rc, SP_E_ROLE_GONE);
    ck_assert_uint_eq(sp_jobs_peers(caller, member), 0);
    close_all();
}
END_TEST

START_TEST(a_deadline_ends_a_call_and_its_late_answer_is_dropped)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("x", 5);

    open_all();
    join(&server, 0);
    server.hold = true;
    sp_jobs_call(caller, &r, done, &a);
    for (int i = 0; i < 200 && a.count == 0; i++)
        turn(1);
    ck_assert_int_eq(a.count, 1);
    ck_assert_int_eq(a.rc, SP_E_JOB_DEADLINE);
    turn(2);
    ck_assert_uint_eq(server.held_count, 1);
    ck_assert(!sp_jobs_job_is_wanted(server.held[0]));
    sp_jobs_job_reply(server.held[0], SP_OK, SP_LIT("late"), NULL, 0);
    turn(3);
    ck_assert_int_eq(a.count, 1);
    close_all();
}
END_TEST

START_TEST(a_cancelled_call_never_comes_back)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("x", 60000);
    sp_handle call;

    open_all();
    join(&server, 0);
    server.hold = true;
    call = sp_jobs_call(caller, &r, done, &a);
    turn(3);
    ck_assert(sp_jobs_job_is_wanted(server.held[0]));
    sp_jobs_cancel(caller, call);
    sp_jobs_cancel(caller, call);
    turn(3);
    ck_assert(!sp_jobs_job_is_wanted(server.held[0]));
    sp_jobs_job_reply(server.held[0], SP_OK, SP_LIT("x"), NULL, 0);
    turn(3);
    ck_assert_int_eq(a.count, 0);
    close_all();
}
END_TEST

START_TEST(the_least_busy_peer_gets_the_call)
{
    struct answer a[4] = {0};
    struct sp_jobs_request r = request("x", 60000);

    open_all();
    join(&server, 0);
    join(&other, 1);
    server.hold = other.hold = true;
    for (size_t i = 0; i < 4; i++)
        sp_jobs_call(caller, &r, done, &a[i]);
    turn(3);
    ck_assert_uint_eq(server.held_count, 2);
    ck_assert_uint_eq(other.held_count, 2);
    r.index = 1;
    sp_jobs_call(caller, &r, done, &a[0]);
    turn(3);
    ck_assert_uint_eq(other.held_count, 3);
    close_all();
}
END_TEST

START_TEST(a_new_channel_replaces_the_old)
{
    struct answer a = {0}, b = {0};
    struct sp_jobs_request r = request("x", 60000);

    open_all();
    join(&server, 0);
    server.hold = true;
    sp_jobs_call(caller, &r, done, &a);
    turn(2);
    join(&other, 0);
    sp_jobs_call(caller, &r, done, &b);
    turn(5);
    ck_assert_int_eq(a.rc, SP_E_ROLE_GONE);
    ck_assert_int_eq(b.rc, SP_OK);
    ck_assert_uint_eq(sp_jobs_peers(caller, member), 1);
    /* the old asker has gone, the job is still in hand and may be ended */
    ck_assert(!sp_jobs_job_is_wanted(server.held[0]));
    sp_jobs_job_reply(server.held[0], SP_OK, SP_LIT("x"), NULL, 0);
    close_all();
}
END_TEST

static void open_pool(void)
{
    member = SP_ROLE_SCANNER;
    open_all();
    join(&server, 0);
    join(&other, 1);
    server.hold = other.hold = server.starts = other.starts = true;
}

static void close_pool(void)
{
    close_all();
    member = SP_ROLE_KEEPER;
}

static struct sp_jobs_request pool_request(const char *text, int64_t timeout_ms)
{
    struct sp_jobs_request r = request(text, timeout_ms);

    r.role = SP_ROLE_SCANNER;
    return r;
}

START_TEST(a_member_of_a_pool_gets_one_job_at_a_time)
{
    struct answer a[3] = {0};
    struct sp_jobs_request r = pool_request("x", 60000);

    open_pool();
    for (size_t i = 0; i < 3; i++)
        sp_jobs_call(caller, &r, done, &a[i]);
    turn(3);
    ck_assert_uint_eq(server.held_count, 1);
    ck_assert_uint_eq(other.held_count, 1);
    sp_jobs_job_reply(other.held[0], SP_OK, SP_LIT("done"), NULL, 0);
    turn(5);
    ck_assert_uint_eq(other.held_count, 2);
    ck_assert_str_eq(a[1].text, "done");
    ck_assert_int_eq(a[0].count + a[2].count, 0);
    close_pool();
}
END_TEST

START_TEST(what_a_dying_member_had_not_started_goes_to_another)
{
    struct answer a = {0}, b = {0};
    struct sp_jobs_request r = pool_request("x", 60000);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    r.fds = &fd;
    r.fd_count = 1;
    open_pool();
    server.starts = false;
    sp_jobs_call(caller, &r, done, &a);
    sp_jobs_call(caller, &r, done, &b);
    turn(3);
    other.hold = false;
    sp_jobs_job_reply(other.held[0], SP_OK, SP_LIT("b"), NULL, 0);
    turn(3);
    sp_jobs_free(server.jobs);
    server.jobs = NULL;
    turn(6);
    ck_assert_int_eq(a.count, 1);
    ck_assert_int_eq(a.rc, SP_OK);
    ck_assert_int_ge(a.fd, 0); /* its descriptor went with it */
    ck_assert_int_eq(b.count, 1);
    close(a.fd);
    close(fd);
    close_pool();
}
END_TEST

START_TEST(what_it_had_started_fails)
{
    struct answer a = {0};
    struct sp_jobs_request r = pool_request("x", 60000);

    open_pool();
    sp_jobs_call(caller, &r, done, &a);
    turn(3);
    sp_jobs_free(server.jobs);
    server.jobs = NULL;
    turn(6);
    ck_assert_int_eq(a.count, 1);
    ck_assert_int_eq(a.rc, SP_E_ROLE_GONE);
    ck_assert_uint_eq(other.held_count, 0);
    close_pool();
}
END_TEST

START_TEST(a_member_that_overran_gets_nothing_until_it_answers)
{
    struct answer a = {0}, b = {0}, c = {0};
    struct sp_jobs_request quick = pool_request("hog", 5), r = pool_request("x", 60000);

    open_pool();
    sp_jobs_call(caller, &quick, done, &a);
    turn(3);
    for (int i = 0; i < 200 && a.count == 0; i++)
        turn(1);
    ck_assert_int_eq(a.rc, SP_E_JOB_DEADLINE);
    sp_jobs_call(caller, &r, done, &b);
    sp_jobs_call(caller, &r, done, &c);
    turn(3);
    ck_assert_uint_eq(server.held_count, 1);
    ck_assert_uint_eq(other.held_count, 1);
    sp_jobs_job_reply(server.held[0], SP_OK, SP_LIT("late"), NULL, 0);
    turn(5);
    ck_assert_int_eq(a.count, 1);
    ck_assert_uint_eq(server.held_count, 2);
    close_pool();
}
END_TEST

static void count_lost(void *arg, enum sp_role_kind role, unsigned index, enum sp_rc why)
{
    (void)index;
    ck_assert_int_eq(why, SP_E_IPC_FRAME);
    ck_assert_int_eq(role, member);
    ++*(unsigned *)arg;
}

START_TEST(a_member_that_never_answers_is_dropped_as_faulty)
{
    struct sp_jobs_request quick = pool_request("silence", 5), r = pool_request("x", 60000);
    struct answer a = {0}, b = {0}, c = {0};
    unsigned lost = 0;

    open_pool();
    sp_jobs_on_faulty(caller, count_lost, &lost);
    sp_jobs_call(caller, &quick, done, &a);
    for (int i = 0; i < 400 && a.count == 0; i++)
        turn(1);
    ck_assert_int_eq(a.rc, SP_E_JOB_DEADLINE);
    sp_jobs_call(caller, &r, done, &b);
    sp_jobs_call(caller, &r, done, &c); /* waits: one member is busy, the other silent */
    turn(3);
    ck_assert_uint_eq(lost, 0);
    for (int i = 0; i < 5000 && lost == 0; i++)
        turn(1);
    ck_assert_uint_eq(lost, 1);
    ck_assert_uint_eq(sp_jobs_peers(caller, member), 1);
    ck_assert_int_eq(b.count + c.count, 0); /* they wait for who is left */
    close_pool();
}
END_TEST

static void open_rivals(void)
{
    open_pool();
    rival = sp_jobs_new(loop, NULL);
    join_rival(&server, 0);
    join_rival(&other, 1);
    turn(3);
}

static void close_rivals(void)
{
    sp_jobs_free(rival);
    rival = NULL;
    close_pool();
}

/* Turns until so many answers have come, or long enough. */
static void turn_until(const int *count, int wanted)
{
    for (int i = 0; i < 2000 && *count < wanted; i++)
        turn(1);
    ck_assert_int_eq(*count, wanted);
}

START_TEST(nothing_waits_in_the_line_of_a_member_that_hangs)
{
    struct answer hog = {0}, a[8] = {0};
    struct sp_jobs_request r = pool_request("x", 60000);

    open_rivals();
    sp_jobs_call(rival, &r, done, &hog);
    turn_until(&server.handled, 1);
    other.hold = false;
    for (size_t i = 0; i < SP_ARRAY_LEN(a); i++) {
        sp_jobs_call(caller, &r, done, &a[i]);
        turn_until(&a[i].count, 1);
        ck_assert_int_eq(a[i].rc, SP_OK);
    }
    ck_assert_int_eq(server.handled, 1);
    ck_assert_int_eq(hog.count, 0);
    sp_jobs_job_reply(server.held[0], SP_OK, SP_LIT("x"), NULL, 0);
    turn_until(&hog.count, 1);
    close_rivals();
}
END_TEST

static int answered(const struct answer *a, size_t n)
{
    int count = 0;

    for (size_t i = 0; i < n; i++)
        count += a[i].count;
    return count;
}

START_TEST(askers_of_one_member_take_turns)
{
    struct answer mine[4] = {0}, theirs[4] = {0};
    struct sp_jobs_request r = pool_request("x", 60000);

    open_rivals();
    sp_jobs_free(other.jobs);
    other.jobs = NULL;
    turn(3);
    for (size_t i = 0; i < 4; i++) {
        sp_jobs_call(caller, &r, done, &mine[i]);
        sp_jobs_call(rival, &r, done, &theirs[i]);
    }
    for (size_t i = 0; i < 8; i++) {
        turn_until(&server.handled, (int)i + 1);
        for (int k = 0; k < 40; k++) /* those who wait have time to ask */
            turn(1);
        ck_assert_uint_eq(server.held_count, 1); /* never two */
        server.held_count = 0;
        sp_jobs_job_reply(server.held[0], SP_OK, SP_LIT("x"), NULL, 0);
        turn(10);
        ck_assert_int_le(abs(answered(mine, 4) - answered(theirs, 4)), 1);
    }
    for (size_t i = 0; i < 4; i++)
        ck_assert(mine[i].count == 1 && theirs[i].count == 1);
    close_rivals();
}
END_TEST

START_TEST(a_turn_that_is_not_used_goes_to_the_next)
{
    struct answer a = {0}, b = {0};
    struct sp_jobs_request r = pool_request("x", 60000);
    sp_handle call;

    open_rivals();
    sp_jobs_free(other.jobs);
    other.jobs = NULL;
    turn(3);
    call = sp_jobs_call(rival, &r, done, &a); /* the first turn is the caller's */
    turn(1);
    sp_jobs_cancel(rival, call); /* it has asked, and needs it no more */
    sp_jobs_call(caller, &r, done, &b);
    turn_until(&server.handled, 1);
    sp_jobs_job_reply(server.held[0], SP_OK, SP_LIT("b"), NULL, 0);
    turn_until(&b.count, 1);
    ck_assert_int_eq(a.count, 0);
    close_rivals();
}
END_TEST

START_TEST(who_holds_the_turn_and_dies_leaves_it)
{
    struct answer a = {0}, b = {0};
    struct sp_jobs_request r = pool_request("x", 60000);

    open_rivals();
    sp_jobs_free(other.jobs);
    other.jobs = NULL;
    sp_jobs_call(rival, &r, done, &a);
    turn_until(&server.handled, 1);
    sp_jobs_free(rival);
    rival = NULL;
    sp_jobs_call(caller, &r, done, &b);
    for (int i = 0; i < 30; i++)
        turn(1);
    ck_assert_int_eq(server.handled, 1); /* the orphan is still in hand */
    sp_jobs_job_reply(server.held[0], SP_OK, SP_LIT("a"), NULL, 0);
    turn_until(&server.handled, 2);
    sp_jobs_job_reply(server.held[1], SP_OK, SP_LIT("b"), NULL, 0);
    turn_until(&b.count, 1);
    ck_assert_int_eq(a.count, 0);
    close_rivals();
}
END_TEST

START_TEST(a_member_that_never_grants_is_dropped_as_faulty)
{
    struct sp_jobs_request r = pool_request("x", 60000), quick = pool_request("y", 5);
    struct answer a = {0}, b = {0};
    unsigned lost = 0;

    open_rivals();
    sp_jobs_on_faulty(rival, count_lost, &lost);
    sp_jobs_call(caller, &r, done, &a);
    sp_jobs_call(caller, &r, done, &a);
    turn(3);
    sp_jobs_call(rival, &quick, done, &b);
    turn_until(&b.count, 1);
    ck_assert_int_eq(b.rc, SP_E_JOB_DEADLINE);
    for (int i = 0; i < 5000 && lost == 0; i++)
        turn(1);
    ck_assert_uint_gt(lost, 0);
    ck_assert_int_eq(a.count, 0);
    close_rivals();
}
END_TEST

START_TEST(a_suspect_waits_for_a_whole_pool)
{
    struct answer a = {0}, b = {0}, c = {0};
    struct sp_jobs_request r = pool_request("x", 60000), suspect = pool_request("hog", 60000);

    suspect.suspect = suspect.wait_for_peer = true;
    open_pool();
    sp_jobs_call(caller, &r, done, &a);
    turn(3);
    sp_jobs_free(server.jobs); /* it has gone, with the job that it had started */
    turn(3);
    sp_jobs_call(caller, &suspect, done, &b);
    turn(3);
    ck_assert_uint_eq(other.held_count, 0);
    sp_jobs_call(caller, &r, done, &c); /* who comes later need not wait */
    turn(3);
    ck_assert_uint_eq(other.held_count, 1);
    server_open(&server);
    server.hold = server.starts = true;
    join(&server, 0);
    turn(3);
    ck_assert_uint_eq(server.held_count, 1);
    close_pool();
}
END_TEST

START_TEST(what_nobody_serves_is_unsupported)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("x", 60000);

    r.type = SP_JOBS_SEAL;
    open_all();
    join(&server, 0);
    sp_jobs_call(caller, &r, done, &a);
    turn(5);
    ck_assert_int_eq(a.rc, SP_E_UNSUPPORTED);
    close_all();
}
END_TEST

START_TEST(too_many_calls_are_refused)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("x", 60000);

    r.wait_for_peer = true;
    open_all();
    for (int i = 0; i < SP_JOBS_OUT_MAX + 3; i++)
        sp_jobs_call(caller, &r, done, &a);
    turn(3);
    ck_assert_int_eq(a.count, 3);
    ck_assert_int_eq(a.rc, SP_E_IPC_FULL);
    close_all();
}
END_TEST

START_TEST(an_answer_too_long_is_an_error)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("x", 60000);
    uint8_t *data = sp_calloc(1, SP_IPC_PAYLOAD_MAX);

    open_all();
    join(&server, 0);
    server.hold = true;
    sp_jobs_call(caller, &r, done, &a);
    turn(3);
    sp_jobs_job_reply(server.held[0], SP_OK, sp_bytes(data, SP_IPC_PAYLOAD_MAX), NULL, 0);
    turn(3);
    ck_assert_int_eq(a.count, 1);
    ck_assert_int_eq(a.rc, SP_E_LIMIT);
    close_all();
    sp_free(data);
}
END_TEST

START_TEST(a_callback_may_free_everything)
{
    struct answer a = {0}, b = {0};
    struct sp_jobs_request r = request("x", 60000);

    open_all();
    join(&server, 0);
    a.free_this = caller;
    sp_jobs_call(caller, &r, done, &a);
    sp_jobs_call(caller, &r, done, &b);
    turn(5);
    ck_assert_int_eq(a.count, 1);
    ck_assert_int_eq(b.count, 0);
    caller = NULL;
    close_all();
}
END_TEST

static void count_faulty(void *arg, enum sp_role_kind role, unsigned index, enum sp_rc why)
{
    unsigned *count = arg;

    ck_assert_int_eq(why, SP_E_IPC_FRAME);
    ck_assert(role == SP_ROLE_RELAY && index == 7);
    (*count)++;
}

START_TEST(malformed_frames_end_the_peer)
{
    static const struct {
        const char *name;
        uint16_t type, flags;
        struct sp_bytes payload;
    } cases[] = {
        {"request without time", SP_JOBS_SCAN, 0, SP_LIT_INIT("abc")},
        {"request with a mad time", SP_JOBS_SCAN, 0,
         SP_LIT_INIT("\xff\xff\xff\xff\xff\xff\xff\xff")},
        {"reply without code", SP_JOBS_SCAN, 1, SP_LIT_INIT("")},
        {"reply with a code that is none", SP_JOBS_SCAN, 1, SP_LIT_INIT("\xff\xff")},
        {"flags that are none", SP_JOBS_SCAN, 9, SP_LIT_INIT("")},
        {"a turn asked of who is no pool's member", 0, 4, SP_LIT_INIT("")},
        {"a turn granted by who is none", 0, 6, SP_LIT_INIT("")},
    };
    static const struct sp_ipc_events none = {0};

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct sp_ipc_frame frame = {
            .type = cases[i].type, .flags = cases[i].flags, .payload = cases[i].payload};
        unsigned faulty = 0;
        struct sp_ipc *ipc;
        int fds[2];

        open_all();
        ck_assert_int_eq(sp_ipc_pair(fds, NULL), SP_OK);
        sp_jobs_on_faulty(server.jobs, count_faulty, &faulty);
        sp_jobs_add_peer(server.jobs, SP_ROLE_RELAY, 7, fds[0]);
        ipc = sp_ipc_new(loop, fds[1], &none, NULL);
        ck_assert_int_eq(sp_ipc_send(ipc, &frame), SP_OK);
        sp_ipc_free(ipc);
        turn(3);
        ck_assert_msg(faulty == 1, "%s: said %u times", cases[i].name, faulty);
        ck_assert_msg(sp_jobs_peers(server.jobs, SP_ROLE_RELAY) == 0 && server.handled == 0, "%s",
                      cases[i].name);
        close_all();
    }
}
END_TEST

static void note_why(void *arg, enum sp_role_kind role, unsigned index, enum sp_rc why)
{
    (void)role, (void)index;
    *(enum sp_rc *)arg = why;
}

START_TEST(a_channel_that_fails_here_is_told_so_and_blames_nobody)
{
    static const char *const points[] = {"ipc.receive", "ipc.big-read", "memory.large"};

    for (size_t i = 0; i < SP_ARRAY_LEN(points); i++) {
        struct answer a = {0};
        char *big = sp_calloc(1, SP_IPC_INLINE_MAX + 1);
        struct sp_jobs_request r = request("x", 60000);
        enum sp_rc why = SP_OK;

        r.payload = sp_bytes(big, SP_IPC_INLINE_MAX + 1);
        open_all();
        join(&server, 0);
        sp_jobs_on_faulty(server.jobs, note_why, &why);
        sp_jobs_call(caller, &r, done, &a);
        if (fault_board_arm(points[i], 1)) {
            turn(5);
            ck_assert_msg(fault_board_struck() && why == SP_E_IO && server.handled == 0, "%s: %d",
                          points[i], why);
            ck_assert_int_eq(a.rc, SP_E_ROLE_GONE);
            ck_assert_uint_eq(sp_jobs_peers(server.jobs, SP_ROLE_RELAY), 0);
        }
        fault_board_end();
        close_all();
        sp_free(big);
    }
}
END_TEST

START_TEST(a_request_without_room_is_refused_for_now)
{
    struct answer a = {0};
    struct sp_jobs_request r = request("x", 60000);

    open_all();
    join(&server, 0);
    sp_jobs_call(caller, &r, done, &a);
    if (fault_board_arm("memory.large", 1)) {
        turn(5);
        ck_assert(fault_board_struck());
        ck_assert_int_eq(a.rc, SP_E_IO);
        ck_assert_int_eq(server.handled, 0);
    }
    fault_board_end();
    close_all();
}
END_TEST

START_TEST(an_answer_that_can_not_be_sent_ends_the_channel)
{
    struct answer a = {0}, b = {0};
    sp_handle b_call;
    struct sp_jobs_request r = request("x", 60000);
    enum sp_rc why = SP_OK;

    open_all();
    join(&server, 0);
    server.hold = true;
    sp_jobs_on_faulty(server.jobs, note_why, &why);
    sp_jobs_call(caller, &r, done, &a);
    b_call = sp_jobs_call(caller, &r, done, &b);
    turn(3);
    ck_assert_uint_eq(server.held_count, 2);
    sp_jobs_cancel(caller, b_call);
    turn(3);
    if (fault_board_arm("ipc.send", 1)) {
        sp_jobs_job_reply(server.held[0], SP_OK, SP_LIT("lost"), NULL, 0);
        turn(3);
        ck_assert(fault_board_struck() && a.rc == SP_E_IO &&
                  why == SP_OK); /* that it could not be sent is said */
        fault_board_arm("ipc.send", 1);
        sp_jobs_job_reply(server.held[1], SP_OK, SP_LIT("lost"), NULL, 0);
        ck_assert(fault_board_struck() && why == SP_E_IO);
        ck_assert_uint_eq(sp_jobs_peers(server.jobs, SP_ROLE_RELAY), 0);
    }
    fault_board_end();
    close_all();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_channel_that_fails_here_is_told_so_and_blames_nobody);
    tcase_add_test(c, a_request_without_room_is_refused_for_now);
    tcase_add_test(c, an_answer_that_can_not_be_sent_ends_the_channel);
    tcase_add_test(c, a_member_of_a_pool_gets_one_job_at_a_time);
    tcase_add_test(c, what_a_dying_member_had_not_started_goes_to_another);
    tcase_add_test(c, what_it_had_started_fails);
    tcase_add_test(c, a_member_that_overran_gets_nothing_until_it_answers);
    tcase_add_test(c, a_member_that_never_answers_is_dropped_as_faulty);
    tcase_add_test(c, nothing_waits_in_the_line_of_a_member_that_hangs);
    tcase_add_test(c, askers_of_one_member_take_turns);
    tcase_add_test(c, a_turn_that_is_not_used_goes_to_the_next);
    tcase_add_test(c, who_holds_the_turn_and_dies_leaves_it);
    tcase_add_test(c, a_member_that_never_grants_is_dropped_as_faulty);
    tcase_add_test(c, a_suspect_waits_for_a_whole_pool);
    tcase_add_test(c, a_call_is_answered_once_and_later);
    tcase_add_test(c, descriptors_go_there_and_back);
    tcase_add_test(c, without_a_peer_a_call_fails_on_a_later_turn);
    tcase_add_test(c, a_patient_call_waits_for_its_peer);
    tcase_add_test(c, a_peer_that_dies_fails_its_calls);
    tcase_add_test(c, a_deadline_ends_a_call_and_its_late_answer_is_dropped);
    tcase_add_test(c, a_cancelled_call_never_comes_back);
    tcase_add_test(c, the_least_busy_peer_gets_the_call);
    tcase_add_test(c, a_new_channel_replaces_the_old);
    tcase_add_test(c, what_nobody_serves_is_unsupported);
    tcase_add_test(c, too_many_calls_are_refused);
    tcase_add_test(c, an_answer_too_long_is_an_error);
    tcase_add_test(c, a_callback_may_free_everything);
    tcase_add_test(c, malformed_frames_end_the_peer);
}

SP_TEST_MAIN("jobs", add)
