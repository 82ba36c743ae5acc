/*
 * Streams over socket pairs and loopback: what is written arrives, once and in order, whatever the pace of the reader;
 * endings are told exactly once.
 */
#include "io/stream_priv.h"
#include "support/check_main.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIG (3 * 1024 * 1024)

struct side {
    struct sp_stream *s;
    size_t got;
    uint64_t sum;
    size_t take; /* consume at most so much a callback; 0: all */
    int closed;
    enum sp_rc why;
    int drained;
    size_t memory_at_drain;
    int connected;
    enum sp_rc connect_rc;
    bool free_on_input;
    bool keep;  /* consumes nothing */
    bool again; /* asks to be told again while anything is left */
    int told;
    size_t got_at_close;
};

static void on_input(void *arg)
{
    struct side *side = arg;
    struct sp_bytes in = sp_stream_input(side->s);
    size_t n = side->take == 0 || side->take > in.len ? in.len : side->take;

    side->told++;
    if (side->keep)
        return;

    for (size_t i = 0; i < n; i++)
        side->sum = side->sum * 31 + in.ptr[i];
    side->got += n;
    sp_stream_consume(side->s, n);
    if (side->again)
        sp_stream_tell_again(side->s);
    if (side->free_on_input) {
        sp_stream_free(side->s);
        side->s = NULL;
    }
}

static void on_closed(void *arg, enum sp_rc why)
{
    struct side *side = arg;

    side->closed++;
    side->got_at_close = side->got;
    side->why = why;
}

static void on_drained(void *arg)
{
    struct side *side = arg;

    side->drained++;
    side->memory_at_drain = sp_stream_memory(side->s);
}

static void on_connected(void *arg, enum sp_rc rc)
{
    struct side *side = arg;

    side->connected++;
    side->connect_rc = rc;
}

static const struct sp_stream_events events = {on_connected, on_input, on_drained, on_closed};

static void pair(struct sp_loop *loop, struct side *a, struct side *b)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    a->s = sp_stream_new(loop, fds[0], &events, a);
    b->s = sp_stream_new(loop, fds[1], &events, b);
}

static void turn(struct sp_loop *loop, int times)
{
    for (int i = 0; i < times; i++)
        sp_loop_run_once(loop, 5);
}

START_TEST(much_data_arrives_whole_at_a_slow_reader)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0};
    struct side b = {.take = 1000};
    uint8_t *data = sp_malloc(BIG);
    uint64_t sum = 0;

    pair(loop, &a, &b);
    for (size_t i = 0; i < BIG; i++) {
        data[i] = (uint8_t)(i * 7 + i / 1000);
        sum = sum * 31 + data[i];
    }
    sp_stream_write(a.s, sp_bytes(data, BIG));
    for (int i = 0; i < 2000 && b.got < BIG; i++) {
        sp_loop_run_once(loop, 5);
        if (i % 3 == 0) { /* what lies there is taken outside a callback, too */
            struct sp_bytes in = sp_stream_input(b.s);

            for (size_t k = 0; k < in.len; k++)
                b.sum = b.sum * 31 + in.ptr[k];
            b.got += in.len;
            sp_stream_consume(b.s, in.len);
        }
    }
    ck_assert_uint_eq(b.got, BIG);
    ck_assert(b.sum == sum);
    ck_assert_int_eq(a.drained, 1);
    ck_assert_uint_eq(sp_stream_pending(a.s), 0);
    sp_free(data);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

static void fill(uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + i / 1000);
}

static uint64_t sum_of(uint64_t sum, struct sp_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        sum = sum * 31 + b.ptr[i];
    return sum;
}

