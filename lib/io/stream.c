/*
 * Streams do their own buffering on bare sockets instead of libevent's bufferevents: reading goes into one buffer of the
 * loop's and is copied only if something stays unconsumed, an idle stream holds no buffers at all, and output of a turn
 * leaves in one write. Every callback is made from the loop, and a stream that was freed in one is dead at once and
 * gone at the end of the turn.
 */
#include "io/stream.h"

#include "base/fault.h"
#include "io/stream_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define SHRINK_MIN (16 * 1024)
#define READS_MAX  16   /* a turn: records may hold a byte each, and cost as much as others */
#define LEND_MIN   8192 /* less is copied: it costs less than a piece of its own */
#define TLS_RECORD (16 * 1024)
#define LINGER_MS  2000 /* how long the peer may take to close after our last word */

static void on_ready(void *arg, int events);
static void on_task(void *arg);

static struct sp_stream *stream_new(struct sp_loop *loop, int fd,
                                    const struct sp_stream_events *events, void *arg)
{
    struct sp_stream *s = sp_calloc(1, sizeof(*s));

    s->loop = loop;
    s->fd = fd;
    s->on = events;
    s->arg = arg;
    s->told_drained = true;
    s->input_max = SP_STREAM_INPUT_MAX;
    s->read_want = SP_IO_WANT_READ;
    s->write_want = SP_IO_WANT_WRITE;
    sp_buf_init(&s->in, SP_STREAM_INPUT_MAX + SP_STREAM_TURN_MAX);
    sp_output_init(&s->out);
    sp_task_init(&s->task, on_task, s);
    if (fd >= 0)
        s->watch = sp_watch_new(loop, fd, on_ready, s);
    return s;
}

static void free_now(void *ptr)
{
    struct sp_stream *s = ptr;

    sp_buf_clear(&s->in);
    sp_output_clear(&s->out);
    sp_free(s);
}

void sp_stream_free(struct sp_stream *s)
{
    if (s == NULL || s->dead)
        return;
    s->dead = true;
    sp_task_cancel(&s->task);
    sp_watch_free(s->watch);
    sp_timer_free(s->timer);
    if (s->transport != NULL && s->transport->free != NULL)
        s->transport->free(s->transport_ctx);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    sp_loop_free_later(s->loop, free_now, s);
}

void sp_stream_set_events(struct sp_stream *s, const struct sp_stream_events *events, void *arg)
{
    s->on = events;
    s->arg = arg;
}

static void schedule(struct sp_stream *s)
{
    if (!s->dead)
        sp_task_schedule(s->loop, &s->task);
}

void sp_stream_consume(struct sp_stream *s, size_t n)
{
    sp_assert(n <= s->view_len);
    s->view += n;
    s->view_len -= n;
    if (s->view_len == 0 && s->in.ptr != NULL)
        schedule(s); /* it holds nothing at the end of the turn, whoever consumed it */
}

static bool wants_reading(const struct sp_stream *s)
{
    if (s->eof || s->end_due)
        return false;
    return s->phase == LINGERING ||
           (s->phase == OPEN && !s->hold && !s->input_due && s->view_len < s->input_max);
}

/* Watches what the state asks for; called whenever that may have changed. */
static void rewatch(struct sp_stream *s)
{
    int events = 0;

    if (s->dead || s->watch == NULL)
        return;
    if (s->phase == CONNECTING)
        events = SP_WRITE;
    else if (s->phase == HANDSHAKE)
        events = s->step_due ? 0 : s->read_want == SP_IO_WANT_WRITE ? SP_WRITE : SP_READ;
    else if (s->phase != CLOSED) {
        if (wants_reading(s))
            events |= s->read_want == SP_IO_WANT_WRITE ? SP_WRITE : SP_READ;
        if (sp_stream_pending(s) > 0)
            events |= s->write_want == SP_IO_WANT_READ ? SP_READ : SP_WRITE;
    }
    sp_watch_set(s->watch, events);
}

/* The connection is over: on_closed comes at the end of this turn, once. */
static void end_with(struct sp_stream *s, enum sp_rc rc)
{
    if (s->end_due || s->phase == CLOSED)
        return;
    s->end_due = true;
    s->end_rc = rc;
    rewatch(s);
    schedule(s);
}

static enum sp_io_want from_errno(ssize_t n, enum sp_io_want again)
{
    if (n >= 0)
        return SP_IO_EOF;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return again;
    return SP_IO_FAILED;
}

static enum sp_io_want read_some(struct sp_stream *s, uint8_t *buf, size_t len, size_t *n)
{
    ssize_t got;

