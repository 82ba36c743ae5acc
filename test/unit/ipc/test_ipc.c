/*
 * Frames over a socket pair: whole, in order, with their descriptors, big ones too; and a peer that dies or lies.
 */
#include "ipc/ipc.h"
#include "ipc/roles.h"
#include "support/check_main.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct end {
    struct sp_ipc *ipc;
    int frames;
    int closed;
    enum sp_rc why;
    uint64_t last_id;
    size_t last_len;
    uint8_t last_byte;
    size_t last_fds;
    int taken;
    bool take;
    bool free_on_frame;
    bool in_order;
};

static void on_frame(void *arg, const struct sp_ipc_frame *frame)
{
    struct end *e = arg;

    if (frame->id != e->last_id + 1)
        e->in_order = false;
    e->frames++;
    e->last_id = frame->id;
    e->last_len = frame->payload.len;
    e->last_byte = frame->payload.len == 0 ? 0 : frame->payload.ptr[frame->payload.len - 1];
    e->last_fds = frame->fd_count;
    if (e->take)
        e->taken = sp_ipc_take_fd(e->ipc, 0);
    if (e->free_on_frame) {
        sp_ipc_free(e->ipc);
        e->ipc = NULL;
    }
}

static void on_closed(void *arg, enum sp_rc why)
{
    struct end *e = arg;

    e->closed++;
    e->why = why;
}

static const struct sp_ipc_events events = {.on_frame = on_frame, .on_closed = on_closed};

static struct sp_loop *loop;
static struct end left, right;
static int raw[2]; /* descriptor numbers of the ends */

static void open_pair(void)
{
    loop = sp_loop_new();
    left = (struct end){.taken = -1, .in_order = true};
    right = left;
    ck_assert_int_eq(sp_ipc_pair(raw, NULL), SP_OK);
    left.ipc = sp_ipc_new(loop, raw[0], &events, &left);
    right.ipc = sp_ipc_new(loop, raw[1], &events, &right);
}

static void close_pair(void)
{
    sp_ipc_free(left.ipc);
    sp_ipc_free(right.ipc);
    sp_loop_free(loop);
}

static void turn(int times)
{
    for (int i = 0; i < times; i++)
        sp_loop_run_once(loop, 1);
}

static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

START_TEST(frames_arrive_whole_and_in_order)
{
    open_pair();
    for (uint64_t i = 1; i <= 100; i++) {
        const struct sp_ipc_frame frame = {.type = 7, .id = i, .payload = SP_LIT("hello")};

        ck_assert_int_eq(sp_ipc_send(left.ipc, &frame), SP_OK);
    }
    ck_assert_int_eq(right.frames, 0); /* never from within */
    turn(20);
    ck_assert_int_eq(right.frames, 100);
    ck_assert(right.in_order);
    ck_assert_uint_eq(right.last_len, 5);
    close_pair();
}
END_TEST

START_TEST(an_empty_payload_is_a_frame)
{
    const struct sp_ipc_frame frame = {.type = 1, .id = 1};

    open_pair();
    ck_assert_int_eq(sp_ipc_send(left.ipc, &frame), SP_OK);
    turn(3);
    ck_assert_int_eq(right.frames, 1);
    ck_assert_uint_eq(right.last_len, 0);
    close_pair();
}
END_TEST

START_TEST(a_big_payload_arrives_like_a_small_one)
{
    static const size_t sizes[] = {SP_IPC_INLINE_MAX, SP_IPC_INLINE_MAX + 1, 1 << 20,
                                   SP_IPC_PAYLOAD_MAX};
    uint8_t *data = sp_calloc(1, SP_IPC_PAYLOAD_MAX);
    int before;

    open_pair();
    before = count_fds();
    for (size_t i = 0; i < SP_ARRAY_LEN(sizes); i++) {
        const struct sp_ipc_frame frame = {.id = i + 1, .payload = sp_bytes(data, sizes[i])};

        data[sizes[i] - 1] = (uint8_t)(i + 40);
        ck_assert_int_eq(sp_ipc_send(left.ipc, &frame), SP_OK);
        turn(3);
        ck_assert_int_eq(right.frames, (int)i + 1);
        ck_assert_uint_eq(right.last_len, sizes[i]);
        ck_assert_uint_eq(right.last_byte, i + 40);
        ck_assert_uint_eq(right.last_fds, 0);
    }
    ck_assert_int_eq(count_fds(), before);
    close_pair();
    sp_free(data);
}
END_TEST

START_TEST(too_much_is_refused)
{
    uint8_t *data = sp_calloc(1, SP_IPC_PAYLOAD_MAX + 1);
    int fds[SP_IPC_FDS_MAX + 1] = {0};
    const struct sp_ipc_frame fat = {.payload = sp_bytes(data, SP_IPC_PAYLOAD_MAX + 1)};
    const struct sp_ipc_frame many = {.fds = fds, .fd_count = SP_IPC_FDS_MAX + 1};

    open_pair();
    ck_assert_int_eq(sp_ipc_send(left.ipc, &fat), SP_E_LIMIT);
    ck_assert_int_eq(sp_ipc_send(left.ipc, &many), SP_E_LIMIT);
    close_pair();
    sp_free(data);
}
END_TEST