/* Words before, a lent piece, words behind, a second piece that is copied; at_turn: ends the lending there */
static void lend_and_read(size_t len, size_t take, int at_turn)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {.take = take, .again = take > 0};
    uint8_t *lent = sp_malloc(len), *other = sp_malloc(10000);
    uint64_t sum = sum_of(0, SP_LIT("before"));
    size_t all = len + 10000 + 12;

    pair(loop, &a, &b);
    fill(lent, len);
    fill(other, 10000);
    sum = sum_of(sum_of(sum, sp_bytes(lent, len)), SP_LIT("behind"));
    sum = sum_of(sum, sp_bytes(other, 10000));
    sp_stream_write(a.s, SP_LIT("before"));
    sp_stream_lend(a.s, sp_bytes(lent, len));
    ck_assert(sp_stream_has_lent(a.s));
    sp_stream_write(a.s, SP_LIT("behind"));
    sp_stream_lend(a.s, sp_bytes(other, 10000));
    memset(other, 'x', 10000);
    ck_assert_uint_eq(sp_stream_pending(a.s), all);
    for (int i = 0; i < 3000 && b.got < all; i++) {
        size_t pending = sp_stream_pending(a.s);

        if (i == at_turn) {
            sp_stream_end_lending(a.s);
            memset(lent, 'x', len);
            ck_assert_uint_eq(sp_stream_pending(a.s), pending);
            ck_assert(!sp_stream_has_lent(a.s));
        }
        sp_loop_run_once(loop, 5);
    }
    ck_assert_uint_eq(b.got, all);
    ck_assert_msg(b.sum == sum, "%zu bytes, ended at %d", len, at_turn);
    ck_assert(!sp_stream_has_lent(a.s));
    ck_assert_int_eq(a.drained, 1);
    sp_free(lent);
    sp_free(other);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}

START_TEST(what_is_lent_arrives_in_its_place)
{
    lend_and_read(10000, 0, -1);
    lend_and_read(BIG, 0, -1);
    for (int at = 0; at < 12; at++)
        lend_and_read(1000000, 30000, at);
}
END_TEST

START_TEST(a_little_is_copied_at_once)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {0};
    char text[] = "short";

    pair(loop, &a, &b);
    sp_stream_lend(a.s, sp_bytes_cstr(text));
    ck_assert(!sp_stream_has_lent(a.s));
    memset(text, 'x', 5);
    turn(loop, 3);
    ck_assert_uint_eq(b.got, 5);
    ck_assert(b.sum == sum_of(0, SP_LIT("short")));
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

START_TEST(what_is_lent_to_a_dead_peer_is_let_go)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {0};
    uint8_t *lent = sp_calloc(1, BIG);

    pair(loop, &a, &b);
    sp_stream_hold_input(b.s, true);
    sp_stream_lend(a.s, sp_bytes(lent, BIG));
    turn(loop, 3);
    ck_assert(sp_stream_has_lent(a.s));
    sp_stream_free(b.s);
    for (int i = 0; i < 100 && a.closed == 0; i++)
        sp_loop_run_once(loop, 5);
    ck_assert_int_eq(a.closed, 1);
    ck_assert(!sp_stream_has_lent(a.s));
    sp_free(lent);
    sp_stream_free(a.s);
    sp_loop_free(loop);
}
END_TEST

START_TEST(a_held_reader_gets_nothing_until_it_resumes)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0};
    struct side b = {0};

    pair(loop, &a, &b);
    sp_stream_hold_input(b.s, true);
    sp_stream_write(a.s, SP_LIT("hello"));
    sp_stream_close_after_write(a.s);
    turn(loop, 5);
    ck_assert_uint_eq(b.got, 0);
    ck_assert_int_eq(b.closed, 0);
    sp_stream_hold_input(b.s, false);
    turn(loop, 5);
    ck_assert_uint_eq(b.got, 5);
    ck_assert_int_eq(b.closed, 1);
    ck_assert_int_eq(b.why, SP_E_CLOSED);
    sp_stream_free(b.s);
    turn(loop, 5);
    ck_assert_int_eq(a.closed, 1);
    ck_assert_int_eq(a.why, SP_OK);
    sp_stream_free(a.s);
    sp_loop_free(loop);
}
END_TEST

