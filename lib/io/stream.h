/*
 * A byte stream on a connected, non-blocking socket, with buffers of its own on both sides. Bytes that arrive gather in
 * the input, of which the user consumes what it understands; what is written goes out at the end of the turn, so that
 * many small writes are one. A transport (none: plain; tls puts its own in) does the reading and writing.
 *
 * thread: loop. Callbacks are never made from within a call of these functions, but from the loop; none comes after
 * sp_stream_free. A callback may free the stream.
 */
#ifndef SP_IO_STREAM_H
#define SP_IO_STREAM_H

#include "base/err.h"
#include "io/addr.h"
#include "io/loop.h"

struct sp_stream;

#define SP_STREAM_INPUT_MAX (256 * 1024) /* reading pauses while so much lies unconsumed */
#define SP_STREAM_TURN_MAX  (64 * 1024)  /* at most so much is read a turn, then others run */

struct sp_stream_events {
    /* Connected (sp_stream_connect only): SP_OK, or why not; then no other callback comes. */
    void (*on_connected)(void *arg, enum sp_rc rc);
    /* New input is there. Called again next turn if input was consumed in part and more has come. */
    void (*on_input)(void *arg);
    /* All that was written has been handed to the kernel. May be NULL. */
    void (*on_drained)(void *arg);
    /* The peer has closed (SP_E_CLOSED) or the connection broke (SP_E_IO and others); unconsumed input stays readable.
     * Once only; nothing else comes after it. */
    void (*on_closed)(void *arg, enum sp_rc why);
};

/* Results of a transport's steps. */
enum sp_io_want { SP_IO_DONE, SP_IO_WANT_READ, SP_IO_WANT_WRITE, SP_IO_EOF, SP_IO_FAILED };

/*
 * What tls puts between stream and socket. read and write move at most len bytes and set *n (> 0 with SP_IO_DONE);
 * more says that something else is written behind it at once; pending tells of decrypted bytes that no poll would show;
 * end sends a closing alert if there is one; free frees ctx.
 */
struct sp_stream_transport {
    enum sp_io_want (*read)(void *ctx, uint8_t *buf, size_t len, size_t *n);
    enum sp_io_want (*write)(void *ctx, const uint8_t *buf, size_t len, bool more, size_t *n);
    bool (*pending)(void *ctx);
    void (*end)(void *ctx);
    void (*free)(void *ctx);
    /* Runs the handshake on; SP_IO_DONE when it is complete. NULL: there is none. */
    enum sp_io_want (*handshake)(void *ctx);
};

/*
 * Takes a connected socket.
 *
 * owner:   the stream owns fd from now on; the caller owns the stream
 * events:  static; arg goes to each
 */
struct sp_stream *sp_stream_new(struct sp_loop *loop, int fd, const struct sp_stream_events *events,
                                void *arg);

/*
 * Connects; on_connected follows in any case, exactly once, unless freed before.
 *
 * source: address to bind to, or NULL
 * owner:  the caller
 */
struct sp_stream *sp_stream_connect(struct sp_loop *loop, const struct sp_addr *to,
                                    const struct sp_addr *source, int64_t timeout_ms,
                                    const struct sp_stream_events *events, void *arg);

/* Closes at once and frees; what was not written yet is lost. NULL is allowed. */
void sp_stream_free(struct sp_stream *s);

/* Changes who hears of it. */
void sp_stream_set_events(struct sp_stream *s, const struct sp_stream_events *events, void *arg);

/* returns: what has arrived and was not consumed; good until the next call on this stream or the next turn */
struct sp_bytes sp_stream_input(const struct sp_stream *s);

/* Drops n bytes of the input (n <= its length). */
void sp_stream_consume(struct sp_stream *s, size_t n);

/* Copies bytes to the output; they leave at the end of this turn or when the socket takes them. */
void sp_stream_write(struct sp_stream *s, struct sp_bytes bytes);

/*
 * Writes bytes that stay where they are, if they are many: they must not change until on_drained, until
 * sp_stream_has_lent says no, or until sp_stream_end_lending. One piece at a time; a second one is copied.
 */