START_TEST(descriptors_are_taken_or_closed)
{
    int pipes[2];
    int before;
    struct sp_ipc_frame frame = {.id = 1, .fd_count = 2, .fds = pipes};

    open_pair();
    ck_assert_int_eq(pipe(pipes), 0);
    before = count_fds();
    ck_assert_int_eq(sp_ipc_send(left.ipc, &frame), SP_OK);
    turn(3);
    ck_assert_int_eq(count_fds(), before); /* nobody took them */
    right.take = true;
    frame.id = 2;
    ck_assert_int_eq(sp_ipc_send(left.ipc, &frame), SP_OK);
    turn(3);
    ck_assert_int_ge(right.taken, 0);
    ck_assert_int_eq(fcntl(right.taken, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(count_fds(), before + 1);
    close(right.taken);
    close(pipes[0]);
    close(pipes[1]);
    close_pair();
}
END_TEST

START_TEST(what_the_kernel_does_not_take_waits_within_bounds)
{
    static uint8_t data[40000];
    struct sp_ipc_frame frame = {.payload = sp_bytes(data, sizeof(data))};
    int sent = 0;
    enum sp_rc rc;

    open_pair();
    while ((rc = sp_ipc_send(left.ipc, &frame)) == SP_OK) {
        sent++;
        frame.id = (uint64_t)sent;
    }
    ck_assert_int_eq(rc, SP_E_IPC_FULL);
    ck_assert_uint_gt(sp_ipc_waiting(left.ipc), 100);
    ck_assert_int_gt(sent, 1000);
    right.last_id = UINT64_MAX; /* the first id is 0 */
    for (int i = 0; i < 5000 && right.frames < sent; i++)
        turn(1);
    ck_assert_int_eq(right.frames, sent);
    ck_assert(right.in_order);
    ck_assert_uint_eq(sp_ipc_waiting(left.ipc), 0);
    close_pair();
}
END_TEST

START_TEST(a_peer_that_dies_is_told_once_after_its_last_words)
{
    const struct sp_ipc_frame frame = {.id = 1, .payload = SP_LIT("bye")};

    open_pair();
    ck_assert_int_eq(sp_ipc_send(left.ipc, &frame), SP_OK);
    sp_ipc_free(left.ipc);
    left.ipc = NULL;
    (void)!sp_ipc_send(right.ipc,
                       &frame); /* may see the end or not; the callback comes all the same */
    ck_assert_int_eq(right.closed, 0);
    turn(5);
    ck_assert_int_eq(right.frames, 1);
    ck_assert_int_eq(right.closed, 1);
    ck_assert_int_eq(right.why, SP_E_CLOSED);
    ck_assert_int_eq(sp_ipc_send(right.ipc, &frame), SP_E_CLOSED);
    close_pair();
}
END_TEST

START_TEST(nonsense_closes_the_channel)
{
    static const struct {
        const char *name;
        const char *data;
        size_t len;
    } cases[] = {
        {"short header", "\1\0\0\0", 4},
        {"big without descriptor", "\1\0\0\x80\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 20},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        open_pair();
        ck_assert_int_eq(send(raw[0], cases[i].data, cases[i].len, 0), (ssize_t)cases[i].len);
        turn(3);
        ck_assert_msg(right.frames == 0 && right.closed == 1 && right.why == SP_E_IPC_FRAME, "%s",
                      cases[i].name);
        close_pair();
    }
}
END_TEST

START_TEST(a_callback_may_free_the_channel)
{
    const struct sp_ipc_frame frame = {.id = 1, .payload = SP_LIT("x")};

    open_pair();
    right.free_on_frame = true;
    ck_assert_int_eq(sp_ipc_send(left.ipc, &frame), SP_OK);
    ck_assert_int_eq(sp_ipc_send(left.ipc, &frame), SP_OK);
    turn(5);
    ck_assert_int_eq(right.frames, 1);
    ck_assert_int_eq(right.closed, 0);
    ck_assert_int_eq(left.closed, 1);
    close_pair();
}
END_TEST

START_TEST(roles_know_their_names_and_their_peers)
{
    enum sp_role_kind kind;

    for (enum sp_role_kind i = 0; i < SP_ROLE_COUNT; i++) {
        ck_assert(sp_ipc_role_parse(sp_bytes_cstr(sp_ipc_role_name(i)), &kind));
        ck_assert_int_eq(kind, i);
    }
    ck_assert(!sp_ipc_role_parse(SP_LIT("rela"), &kind));
    ck_assert(sp_ipc_roles_talk(SP_ROLE_SCANNER, SP_ROLE_RELAY));
    ck_assert(sp_ipc_roles_talk(SP_ROLE_RELAY, SP_ROLE_SCANNER));
    ck_assert(!sp_ipc_roles_talk(SP_ROLE_SCANNER, SP_ROLE_SEALER));
    ck_assert(!sp_ipc_roles_talk(SP_ROLE_RELAY, SP_ROLE_RELAY));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, frames_arrive_whole_and_in_order);
    tcase_add_test(c, an_empty_payload_is_a_frame);
    tcase_add_test(c, a_big_payload_arrives_like_a_small_one);
    tcase_add_test(c, too_much_is_refused);
    tcase_add_test(c, descriptors_are_taken_or_closed);
    tcase_add_test(c, what_the_kernel_does_not_take_waits_within_bounds);
    tcase_add_test(c, a_peer_that_dies_is_told_once_after_its_last_words);
    tcase_add_test(c, nonsense_closes_the_channel);
    tcase_add_test(c, a_callback_may_free_the_channel);
    tcase_add_test(c, roles_know_their_names_and_their_peers);
}

SP_TEST_MAIN("ipc", add)