START_TEST(what_lies_past_a_limit_stays_in_the_socket)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {0};
    uint8_t left[8];

    pair(loop, &a, &b);
    b.keep = true;
    sp_stream_limit_input(b.s, 4);
    sp_stream_write(a.s, SP_LIT("abcdefgh"));
    turn(loop, 3);
    ck_assert_uint_eq(sp_stream_input(b.s).len, 4);
    ck_assert_int_eq((int)recv(sp_stream_fd(b.s), left, sizeof(left), MSG_PEEK), 4);
    ck_assert_mem_eq(left, "efgh", 4);
    sp_stream_limit_input(b.s, 6);
    turn(loop, 3);
    ck_assert_mem_eq(sp_stream_input(b.s).ptr, "abcdef", 6);
    ck_assert_uint_eq(sp_stream_input(b.s).len, 6);
    sp_stream_consume(b.s, 6);
    b.keep = false;
    sp_stream_limit_input(b.s, SP_STREAM_INPUT_MAX);
    turn(loop, 3);
    ck_assert_uint_eq(b.got, 2);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

START_TEST(who_asks_is_told_again_before_the_end)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {.take = 1, .again = true};

    pair(loop, &a, &b);
    sp_stream_write(a.s, SP_LIT("abcdefgh"));
    sp_stream_close_after_write(a.s);
    for (int i = 0; i < 100 && b.closed == 0; i++)
        turn(loop, 1);
    ck_assert_uint_eq(b.got, 8);
    ck_assert_int_eq(b.told, 8);
    ck_assert_int_eq(b.closed, 1);
    ck_assert_uint_eq(b.got_at_close, 8);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

START_TEST(who_has_work_left_is_told_without_input)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {0};

    pair(loop, &a, &b);
    sp_stream_tell_anyway(b.s);
    turn(loop, 2);
    ck_assert_int_eq(b.told, 1); /* once */
    sp_stream_hold_input(b.s, true);
    sp_stream_tell_anyway(b.s);
    sp_stream_close_after_write(a.s);
    turn(loop, 2);
    ck_assert_int_eq(b.told, 1);
    sp_stream_hold_input(b.s, false);
    for (int i = 0; i < 100 && b.closed == 0; i++)
        turn(loop, 1);
    ck_assert_int_eq(b.told, 2);
    ck_assert_int_eq(b.closed, 1);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

/* Nothing is left of what came: neither in the books nor in memory, whoever consumed it, and without another event. */
START_TEST(what_was_consumed_is_not_held)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {.keep = true};
    uint8_t *data = sp_calloc(1, 100000);

    pair(loop, &a, &b);
    sp_stream_write(a.s, sp_bytes(data, 100000));
    for (int i = 0; i < 100 && sp_stream_input(b.s).len < 100000; i++)
        turn(loop, 1);
    ck_assert_uint_ge(sp_stream_memory(b.s), 100000);
    sp_stream_consume(b.s, 99990); /* from outside its callbacks */
    sp_stream_tell_again(b.s);
    turn(loop, 2);
    ck_assert_uint_le(sp_stream_memory(b.s), 64);
    sp_stream_consume(b.s, 10);
    ck_assert_uint_eq(sp_stream_memory(b.s), 0);
    turn(loop, 2);
    ck_assert_uint_eq(sp_stream_memory(b.s), 0);
    ck_assert_uint_eq(b.s->in.cap, 0);
    sp_free(data);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

START_TEST(a_line_that_comes_in_pieces_holds_as_much_as_it_has)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {.keep = true};

    pair(loop, &a, &b);
    for (int i = 0; i < 10; i++) {
        sp_stream_write(a.s, SP_LIT("NO"));
        turn(loop, 3);
    }
    ck_assert_uint_eq(sp_stream_input(b.s).len, 20);
    ck_assert_uint_le(sp_stream_memory(b.s), 64);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

START_TEST(what_has_gone_out_is_not_held)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {0};

    pair(loop, &a, &b);
    sp_stream_write(a.s, SP_LIT("250 fine\r\n"));
    ck_assert_uint_ge(sp_stream_memory(a.s), 10);
    turn(loop, 3);
    ck_assert_int_eq(a.drained, 1);
    ck_assert_uint_eq(a.memory_at_drain, 0);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