    if (s->transport != NULL)
        return s->transport->read(s->transport_ctx, buf, len, n);
    got = SP_FAULT_ERRNO("io.read", ECONNRESET) ? -1 : recv(s->fd, buf, len, 0);
    if (got <= 0)
        return from_errno(got, SP_IO_WANT_READ);
    *n = (size_t)got;
    return SP_IO_DONE;
}

static enum sp_io_want write_some(struct sp_stream *s, size_t *n)
{
    struct iovec iov[SP_OUTPUT_PIECES];
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = sp_output_list(&s->out, iov)};
    ssize_t put;

    if (s->transport != NULL)
        return s->transport->write(s->transport_ctx, iov[0].iov_base, iov[0].iov_len,
                                   message.msg_iovlen > 1, n);
    if (SP_FAULT_ERRNO("io.write", EPIPE))
        put = -1;
    else if (message.msg_iovlen == 1)
        put = send(s->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
    else
        put = sendmsg(s->fd, &message, MSG_NOSIGNAL);
    if (put < 0)
        return from_errno(put, SP_IO_WANT_WRITE);
    *n = (size_t)put;
    return SP_IO_DONE;
}

/* Much memory for the little that is left is given back. */
static void shrink(struct sp_buf *b)
{
    struct sp_buf less;

    if (b->cap < SHRINK_MIN || b->len > b->cap / 4)
        return;
    sp_buf_init(&less, b->max);
    sp_buf_put(&less, sp_buf_bytes(b));
    sp_buf_clear(b);
    *b = less;
}

/* What lies unconsumed in the scratch buffer moves to the stream's own. */
static void keep_input(struct sp_stream *s)
{
    if (s->view_len == 0) {
        sp_buf_clear(&s->in);
        s->view = NULL;
        return;
    }
    if (s->in.ptr != NULL && s->view >= s->in.ptr && s->view <= s->in.ptr + s->in.len) {
        sp_buf_drop(&s->in, (size_t)(s->view - s->in.ptr));
        shrink(&s->in);
    } else {
        sp_buf_reset(&s->in);
        sp_buf_put(&s->in, sp_bytes(s->view, s->view_len));
    }
    s->view = s->in.ptr;
}

static void tell_input(struct sp_stream *s)
{
    s->input_due = false;
    if ((s->view_len == 0 && !s->again) || s->hold || s->phase != OPEN)
        return;
    s->again = false;
    s->on->on_input(s->arg);
    if (!s->dead)
        keep_input(s);
}

/* returns: whether another read, after one of n bytes, would only say that there is nothing */
static bool is_read_out(const struct sp_stream *s, size_t n, size_t asked)
{
    if (s->transport == NULL)
        return n < asked;
    return n < TLS_RECORD && n < asked && s->transport->pending != NULL &&
           !s->transport->pending(s->transport_ctx);
}

/* Reads into the scratch buffer. If something is left over from before, what came is copied behind it: a line that comes in
 * pieces then holds as much as it has, and not a turn's worth. */
static enum sp_io_want fill_input(struct sp_stream *s)
{
    uint8_t *to = sp_loop_scratch(s->loop);
    size_t got = 0;
    enum sp_io_want want = SP_IO_DONE;
    bool own = s->view_len > 0;
    size_t room = s->input_max - s->view_len;

    if (s->input_max == SP_STREAM_INPUT_MAX || room > SP_STREAM_TURN_MAX)
        room =
            SP_STREAM_TURN_MAX; /* past an ordinary maximum a turn is finished, past a limit never */
    if (own)
        keep_input(s);
    for (int i = 0; i < READS_MAX && got < room && want == SP_IO_DONE; i++) {
        size_t n = 0;

        want = read_some(s, to + got, room - got, &n);
        if (want == SP_IO_DONE)
            got += n;
        if (is_read_out(s, n, room - (got - n)))
            break;
    }
    if (own) {
        sp_buf_put(&s->in, sp_bytes(to, got));
        sp_assert(!s->in.failed);
        s->view = s->in.ptr;
        s->view_len = s->in.len;
    } else {
        s->view = to;
        s->view_len = got;
    }
    return want;
}

static void drop_input(struct sp_stream *s)
{
    uint8_t *scratch = sp_loop_scratch(s->loop);
    ssize_t got = recv(s->fd, scratch, SP_LOOP_SCRATCH_LEN, 0);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        end_with(s, SP_OK);
}

