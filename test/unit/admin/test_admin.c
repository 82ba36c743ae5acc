/* The control socket: one question, one answer; answers of several relays made one; files; strangers and nonsense. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/text.h"
#include "jobs/command.h"
#include "support/check_main.h"

#define RELAYS 2

static struct sp_loop *loop;
static struct sp_jobs *asker;
static struct sp_jobs *relays[RELAYS];
static struct sp_jobs *ledger;
static struct sp_admin *admin;
static char path[64];
static int listening;
static int state;                      /* the supervisor's page */
static const char *relay_says[RELAYS]; /* NULL: "not-found" */
static enum sp_rc relay_rc[RELAYS];
static char last_actor[256];
static bool hangs[RELAYS]; /* it answers nothing */
static unsigned
    pings_first[RELAYS]; /* its answer waits until it was asked so often whether it is alive */
static struct sp_jobs_job *jobs_of[RELAYS]; /* what waits so */
static size_t asked[RELAYS];
static bool falls_silent
    [RELAYS]; /* it answers the question when it is asked whether it is alive, and then hangs */

static void reply(struct sp_jobs_job *job, enum sp_rc rc, const char *json, int fd)
{
    struct sp_jobs_command_reply r = {.json = sp_bytes_cstr(json), .has_file = fd >= 0};
    struct sp_buf out;

    sp_buf_init(&out, 8 << 20);
    sp_jobs_command_reply_encode(&out, &r);
    sp_jobs_job_reply(job, rc, sp_buf_bytes(&out), &fd, fd >= 0 ? 1 : 0);
    sp_buf_clear(&out);
}

static void serve_relay(void *arg, struct sp_jobs_job *job)
{
    size_t i = (size_t)(uintptr_t)arg;
    struct sp_jobs_command_request request;

    ck_assert_int_eq(sp_jobs_command_request_decode(sp_jobs_job_payload(job), &request), SP_OK);
    if (hangs[i])
        return;
    if (sp_bytes_has_nocase(request.json, SP_LIT("relay.alive"))) {
        if (falls_silent[i]) {
            hangs[i] = true;
            reply(SP_STEAL(jobs_of[i]), SP_OK, relay_says[i], -1);
            return;
        }
        reply(job, SP_OK, "{}", -1);
        if (pings_first[i] > 0 && --pings_first[i] == 0)
            reply(SP_STEAL(jobs_of[i]), SP_OK, relay_says[i], -1);
        return;
    }
    asked[i]++;
    snprintf(last_actor, sizeof(last_actor), "%.*s", SP_FMT(request.actor));
    if ((pings_first[i] > 0 || falls_silent[i]) && jobs_of[i] == NULL)
        jobs_of[i] = job;
    else if (relay_says[i] == NULL)
        reply(job, SP_E_NOT_FOUND, "{\"error\":\"not-found\",\"detail\":\"not here\"}", -1);
    else
        reply(job, relay_rc[i], relay_says[i], -1);
}

static void serve_ledger(void *arg, struct sp_jobs_job *job)
{
    int fd = memfd_create("file", MFD_CLOEXEC);
    char block[1000];

    (void)arg;
    memset(block, 'x', sizeof(block));
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(write(fd, block, sizeof(block)), sizeof(block));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    reply(job, SP_OK, "{\"records\":4}", fd);
    close(fd);
}

static void join(struct sp_jobs *one, enum sp_role_kind one_is, struct sp_jobs *other,
                 enum sp_role_kind other_is, unsigned index)
{
    int fds[2];

    ck_assert_int_eq(sp_ipc_pair(fds, NULL), SP_OK);
    sp_jobs_add_peer(one, other_is, index, fds[0]);
    sp_jobs_add_peer(other, one_is, 0, fds[1]);
}