/* A transport whose records hold a byte each. ctx: how many are left */
static enum sp_io_want read_a_byte(void *ctx, uint8_t *buf, size_t len, size_t *n)
{
    size_t *left = ctx;

    ck_assert_uint_gt(len, 0);
    if (*left == 0)
        return SP_IO_WANT_READ;
    --*left;
    *n = 1;
    buf[0] = 'x';
    return SP_IO_DONE;
}

static bool has_bytes(void *ctx)
{
    return *(size_t *)ctx > 0;
}

START_TEST(a_turn_takes_few_records_however_small)
{
    static const struct sp_stream_transport small = {.read = read_a_byte, .pending = has_bytes};
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {0};
    size_t left = 1000;

    pair(loop, &a, &b);
    sp_stream_set_transport(b.s, &small, &left, NULL, NULL);
    sp_stream_write(a.s, SP_LIT("x"));
    for (int i = 0; i < 1000 && left > 0; i++) {
        size_t before = left;

        turn(loop, 1);
        ck_assert_uint_le(before - left, 32); /* what is ready, and what is due */
    }
    ck_assert_uint_eq(b.got, 1000);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

START_TEST(telling_again_takes_nothing_from_telling_anyway)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0}, b = {0};

    pair(loop, &a, &b);
    sp_stream_tell_anyway(b.s);
    sp_stream_tell_again(b.s);
    turn(loop, 2);
    ck_assert_int_eq(b.told, 1);
    sp_stream_free(a.s);
    sp_stream_free(b.s);
    sp_loop_free(loop);
}
END_TEST

START_TEST(a_stream_may_be_freed_in_its_own_callback)
{
    struct sp_loop *loop = sp_loop_new();
    struct side a = {0};
    struct side b = {.free_on_input = true};

    pair(loop, &a, &b);
    sp_stream_write(a.s, SP_LIT("x"));
    turn(loop, 5);
    ck_assert_uint_eq(b.got, 1);
    ck_assert_int_eq(b.closed, 0);
    ck_assert_int_eq(a.closed, 1);
    sp_stream_free(a.s);
    sp_loop_free(loop);
}
END_TEST

static struct side *accepted;

static void on_accept(void *arg, int fd, const struct sp_addr *peer)
{
    ck_assert(sp_addr_is_loopback(peer));
    accepted->s = sp_stream_new(arg, fd, &events, accepted);
}

START_TEST(connecting_tells_once_whether_it_worked)
{
    struct sp_loop *loop = sp_loop_new();
    struct sp_addr at;
    struct sp_err err;
    struct side server = {0};
    struct side client = {0};
    struct side refused = {0};
    struct sp_listener *l;
    int fd;

    ck_assert(sp_addr_parse(SP_LIT("127.0.0.1:0"), &at));
    fd = sp_listen(&at, SP_LISTEN_SHARED, 16, &err);
    ck_assert_int_ge(fd, 0);
    at.len = sizeof(at.u);
    ck_assert_int_eq(getsockname(fd, &at.u.sa, &at.len), 0);
    accepted = &server;
    l = sp_listener_new(loop, fd, on_accept, loop);
    client.s = sp_stream_connect(loop, &at, NULL, 1000, &events, &client);
    ck_assert_int_eq(client.connected, 0);
    turn(loop, 5);
    ck_assert_int_eq(client.connected, 1);
    ck_assert_int_eq(client.connect_rc, SP_OK);
    sp_stream_write(client.s, SP_LIT("ping"));
    turn(loop, 5);
    ck_assert_uint_eq(server.got, 4);
    sp_listener_free(l);
    close(fd);
    refused.s = sp_stream_connect(loop, &at, NULL, 1000, &events, &refused);
    turn(loop, 5);
    ck_assert_int_eq(refused.connected, 1);
    ck_assert_int_eq(refused.connect_rc, SP_E_HOP_UNREACHABLE);
    sp_stream_free(refused.s);
    sp_stream_free(client.s);
    sp_stream_free(server.s);
    sp_loop_free(loop);
}
END_TEST