static void do_read(struct sp_stream *s)
{
    enum sp_io_want want;
    size_t before = s->view_len;

    if (s->phase == LINGERING) {
        drop_input(s);
        return;
    }
    want = fill_input(s);
    s->read_want = want == SP_IO_WANT_WRITE ? SP_IO_WANT_WRITE : SP_IO_WANT_READ;
    s->read_due = want == SP_IO_DONE && s->transport != NULL && s->transport->pending != NULL &&
                  s->transport->pending(s->transport_ctx);
    if (want == SP_IO_EOF || want == SP_IO_FAILED)
        s->eof = true;
    if (s->view_len > before) {
        tell_input(s);
        if (s->dead)
            return;
    }
    keep_input(s);
    if (want == SP_IO_EOF)
        end_with(s, SP_E_CLOSED);
    else if (want == SP_IO_FAILED)
        end_with(s, SP_E_IO);
    if (s->read_due)
        schedule(s);
}

static void on_linger_over(void *arg)
{
    end_with(arg, SP_OK);
}

/* All is written and the stream is to close: say goodbye, then wait a while for the peer to do the same, since closing a
 * socket with unread input would make the kernel throw our last reply away. */
static void say_goodbye(struct sp_stream *s)
{
    if (s->transport != NULL && s->transport->end != NULL)
        s->transport->end(s->transport_ctx);
    if (s->eof || shutdown(s->fd, SHUT_WR) != 0) {
        end_with(s, SP_OK);
        return;
    }
    s->phase = LINGERING;
    s->timer = sp_timer_new(s->loop, on_linger_over, s);
    sp_timer_start(s->timer, LINGER_MS);
}

static void on_all_written(struct sp_stream *s)
{
    sp_output_clear(&s->out);
    if (s->phase == FLUSHING) {
        say_goodbye(s);
        return;
    }
    if (s->told_drained)
        return;
    s->told_drained = true;
    if (s->on->on_drained != NULL)
        s->on->on_drained(s->arg);
}

static void do_write(struct sp_stream *s)
{
    while (sp_stream_pending(s) > 0) {
        size_t n = 0;
        enum sp_io_want want = write_some(s, &n);

        if (want == SP_IO_DONE) {
            sp_output_drop(&s->out, n);
            continue;
        }
        s->write_want = want == SP_IO_WANT_READ ? SP_IO_WANT_READ : SP_IO_WANT_WRITE;
        if (want == SP_IO_EOF || want == SP_IO_FAILED) {
            s->eof = true;
            sp_output_clear(&s->out);
            end_with(s, SP_E_IO);
        } else {
            sp_output_trim(&s->out, SP_STREAM_TURN_MAX);
        }
        return;
    }
    on_all_written(s);
}

static void finish_handshake(struct sp_stream *s, enum sp_rc rc)
{
    if (rc == SP_OK) {
        s->phase = OPEN;
        s->read_want = SP_IO_WANT_READ;
        s->read_due = true; /* the peer's first bytes may have come with its last flight */
        schedule(s);
    } else {
        s->phase = CLOSED;
    }
    s->on_handshake(s->handshake_arg, rc);
}

/* Those that find the turn full stand in the row of its tasks, and go on in that order. */
static void do_handshake(struct sp_stream *s)
{
    enum sp_io_want want;

    s->step_due = !sp_loop_take_handshake(s->loop);
    if (s->step_due) {
        schedule(s);
        return;
    }
    want = s->transport->handshake(s->transport_ctx);
    switch (want) {
    case SP_IO_DONE:
        finish_handshake(s, SP_OK);
        break;
    case SP_IO_EOF:
        finish_handshake(s, SP_E_CLOSED);
        break;
    case SP_IO_FAILED:
        finish_handshake(s, SP_E_TLS_HANDSHAKE);
        break;
    case SP_IO_WANT_READ:
    case SP_IO_WANT_WRITE:
        s->read_want = want;
        break;
    }
}

static void finish_connect(struct sp_stream *s, enum sp_rc rc)
{
    sp_timer_free(s->timer);
    s->timer = NULL;
    s->phase = rc == SP_OK ? OPEN : CLOSED;
    s->on->on_connected(s->arg, rc);
}

static void check_connect(struct sp_stream *s)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
        finish_connect(s, SP_E_HOP_UNREACHABLE);
    else
        finish_connect(s, SP_OK);
}

static void on_ready(void *arg, int events)
{
    struct sp_stream *s = arg;

    (void)events;
    if (s->phase == CONNECTING)
        check_connect(s);
    else if (s->phase == HANDSHAKE)
        do_handshake(s);
    else {
        if (wants_reading(s))
            do_read(s);
        if (!s->dead && sp_stream_pending(s) > 0)
            do_write(s);
    }
    rewatch(s);
}

