/*
 * The frames of a start, as the supervisor sends them: START with the bundle, a PEER for each channel, GO.
 */
#include "process/child.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "role/control.h"
#include "role/process.h"

#define AWAIT_MS 30000

static void on_frame(void *arg, const struct sp_ipc_frame *frame)
{
    struct child *c = arg;
    struct sp_role_result result;

    c->ready += frame->type == SP_ROLE_FRAME_READY;
    c->stopped += frame->type == SP_ROLE_FRAME_STOPPED;
    if (frame->type == SP_ROLE_FRAME_FAILED) {
        ck_assert_int_eq(sp_role_result_decode(frame->payload, &result), SP_OK);
        ck_abort_msg("the role failed: %.*s", SP_FMT(result.text));
    }
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)why;
    ((struct child *)arg)->closed++;
}

static const struct sp_ipc_events events = {.on_frame = on_frame, .on_closed = on_closed};

void child_init(struct child *c, enum sp_role_kind kind)
{
    *c = (struct child){.kind = kind, .loop = sp_loop_new(), .bundle = sp_role_bundle_new()};
}

void child_peer(struct child *c, enum sp_role_kind kind)
{
    c->peers[kind] = sp_jobs_new(c->loop, NULL);
}

static void send_frame(struct child *c, uint16_t type, struct sp_bytes payload, int fd)
{
    const struct sp_ipc_frame frame = {
        .type = type, .payload = payload, .fds = &fd, .fd_count = fd >= 0 ? 1 : 0};

    ck_assert_int_eq(sp_ipc_send(c->channel, &frame), SP_OK);
    if (fd >= 0)
        close(fd);
}

static void send_peer(struct child *c, enum sp_role_kind kind)
{
    struct sp_role_peer peer = {.kind = kind};
    struct sp_buf buf;
    int ends[2];

    ck_assert_int_eq(sp_ipc_pair(ends, NULL), SP_OK);
    sp_jobs_add_peer(c->peers[kind], c->kind, 0, ends[0]);
    sp_buf_init(&buf, 1000);
    sp_role_peer_encode(&buf, &peer);
    send_frame(c, SP_ROLE_FRAME_PEER, sp_buf_bytes(&buf), ends[1]);
    sp_buf_clear(&buf);
}

static void spawn(struct child *c)
{
    char program[4096];
    struct sp_role_spawn s = {.program = program, .name = sp_ipc_role_name(c->kind), .uid = -1};
    struct sp_err err = {0};
    int fds[2];

    snprintf(program, sizeof(program), "%s/libexec/sallyport/%s", SP_BUILD_DIR,
             sp_ipc_role_name(c->kind));
    ck_assert_int_eq(sp_ipc_pair(fds, NULL), SP_OK);
    s.channel = fds[1];
    ck_assert_msg(sp_role_spawn(&s, &c->pid, &err) == SP_OK, "%s", err.text);
    close(fds[1]);
    c->channel = sp_ipc_new(c->loop, fds[0], &events, c);
}

void child_start(struct child *c, const char *own_dir)
{
    struct sp_role_start start = {.kind = c->kind,
                                  .count = 1,
                                  .generation = 1,
                                  .log_level = SP_LOG_ERROR,
                                  .state_dir = sp_bytes_cstr(own_dir),
                                  .dirs = {sp_bytes_cstr(own_dir)},
                                  .dir_count = 1};
    struct sp_buf buf;
    int bundle = -1;

    spawn(c);
    sp_buf_init(&buf, 100000);
    sp_role_start_encode(&buf, &start);
    ck_assert_int_eq(sp_role_bundle_to_memfd(c->bundle, &bundle), SP_OK);
    send_frame(c, SP_ROLE_FRAME_START, sp_buf_bytes(&buf), bundle);
    sp_buf_clear(&buf);
    for (int kind = 0; kind < CHILD_PEERS_MAX; kind++)
        if (c->peers[kind] != NULL)
            send_peer(c, (enum sp_role_kind)kind);
    send_frame(c, SP_ROLE_FRAME_GO, sp_bytes(NULL, 0), -1);
    child_await(c, &c->ready);
}

void child_await(struct child *c, const int *what)
{
    int64_t end_ms = sp_clock_mono_ms(sp_loop_clock(c->loop)) + AWAIT_MS;

    while (*what == 0 && sp_clock_mono_ms(sp_loop_clock(c->loop)) < end_ms)
        sp_loop_run_once(c->loop, 10);
    ck_assert_msg(*what != 0, "nothing came in time");
}

struct call {
    int done;
    enum sp_rc rc;
    struct sp_buf *reply;
};

static void on_reply(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct call *call = arg;

    call->rc = rc;
    sp_buf_put(call->reply, reply->payload);
    call->done = 1;
}

enum sp_rc child_call(struct child *c, enum sp_role_kind as, enum sp_jobs_type type,
                      struct sp_bytes payload, const int fds[2], struct sp_buf *reply)
{
    struct call call = {.reply = reply};
    struct sp_jobs_request request = {.role = c->kind,
                                      .index = SP_JOBS_ANY,
                                      .type = type,
                                      .payload = payload,
                                      .fds = fds,
                                      .fd_count = fds == NULL ? 0 : 2,
                                      .timeout_ms = AWAIT_MS};

    sp_buf_reset(reply);
    sp_jobs_call(c->peers[as], &request, on_reply, &call);
    child_await(c, &call.done);
    return call.rc;
}

void child_end(struct child *c)
{
    int status = 0;

    send_frame(c, SP_ROLE_FRAME_STOP, sp_bytes(NULL, 0), -1);
    child_await(c, &c->stopped);
    ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int kind = 0; kind < CHILD_PEERS_MAX; kind++)
        sp_jobs_free(c->peers[kind]);
    sp_ipc_free(c->channel);
    sp_role_bundle_free(c->bundle);
    sp_loop_free(c->loop);
}