static int client_of(const struct sp_addr *at)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(connect(fd, &at->u.sa, at->len), 0);
    return fd;
}

static void count_up(void *arg)
{
    (void)arg;
    accepted->closed++;
}

/* Everything below the next descriptor is in use: whoever asks for one gets EMFILE. */
static void use_up_descriptors(struct rlimit *before)
{
    int next = dup(0);
    struct rlimit none;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before->rlim_max};
    close(next);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
}

START_TEST(without_descriptors_who_comes_is_told_so)
{
    struct sp_loop *loop = sp_loop_new();
    struct side server = {0};
    struct rlimit before;
    struct sp_addr at;
    struct sp_err err;
    struct sp_listener *l;
    char text[16];
    int fd, clients[3];

    ck_assert(sp_addr_parse(SP_LIT("127.0.0.1:0"), &at));
    fd = sp_listen(&at, SP_LISTEN_SHARED, 16, &err);
    at.len = sizeof(at.u);
    ck_assert_int_eq(getsockname(fd, &at.u.sa, &at.len), 0);
    accepted = &server;
    l = sp_listener_new(loop, fd, on_accept, loop);
    sp_listener_when_full(l, SP_LIT("421 later\r\n"), count_up);
    for (size_t i = 0; i < SP_ARRAY_LEN(clients); i++)
        clients[i] = client_of(&at);
    use_up_descriptors(&before);
    turn(loop, 3);
    ck_assert_int_eq(server.closed, 3);
    ck_assert_ptr_null(server.s);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < SP_ARRAY_LEN(clients); i++) {
        ck_assert_int_eq(recv(clients[i], text, sizeof(text), 0), 11);
        ck_assert_int_eq(memcmp(text, "421 later\r\n", 11), 0);
        ck_assert_int_eq(recv(clients[i], text, sizeof(text), 0), 0);
        close(clients[i]);
    }
    clients[0] = client_of(&at);
    turn(loop, 3);
    ck_assert_ptr_nonnull(server.s);
    sp_stream_free(server.s);
    close(clients[0]);
    sp_listener_free(l);
    close(fd);
    sp_loop_free(loop);
}
END_TEST

static void close_at_once(void *arg, int fd, const struct sp_addr *peer)
{
    (void)peer;
    ++*(int *)arg;
    close(fd);
}

START_TEST(a_turn_accepts_a_few)
{
    struct sp_loop *loop = sp_loop_new();
    struct sp_addr at;
    struct sp_err err;
    struct sp_listener *l;
    int fd, clients[10], count = 0;

    ck_assert(sp_addr_parse(SP_LIT("127.0.0.1:0"), &at));
    fd = sp_listen(&at, SP_LISTEN_SHARED, 16, &err);
    at.len = sizeof(at.u);
    ck_assert_int_eq(getsockname(fd, &at.u.sa, &at.len), 0);
    l = sp_listener_new(loop, fd, close_at_once, &count);
    for (size_t i = 0; i < SP_ARRAY_LEN(clients); i++)
        clients[i] = client_of(&at);
    for (int turns = 1; count < 10; turns++) {
        sp_loop_run_once(loop, 1000);
        ck_assert_int_le(count, 4 * turns);
        ck_assert_int_le(turns, 20);
    }
    for (size_t i = 0; i < SP_ARRAY_LEN(clients); i++)
        close(clients[i]);
    sp_listener_free(l);
    close(fd);
    sp_loop_free(loop);
}
END_TEST

/* ---- handshakes ---- */

struct shaking {
    struct sp_stream *s;
    bool done;
};

static int steps;

static enum sp_io_want step_once(void *ctx)
{
    (void)ctx;
    steps++;
    return SP_IO_DONE;
}

static void on_shaken(void *arg, enum sp_rc rc)
{
    ck_assert_int_eq(rc, SP_OK);
    ((struct shaking *)arg)->done = true;
}

static enum sp_io_want nothing_yet(void *ctx, uint8_t *buf, size_t len, size_t *n)
{
    (void)ctx;
    (void)buf;
    (void)len;
    (void)n;
    return SP_IO_WANT_READ;
}