/* The end of a turn: flush, tell what is due, close. */
static void on_task(void *arg)
{
    struct sp_stream *s = arg;

    if (s->phase == CONNECTING && s->fd < 0) {
        finish_connect(s, SP_E_HOP_UNREACHABLE);
        return;
    }
    if (s->phase == HANDSHAKE) {
        do_handshake(s);
        rewatch(s);
        return;
    }
    if (s->phase == CONNECTING || s->phase == CLOSED)
        return;
    if (s->view_len == 0)
        keep_input(s);
    if (s->input_due)
        tell_input(s);
    if (!s->dead && s->read_due && wants_reading(s)) {
        s->read_due = false;
        do_read(s);
    }
    if (!s->dead && !s->end_due &&
        (sp_stream_pending(s) > 0 || !s->told_drained || s->phase == FLUSHING))
        do_write(s);
    if (!s->dead && s->end_due && s->phase != CLOSED &&
        !((s->hold || s->input_due) && (s->view_len > 0 || s->again) && s->end_rc == SP_E_CLOSED)) {
        s->phase = CLOSED;
        rewatch(s);
        s->on->on_closed(s->arg, s->end_rc);
        return;
    }
    rewatch(s);
}

struct sp_stream *sp_stream_new(struct sp_loop *loop, int fd, const struct sp_stream_events *events,
                                void *arg)
{
    struct sp_stream *s = stream_new(loop, fd, events, arg);

    s->phase = OPEN;
    s->peer.len = sizeof(s->peer.u);
    if (getpeername(fd, &s->peer.u.sa, &s->peer.len) != 0 || s->peer.u.sa.sa_family == AF_UNIX)
        s->peer = (struct sp_addr){.len = 0};
    rewatch(s);
    return s;
}

static void on_connect_timeout(void *arg)
{
    struct sp_stream *s = arg;

    finish_connect(s, SP_E_TIMEOUT);
    rewatch(s);
}

struct sp_stream *sp_stream_connect(struct sp_loop *loop, const struct sp_addr *to,
                                    const struct sp_addr *source, int64_t timeout_ms,
                                    const struct sp_stream_events *events, void *arg)
{
    struct sp_stream *s = stream_new(loop, sp_stream_open(to, source), events, arg);

    s->phase = CONNECTING;
    s->peer = *to;
    if (s->fd < 0) {
        schedule(s);
        return s;
    }
    s->timer = sp_timer_new(loop, on_connect_timeout, s);
    sp_timer_start(s->timer, timeout_ms);
    rewatch(s);
    return s;
}

/* returns: whether anybody will read what is written now */
static bool takes_output(const struct sp_stream *s)
{
    return !s->end_due && !s->eof && s->phase <= HANDSHAKE;
}

static void output_due(struct sp_stream *s)
{
    s->told_drained = false;
    schedule(s);
}

void sp_stream_write(struct sp_stream *s, struct sp_bytes bytes)
{
    if (bytes.len == 0 || !takes_output(s))
        return;
    sp_output_put(&s->out, bytes);
    output_due(s);
}

void sp_stream_lend(struct sp_stream *s, struct sp_bytes bytes)
{
    if (bytes.len < LEND_MIN || !takes_output(s) || !sp_output_lend(&s->out, bytes))
        sp_stream_write(s, bytes);
    else
        output_due(s);
}

void sp_stream_end_lending(struct sp_stream *s)
{
    sp_output_end_lending(&s->out);
}

void sp_stream_limit_input(struct sp_stream *s, size_t max)
{
    sp_assert(s->transport == NULL);
    s->input_max = max;
    rewatch(s);
}

void sp_stream_tell_again(struct sp_stream *s)
{
    if (s->view_len > 0)
        s->input_due = true;
    schedule(s);
}

void sp_stream_tell_anyway(struct sp_stream *s)
{
    s->again = true;
    s->input_due = true;
    schedule(s);
}

void sp_stream_hold_input(struct sp_stream *s, bool hold)
{
    s->hold = hold;
    if (!hold && (s->view_len > 0 || s->again))
        s->input_due = true;
    if (!hold && s->transport != NULL)
        s->read_due = true;
    rewatch(s);
    schedule(s);
}

void sp_stream_close_after_write(struct sp_stream *s)
{
    if (s->phase == OPEN) {
        s->phase = FLUSHING;
        schedule(s);
    } else if (s->phase != FLUSHING && s->phase != LINGERING) {
        end_with(s, SP_OK);
    }
}

void sp_stream_set_transport(struct sp_stream *s, const struct sp_stream_transport *transport,
                             void *ctx, void (*on_done)(void *arg, enum sp_rc rc), void *arg)
{
    sp_assert(s->transport == NULL && s->phase == OPEN);
    sp_assert(s->view_len == 0 && sp_stream_pending(s) == 0);
    s->transport = transport;
    s->transport_ctx = ctx;
    if (transport->handshake == NULL)
        return;
    s->on_handshake = on_done;
    s->handshake_arg = arg;
    s->phase = HANDSHAKE;
    rewatch(s);
    schedule(s);
}
