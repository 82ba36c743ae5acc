/*
 * A stream's state. For io alone.
 */
#ifndef SP_IO_STREAM_PRIV_H
#define SP_IO_STREAM_PRIV_H

#include "io/loop_priv.h"
#include "io/output_priv.h"
#include "io/stream.h"

enum phase {
    CONNECTING,
    OPEN,
    HANDSHAKE,
    FLUSHING,  /* close_after_write: output still to go */
    LINGERING, /* all written and shut down; reads and drops until the peer closes */
    CLOSED,    /* on_closed was told */
};

struct sp_stream {
    struct sp_loop *loop;
    int fd;
    enum phase phase;
    bool dead; /* freed, memory goes at the end of the turn */
    bool hold;
    bool told_drained;
    bool eof;
    enum sp_rc end_rc; /* what on_closed will say, with end_due */
    bool end_due;
    bool input_due; /* tell of input at the end of the turn, without reading */
    bool again;     /* told even if nothing lies there */
    bool read_due;  /* the transport has bytes that no poll shows */
    bool step_due;  /* of the handshake: the turn had as many as it may */
    int events;     /* watched */
    enum sp_io_want read_want, write_want;
    struct sp_addr peer;
    const struct sp_stream_events *on;
    void *arg;
    const struct sp_stream_transport *transport;
    void *transport_ctx;
    void (*on_handshake)(void *arg, enum sp_rc rc);
    void *handshake_arg;
    struct sp_watch *watch;
    struct sp_timer *timer; /* connecting and lingering */
    struct sp_task task;
    const uint8_t
        *view; /* unconsumed input: in the loop's scratch during a callback, else in `in` */
    size_t view_len;
    size_t input_max; /* reading pauses while so much lies unconsumed */
    struct sp_buf in;
    struct sp_output out;
};

#endif