/* patience_ms: 0: as it is by default */
static void set_up_for(int64_t answer_ms, int64_t patience_ms)
{
    struct sp_admin_parts parts = {
        .owner_uid = (uint32_t)geteuid(), .answer_ms = answer_ms, .patience_ms = patience_ms};
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    loop = sp_loop_new();
    asker = sp_jobs_new(loop, NULL);
    for (size_t i = 0; i < RELAYS; i++) {
        relays[i] = sp_jobs_new(loop, NULL);
        relay_says[i] = NULL;
        relay_rc[i] = SP_OK;
        hangs[i] = false;
        pings_first[i] = 0;
        falls_silent[i] = false;
        asked[i] = 0;
        jobs_of[i] = NULL;
        sp_jobs_serve(relays[i], SP_JOBS_COMMAND, serve_relay, (void *)(uintptr_t)i);
        join(asker, SP_ROLE_ADMIN, relays[i], SP_ROLE_RELAY, (unsigned)i);
    }
    ledger = sp_jobs_new(loop, NULL);
    sp_jobs_serve(ledger, SP_JOBS_COMMAND, serve_ledger, NULL);
    join(asker, SP_ROLE_ADMIN, ledger, SP_ROLE_LEDGER, 0);
    parts.loop = loop;
    parts.jobs = asker;
    state = memfd_create("state", MFD_CLOEXEC);
    parts.state_fd = state;
    admin = sp_admin_new(&parts);
    snprintf(path, sizeof(path), "/tmp/sp-admin-%d.sock", (int)getpid());
    unlink(path);
    memcpy(at.sun_path, path, strlen(path) + 1);
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(listening, 8), 0);
    sp_admin_listen(admin, listening);
}

static void set_up(void)
{
    set_up_for(300, 0);
}

static void tear_down(void)
{
    sp_admin_stop(admin);
    sp_jobs_free(asker);
    for (size_t i = 0; i < RELAYS; i++)
        sp_jobs_free(relays[i]);
    sp_jobs_free(ledger);
    sp_admin_free(admin);
    sp_loop_free(loop);
    close(listening);
    close(state);
    unlink(path);
}

/* The same with other limits: with no patience's end, nobody is given up because a test takes long. */
static void begin_anew(int64_t patience_ms)
{
    tear_down();
    set_up_for(600000, patience_ms);
}