void sp_stream_lend(struct sp_stream *s, struct sp_bytes bytes);
/* returns: whether some of what was lent has not gone out */
bool sp_stream_has_lent(const struct sp_stream *s);
/* Takes a copy of what has not: the lender goes away. */
void sp_stream_end_lending(struct sp_stream *s);

/* returns: bytes written that the kernel has not taken yet */
size_t sp_stream_pending(const struct sp_stream *s);

/* returns: bytes of memory that it holds for both directions when this turn has ended; what was written counts until on_drained */
size_t sp_stream_memory(const struct sp_stream *s);

/*
 * Reads on only while less than max bytes lie unconsumed, and never past them: what follows stays in the socket, for a
 * transport that is to come. SP_STREAM_INPUT_MAX: as usual. For streams without a transport.
 */
void sp_stream_limit_input(struct sp_stream *s, size_t max);

/* Tells of what lies unconsumed in the next turn, once more, even if nothing comes: for who has taken its share of this one. Until
 * then nothing more is read, not even the peer's end. */
void sp_stream_tell_again(struct sp_stream *s);

/* The same, even if nothing lies there: for who has work left that takes no input. Of a held stream: when it is held no more. */
void sp_stream_tell_anyway(struct sp_stream *s);

/* Stops (true) or resumes (false) reading; for when what is fed by it is full. */
void sp_stream_hold_input(struct sp_stream *s, bool hold);

/* Says this on a new connection and closes it; nobody hears how that went. fd: taken. words: borrowed for the call */
void sp_stream_dismiss(struct sp_loop *loop, int fd, struct sp_bytes words);

/* Reads no more, and closes when all is written; on_closed then says SP_OK. */
void sp_stream_close_after_write(struct sp_stream *s);

/* returns: the peer's address; family 0 for socket pairs */
const struct sp_addr *sp_stream_peer(const struct sp_stream *s);

/* returns: the descriptor, lent: for a transport and for socket options only */
int sp_stream_fd(const struct sp_stream *s);

/* returns: the loop that it runs on */
struct sp_loop *sp_stream_loop(const struct sp_stream *s);

/*
 * Puts a transport in, once, with output empty (a caller flushes first: sp_stream_pending == 0) and input empty. If it
 * has a handshake, on_done(arg, rc) comes when it has ended, and no other callback before; closing meanwhile is
 * told by on_done with the reason.
 *
 * owner:   the stream owns ctx from now on (transport->free)
 */
void sp_stream_set_transport(struct sp_stream *s, const struct sp_stream_transport *transport,
                             void *ctx, void (*on_done)(void *arg, enum sp_rc rc), void *arg);

/* ---- listener ---- */
struct sp_listener;

/*
 * Accepts on a listening socket; each new socket is non-blocking, close-on-exec, TCP_NODELAY, and the callee's.
 *
 * owner:   the caller; fd stays the caller's (it is shared with the supervisor)
 */
struct sp_listener *
sp_listener_new(struct sp_loop *loop, int fd,
                void (*on_accept)(void *arg, int fd, const struct sp_addr *peer), void *arg);
void sp_listener_free(struct sp_listener *l);
/*
 * What a connection is told for which there is no descriptor, before it is closed; without this, it waits until there is
 * one. words: a literal, lent for the listener's life. on_full(arg of the listener) follows each; may be NULL
 */
void sp_listener_when_full(struct sp_listener *l, struct sp_bytes words,
                           void (*on_full)(void *arg));
/* Stops or resumes accepting. */
void sp_listener_hold(struct sp_listener *l, bool hold);

enum sp_listen_flags {
    SP_LISTEN_SHARED = 1, /* with other sockets of this user (SO_REUSEPORT) */
    SP_LISTEN_V6_ONLY = 2 /* [::] without IPv4 */
};

/* returns: a bound, listening, non-blocking socket with SO_REUSEADDR, or -1, err filled, and errno */
int sp_listen(const struct sp_addr *at, unsigned flags, int backlog, struct sp_err *err);

#endif