START_TEST(a_turn_makes_a_few_steps_of_handshakes_and_each_has_its_turn)
{
    static const struct sp_stream_transport transport = {.read = nothing_yet,
                                                         .handshake = step_once};
    struct sp_loop *loop = sp_loop_new();
    struct shaking many[10] = {{NULL, false}};
    struct side side = {0};
    int fds[2], others[10], turns = 0;

    steps = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(many); i++) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        others[i] = fds[1];
        many[i].s = sp_stream_new(loop, fds[0], &events, &side);
        sp_stream_set_transport(many[i].s, &transport, NULL, on_shaken, &many[i]);
    }
    while (steps < 10) {
        int before = steps;

        sp_loop_run_once(loop, 0);
        ck_assert_int_le(steps - before, 4);
        ck_assert_int_le(++turns, 10);
        for (int i = 0; i < 10; i++) /* in the order in which they came */
            ck_assert_int_eq(many[i].done, i < steps);
    }
    for (size_t i = 0; i < SP_ARRAY_LEN(many); i++) {
        sp_stream_free(many[i].s);
        close(others[i]);
    }
    sp_loop_free(loop);
}
END_TEST

START_TEST(addresses_and_networks)
{
    struct sp_addr a;
    struct sp_network n;
    char text[SP_ADDR_TEXT_MAX];

    ck_assert(sp_addr_parse(SP_LIT("[2001:db8::1]:25"), &a));
    sp_addr_format(&a, text);
    ck_assert_str_eq(text, "[2001:db8::1]:25");
    ck_assert(!sp_addr_parse(SP_LIT("2001:db8::1:25"), &a));
    ck_assert(!sp_addr_parse(SP_LIT("127.0.0.1"), &a));
    ck_assert(!sp_addr_parse(SP_LIT("127.0.0.1:70000"), &a));
    ck_assert(sp_network_parse(SP_LIT("10.16.0.0/12"), &n));
    ck_assert(sp_addr_parse(SP_LIT("10.31.255.255:1"), &a) && sp_network_has(&n, &a));
    ck_assert(sp_addr_parse(SP_LIT("10.32.0.0:1"), &a) && !sp_network_has(&n, &a));
    ck_assert(sp_addr_parse(SP_LIT("[::ffff:10.17.1.1]:1"), &a) && sp_network_has(&n, &a));
    ck_assert(!sp_network_parse(SP_LIT("10.0.0.0/33"), &n));
    ck_assert(sp_network_parse(SP_LIT("::1"), &n) && n.bits == 128);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, much_data_arrives_whole_at_a_slow_reader);
    tcase_add_test(c, what_is_lent_arrives_in_its_place);
    tcase_add_test(c, a_little_is_copied_at_once);
    tcase_add_test(c, what_is_lent_to_a_dead_peer_is_let_go);
    tcase_add_test(c, a_held_reader_gets_nothing_until_it_resumes);
    tcase_add_test(c, what_lies_past_a_limit_stays_in_the_socket);
    tcase_add_test(c, who_asks_is_told_again_before_the_end);
    tcase_add_test(c, who_has_work_left_is_told_without_input);
    tcase_add_test(c, what_was_consumed_is_not_held);
    tcase_add_test(c, a_line_that_comes_in_pieces_holds_as_much_as_it_has);
    tcase_add_test(c, what_has_gone_out_is_not_held);
    tcase_add_test(c, a_turn_takes_few_records_however_small);
    tcase_add_test(c, telling_again_takes_nothing_from_telling_anyway);
    tcase_add_test(c, a_stream_may_be_freed_in_its_own_callback);
    tcase_add_test(c, connecting_tells_once_whether_it_worked);
    tcase_add_test(c, without_descriptors_who_comes_is_told_so);
    tcase_add_test(c, a_turn_accepts_a_few);
    tcase_add_test(c, a_turn_makes_a_few_steps_of_handshakes_and_each_has_its_turn);
    tcase_add_test(c, addresses_and_networks);
}

SP_TEST_MAIN("io.stream", add)