static int dial(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(to.sun_path, path, strlen(path) + 1);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Sends a line and runs the loop until the other side has closed. */
static void ask(const char *question, struct sp_buf *answer)
{
    int fd = dial();
    char block[4096];
    ssize_t n = -1;

    sp_buf_init(answer, 16 << 20);
    ck_assert_int_eq(write(fd, question, strlen(question)), (ssize_t)strlen(question));
    for (int turns = 0; turns < 2000 && n != 0; turns++) {
        sp_loop_run_once(loop, 5);
        while ((n = read(fd, block, sizeof(block))) > 0)
            sp_buf_put(answer, sp_bytes(block, (size_t)n));
    }
    ck_assert_int_eq(n, 0);
    sp_buf_put_u8(answer, 0);
    close(fd);
}

static void expect(const char *question, const char *answer)
{
    struct sp_buf got;

    ask(question, &got);
    ck_assert_str_eq((const char *)got.ptr, answer);
    sp_buf_clear(&got);
}

START_TEST(the_relay_that_has_the_message_answers)
{
    relay_says[1] = "{\"message\":\"M\",\"done\":\"hold\"}";
    expect("{\"command\":\"queue.hold\",\"message\":\"M\"}\n",
           "{\"ok\":true,\"result\":{\"done\":\"hold\",\"message\":\"M\"},\"file_len\":0}\n");
    ck_assert_ptr_nonnull(strstr(last_actor, "\"type\":\"admin\",\"id\":\"uid:"));
    ck_assert_ptr_nonnull(strstr(last_actor, "unix-peer-credentials"));
}
END_TEST

START_TEST(a_message_that_nobody_has_is_not_found)
{
    expect("{\"command\":\"queue.show\",\"message\":\"M\"}\n",
           "{\"ok\":false,\"error\":\"not-found\",\"detail\":\"not here\"}\n");
}
END_TEST

START_TEST(a_refusal_by_the_owner_beats_not_here)
{
    relay_says[0] = "{\"error\":\"usage\",\"detail\":\"reason: needed\"}";
    relay_rc[0] = SP_E_USAGE;
    expect("{\"command\":\"queue.hold\",\"message\":\"M\"}\n",
           "{\"ok\":false,\"error\":\"usage\",\"detail\":\"reason: needed\"}\n");
}
END_TEST

START_TEST(a_relay_that_is_gone_leaves_it_unknown)
{
    struct sp_buf got;

    sp_jobs_free(relays[1]);
    relays[1] = sp_jobs_new(loop, NULL);
    for (int i = 0; i < 5; i++)
        sp_loop_run_once(loop, 1);
    ask("{\"command\":\"queue.hold\",\"message\":\"M\"}\n", &got);
    ck_assert_ptr_nonnull(strstr((const char *)got.ptr, "\"error\":\"unknown\""));
    ck_assert_ptr_nonnull(strstr((const char *)got.ptr, "repeat"));
    sp_buf_clear(&got);
}
END_TEST

START_TEST(pages_are_merged_by_id_and_end_where_one_has_more)
{
    relay_says[0] = "{\"messages\":[{\"id\":\"A\"},{\"id\":\"D\"},{\"id\":\"F\"}],\"next\":null}";
    relay_says[1] = "{\"messages\":[{\"id\":\"B\"},{\"id\":\"E\"}],\"next\":\"E\"}";
    expect("{\"command\":\"queue.list\"}\n",
           "{\"ok\":true,\"result\":{\"messages\":[{\"id\":\"A\"},{\"id\":\"B\"},{\"id\":\"D\"},"
           "{\"id\":\"E\"}],\"next\":\"E\",\"relays\":2,\"relays_silent\":0,\"silent\":[]},\"file_"
           "len\":0}\n");
}
END_TEST

/* What each of many relays tells is a page; all of it would be more than an answer may be. */
START_TEST(a_merged_page_ends_when_it_is_long)
{
    enum { ITEMS = 30, LONG = 100000 };
    struct sp_buf says[RELAYS], got;
    char filling[LONG + 1];
    const char *next;

    begin_anew(600000);
    memset(filling, 'x', LONG);
    filling[LONG] = 0;
    for (int i = 0; i < RELAYS; i++) {
        sp_buf_init(&says[i], 8 << 20);
        for (int k = 0; k < ITEMS; k++)
            sp_buf_printf(&says[i], "%s{\"id\":\"%02d%c\",\"sender\":\"%s\"}",
                          k == 0 ? "{\"messages\":[" : ",", k, 'A' + i, filling);
        sp_buf_put_cstr(&says[i], "],\"next\":null}");
        sp_buf_put_u8(&says[i], 0);
        ck_assert_int_eq(sp_buf_rc(&says[i]), SP_OK);
        relay_says[i] = (const char *)says[i].ptr;
    }
    ask("{\"command\":\"queue.list\"}\n", &got);
    next = strstr((const char *)got.ptr, "\"next\":\"20B\"");
    ck_assert_ptr_nonnull(next); /* 42 of 60 */
    ck_assert_ptr_nonnull(strstr((const char *)got.ptr, "\"id\":\"20B\""));
    ck_assert_ptr_null(strstr((const char *)got.ptr, "\"id\":\"21A\""));
    sp_buf_clear(&got);
    for (int i = 0; i < RELAYS; i++)
        sp_buf_clear(&says[i]);
}
END_TEST

START_TEST(a_file_follows_its_line)
{
    static const char line[] = "{\"ok\":true,\"result\":{\"records\":4},\"file_len\":300000}\n";
    struct sp_buf got;

    ask("{\"command\":\"audit.prove\",\"message\":\"M\"}\n", &got);
    ck_assert_uint_eq(got.len, sizeof(line) - 1 + 300000 + 1);
    ck_assert_int_eq(memcmp(got.ptr, line, sizeof(line) - 1), 0);
    ck_assert_uint_eq(got.ptr[got.len - 2], 'x');
    sp_buf_clear(&got);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    struct sp_buf got;

    ask("hello\n", &got);
    ck_assert_ptr_nonnull(strstr((const char *)got.ptr, "\"error\":\"malformed\""));
    sp_buf_clear(&got);
    ask("{\"command\":\"shell.run\"}\n", &got);
    ck_assert_ptr_nonnull(strstr((const char *)got.ptr, "\"error\":\"unsupported\""));
    sp_buf_clear(&got);
    ask("[]\n", &got);
    ck_assert_ptr_nonnull(strstr((const char *)got.ptr, "\"ok\":false"));
    sp_buf_clear(&got);
}
END_TEST

#define HALF ((size_t)128 * 1024)

/* A writing of the supervisor's; of: what its sum is of */
static void show(uint64_t number, const char *json, const char *of)
{
    struct sp_buf said, half;

    sp_buf_init(&said, HALF);
    sp_buf_init(&half, HALF);
    sp_buf_put_u64(&said, number);
    sp_buf_put_var(&said, sp_bytes_cstr(of));
    sp_buf_put_u32(&half, sp_crc32c(0, sp_buf_bytes(&said)));
    sp_buf_put_u64(&half, number);
    sp_buf_put_var(&half, sp_bytes_cstr(json));
    ck_assert_int_eq(pwrite(state, half.ptr, half.len, (off_t)(number % 2 * HALF)),
                     (ssize_t)half.len);
    sp_buf_clear(&said);
    sp_buf_clear(&half);
}

static void is_long_silent(void)
{
    struct sp_buf got;

    ask("{\"command\":\"gateway.state\"}\n", &got);
    ck_assert_ptr_nonnull(strstr((const char *)got.ptr, "\"silent_ms\":"));
    ck_assert_ptr_null(strstr((const char *)got.ptr, "\"silent_ms\":0}"));
    sp_buf_clear(&got);
}

START_TEST(what_the_supervisor_shows_is_told_if_it_is_whole)
{
    static const char question[] = "{\"command\":\"gateway.state\"}\n";
    static const char none[] = "{\"ok\":false,\"error\":\"unsupported\","
                               "\"detail\":\"the supervisor shows nothing\"}\n";

    expect(question, none);
    ck_assert_int_eq(ftruncate(state, (off_t)(2 * HALF)), 0);
    expect(question, none);
    show(1, "{\"newest\":2}", "{\"newest\":2}");
    expect(question, "{\"ok\":true,\"result\":{\"newest\":2},\"file_len\":0}\n");
    show(2, "{\"newest\":3}", "{\"newest\":3}");
    expect(question, "{\"ok\":true,\"result\":{\"newest\":3},\"file_len\":0}\n");
    show(3, "{\"newest\":4}", "{\"newest\":3}"); /* is being written: the one before tells */
    expect(question, "{\"ok\":true,\"result\":{\"newest\":3},\"file_len\":0}\n");
    show(3, "{\"newest\":4}", "{\"newest\":4}");
    expect(question, "{\"ok\":true,\"result\":{\"newest\":4},\"file_len\":0}\n");
    show(4, "", "");
    expect(question, none);
    show(4, "{\"alive_ms\":1}", "{\"alive_ms\":1}"); /* long ago */
    is_long_silent();
    ck_assert_int_eq(ftruncate(state, 3), 0);
    expect(question, none);
}
END_TEST

START_TEST(a_session_that_leaves_does_no_harm)
{
    int fd = dial();

    ck_assert_int_eq(write(fd, "{\"command\":\"queue.list\"}\n", 25), 25);
    close(fd);
    for (int i = 0; i < 20; i++)
        sp_loop_run_once(loop, 1);
    ck_assert_uint_eq(sp_admin_busy(admin), 0);
}
END_TEST

START_TEST(what_is_under_way_at_the_end_is_freed)
{
    int fd = dial();

    ck_assert_int_eq(write(fd, "{\"command\":\"queue.list\"}\n", 25), 25);
    for (int i = 0; i < 20 && sp_admin_busy(admin) == 0; i++)
        sp_loop_run_once(loop, 1);
    close(fd);
}
END_TEST

/* ---- relays that hang ---- */

START_TEST(who_has_the_message_is_heard_while_another_hangs)
{
    begin_anew(600000);
    hangs[0] = true;
    relay_says[1] = "{\"message\":\"M\",\"done\":\"hold\"}";
    expect("{\"command\":\"queue.hold\",\"message\":\"M\"}\n",
           "{\"ok\":true,\"result\":{\"done\":\"hold\",\"message\":\"M\"},\"file_len\":0}\n");
    ck_assert_uint_eq(sp_jobs_out(asker), 0);
}
END_TEST

START_TEST(one_that_is_not_alive_is_given_up_and_named)
{
    begin_anew(200);
    hangs[0] = true;
    expect("{\"command\":\"queue.hold\",\"message\":\"M\"}\n",
           "{\"ok\":false,\"error\":\"unknown\",\"detail\":\"relay 0 did not answer: whether it "
           "was done "
           "is unknown, repeat\"}\n");
    relay_says[1] = "{\"messages\":[{\"id\":\"B\"}],\"next\":null}";
    expect("{\"command\":\"queue.list\"}\n",
           "{\"ok\":true,\"result\":{\"messages\":[{\"id\":\"B\"}],\"next\":null,\"relays\":2,"
           "\"relays_silent\":1,\"silent\":[0]},\"file_len\":0}\n");
    relay_says[1] = "{\"done\":\"freeze\"}";
    expect("{\"command\":\"queue.freeze\"}\n",
           "{\"ok\":true,\"result\":{\"relays\":[{\"relay\":0,\"error\":\"job.deadline\","
           "\"silent\":true,\"detail\":"
           "\"it did not answer\"},{\"relay\":1,\"error\":null,\"says\":{\"done\":\"freeze\"}}]},"
           "\"file_len\":0}\n");
    ck_assert_uint_eq(sp_jobs_out(asker), 0);
}
END_TEST

START_TEST(one_that_works_slowly_has_its_time)
{
    begin_anew(2000);
    pings_first[1] = 3;
    relay_says[1] = "{\"done\":\"hold\"}";
    expect("{\"command\":\"queue.hold\",\"message\":\"M\"}\n",
           "{\"ok\":true,\"result\":{\"done\":\"hold\"},\"file_len\":0}\n");
}
END_TEST

START_TEST(who_has_answered_is_not_given_up_behind_that)
{
    begin_anew(2000);
    falls_silent[0] = true;
    relay_says[0] = "{\"done\":\"freeze\"}";
    pings_first[1] = 6; /* long after the other's silence */
    relay_says[1] = "{\"done\":\"freeze\"}";
    expect("{\"command\":\"queue.freeze\"}\n",
           "{\"ok\":true,\"result\":{\"relays\":[{\"relay\":0,\"error\":null,\"says\":{\"done\":"
           "\"freeze\"}},{\"relay\":1,\"error\":null,\"says\":{\"done\":\"freeze\"}}]},"
           "\"file_len\":0}\n");
}
END_TEST

START_TEST(who_is_left_out_is_not_asked)
{
    begin_anew(600000);
    hangs[0] = true;
    expect("{\"command\":\"queue.hold\",\"message\":\"M\",\"without\":[0]}\n",
           "{\"ok\":false,\"error\":\"not-found\",\"detail\":\"not here\"}\n");
    hangs[0] = false;
    ck_assert_uint_eq(asked[0], 0);
    expect("{\"command\":\"queue.hold\",\"message\":\"M\",\"without\":[0,1]}\n",
           "{\"ok\":false,\"error\":\"not-found\",\"detail\":\"not here\"}\n");
    ck_assert_uint_eq(asked[0] + asked[1],
                      2); /* one was asked: no question stays without an answer */
}
END_TEST

/* ---- sessions of several questions ---- */

START_TEST(questions_of_one_session_are_answered_in_their_order)
{
    static const char first[] = "{\"command\":\"queue.hold\",\"message\":\"M\",\"keep\":true}\n"
                                "{\"command\":\"queue.show\",\"message\":\"M\",\"keep\":true}\n"
                                "{\"command\":\"gateway.state\"}\n{\"command\":\"not asked\"}\n";

    begin_anew(2000);
    pings_first[0] = 2; /* the first question's answer comes last */
    relay_says[0] = "{\"done\":\"hold\"}";
    expect(
        first,
        "{\"ok\":true,\"result\":{\"done\":\"hold\"},\"file_len\":0,\"keep\":true}\n"
        "{\"ok\":true,\"result\":{\"done\":\"hold\"},\"file_len\":0,\"keep\":true}\n"
        "{\"ok\":false,\"error\":\"unsupported\",\"detail\":\"the supervisor shows nothing\"}\n");
}
END_TEST

START_TEST(more_questions_than_may_be_under_way_are_all_answered)
{
    enum { COUNT = 5 * SP_ADMIN_IN_HAND_MAX };
    struct sp_buf all, got;
    size_t lines = 0;

    sp_buf_init(&all, 1 << 20);
    for (int i = 0; i < COUNT; i++)
        sp_buf_printf(&all, "{\"command\":\"queue.show\",\"message\":\"M\"%s}\n",
                      i + 1 < COUNT ? ",\"keep\":true" : "");
    sp_buf_put_u8(&all, 0);
    ask((const char *)all.ptr, &got);
    for (size_t i = 0; i < got.len; i++)
        lines += got.ptr[i] == '\n';
    ck_assert_uint_eq(lines, COUNT);
    ck_assert_uint_eq(asked[0], COUNT);
    sp_buf_clear(&all);
    sp_buf_clear(&got);
}
END_TEST

START_TEST(a_session_more_than_there_may_be_waits_for_one_to_end)
{
    int fds[SP_ADMIN_SESSIONS_MAX];
    int late;
    char block[256];

    for (size_t i = 0; i < SP_ARRAY_LEN(fds); i++) {
        fds[i] = dial();
        sp_loop_run_once(loop, 1);
    }
    late = dial();
    ck_assert_int_eq(write(late, "{\"command\":\"queue.show\"}\n", 26), 26);
    for (int i = 0; i < 20; i++)
        sp_loop_run_once(loop, 1);
    ck_assert_uint_eq(asked[0], 0);
    close(fds[7]);
    for (int i = 0; i < 2000 && read(late, block, sizeof(block)) <= 0; i++)
        sp_loop_run_once(loop, 5);
    ck_assert_uint_eq(asked[0], 1);
    for (size_t i = 0; i < SP_ARRAY_LEN(fds); i++)
        if (i != 7)
            close(fds[i]);
    close(late);
}
END_TEST

START_TEST(a_session_that_leaves_with_several_under_way_does_no_harm)
{
    static const char all[] = "{\"command\":\"queue.list\",\"keep\":true}\n"
                              "{\"command\":\"gateway.state\",\"keep\":true}\n"
                              "{\"command\":\"queue.list\",\"keep\":true}\n";
    int fd = dial();

    ck_assert_int_eq(write(fd, all, sizeof(all) - 1), (ssize_t)sizeof(all) - 1);
    close(fd);
    for (int i = 0; i < 20; i++)
        sp_loop_run_once(loop, 1);
    ck_assert_uint_eq(sp_admin_busy(admin), 0);
}
END_TEST

/* Sends without reading an answer, until so many questions have come through, and for a while after that. returns: what was sent */
static size_t send_on(int fd, struct sp_bytes all, size_t questions)
{
    size_t sent = 0;

    for (int after = 0; after < 50; after += asked[0] >= questions) {
        ssize_t n = write(fd, all.ptr + sent, all.len - sent);

        sent += n > 0 ? (size_t)n : 0;
        sp_loop_run_once(loop, 1);
    }
    return sent;
}

START_TEST(who_takes_no_answer_is_read_no_further)
{
    enum { COUNT = 5 * SP_ADMIN_IN_HAND_MAX, LONG = 500000 };
    static char says[LONG], block[65536];
    struct sp_buf all;
    size_t lines = 0;
    ssize_t n = -1;
    int fd;

    begin_anew(600000);
    memset(says, 'x', sizeof(says) - 1);
    memcpy(says, "{\"text\":\"", 9);
    memcpy(says + sizeof(says) - 3, "\"}", 2);
    relay_says[0] = says;
    fd = dial();
    sp_buf_init(&all, 1 << 20);
    for (int i = 0; i < COUNT; i++)
        sp_buf_printf(&all, "{\"command\":\"queue.show\",\"message\":\"M\"%s}\n",
                      i + 1 < COUNT ? ",\"keep\":true" : "");
    ck_assert_uint_eq(send_on(fd, sp_buf_bytes(&all), SP_ADMIN_IN_HAND_MAX), all.len);
    ck_assert_uint_eq(asked[0], SP_ADMIN_IN_HAND_MAX);
    for (int turns = 0; turns < 20000 && n != 0; turns++) {
        while ((n = read(fd, block, sizeof(block))) > 0)
            for (ssize_t i = 0; i < n; i++)
                lines += block[i] == '\n';
        sp_loop_run_once(loop, 5);
    }
    ck_assert_uint_eq(lines, COUNT);
    sp_buf_clear(&all);
    close(fd);
}
END_TEST

START_TEST(who_asks_much_is_read_no_further)
{
    enum { LONG = 3 << 20, COUNT = 5 };
    struct sp_buf all;
    int fd;

    begin_anew(600000);
    pings_first[0] = 1; /* the first question's answer is to come */
    relay_says[0] = "{}";
    fd = dial();
    sp_buf_init(&all, (size_t)COUNT * LONG * 2);
    for (int i = 0; i < COUNT; i++) {
        sp_buf_put_cstr(&all, "{\"command\":\"queue.show\",\"keep\":true,\"reason\":\"");
        memset(sp_buf_reserve(&all, LONG), 'x', LONG);
        sp_buf_commit(&all, LONG);
        sp_buf_put_cstr(&all, "\"}\n");
    }
    ck_assert_uint_lt(send_on(fd, sp_buf_bytes(&all), 3), all.len); /* 3 are more than 8 MiB */
    ck_assert_uint_eq(asked[0], 3);
    sp_buf_clear(&all);
    close(fd);
}
END_TEST

START_TEST(a_session_that_stays_keeps_no_stop)
{
    static const char first[] = "{\"command\":\"queue.hold\",\"message\":\"M\",\"keep\":true}\n";
    char block[256];
    size_t len = 0;
    ssize_t n = -1;
    int fd, idle;

    begin_anew(600000);
    pings_first[0] = 1;
    relay_says[0] = "{}";
    idle = dial();
    fd = dial();
    ck_assert_int_eq(write(fd, first, sizeof(first) - 1), (ssize_t)sizeof(first) - 1);
    while (asked[0] == 0)
        sp_loop_run_once(loop, 5);
    sp_admin_stop(admin);
    (void)send_on(fd, sp_bytes(first, sizeof(first) - 1), 1);
    ck_assert_uint_eq(asked[0], 1);
    ck_assert_uint_eq(sp_admin_busy(admin), 1);
    (void)send_on(idle, sp_bytes(first, sizeof(first) - 1), 2); /* it had come before */
    ck_assert_uint_eq(asked[0], 2);
    n = read(idle, block, sizeof(block));
    ck_assert_int_gt(n, 0);
    ck_assert_ptr_null(memmem(block, (size_t)n, "keep", 4));
    ck_assert_int_eq(read(idle, block, sizeof(block)), 0);
    n = -1;
    reply(SP_STEAL(jobs_of[0]), SP_OK, "{}", -1);
    for (int turns = 0; turns < 2000 && n != 0; turns++) {
        sp_loop_run_once(loop, 5);
        while ((n = read(fd, block + len, sizeof(block) - len)) > 0)
            len += (size_t)n;
    }
    ck_assert_uint_eq(sp_admin_busy(admin), 0);
    ck_assert_uint_gt(len, 0);
    ck_assert_ptr_eq(memchr(block, '\n', len), block + len - 1); /* one answer */
    close(fd);
    close(idle);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, the_relay_that_has_the_message_answers);
    tcase_add_test(c, a_message_that_nobody_has_is_not_found);
    tcase_add_test(c, a_refusal_by_the_owner_beats_not_here);
    tcase_add_test(c, a_relay_that_is_gone_leaves_it_unknown);
    tcase_add_test(c, pages_are_merged_by_id_and_end_where_one_has_more);
    tcase_add_test(c, a_merged_page_ends_when_it_is_long);
    tcase_add_test(c, a_file_follows_its_line);
    tcase_add_test(c, nonsense_is_refused);
    tcase_add_test(c, what_the_supervisor_shows_is_told_if_it_is_whole);
    tcase_add_test(c, a_session_that_leaves_does_no_harm);
    tcase_add_test(c, what_is_under_way_at_the_end_is_freed);
    tcase_add_test(c, who_has_the_message_is_heard_while_another_hangs);
    tcase_add_test(c, one_that_is_not_alive_is_given_up_and_named);
    tcase_add_test(c, one_that_works_slowly_has_its_time);
    tcase_add_test(c, who_has_answered_is_not_given_up_behind_that);
    tcase_add_test(c, who_is_left_out_is_not_asked);
    tcase_add_test(c, questions_of_one_session_are_answered_in_their_order);
    tcase_add_test(c, more_questions_than_may_be_under_way_are_all_answered);
    tcase_add_test(c, a_session_more_than_there_may_be_waits_for_one_to_end);
    tcase_add_test(c, a_session_that_leaves_with_several_under_way_does_no_harm);
    tcase_add_test(c, who_takes_no_answer_is_read_no_further);
    tcase_add_test(c, who_asks_much_is_read_no_further);
    tcase_add_test(c, a_session_that_stays_keeps_no_stop);
}

SP_TEST_MAIN("admin.admin", add)
