/*
 * Server, connection and request of the web module, for its own files.
 *
 * A connection serves one request at a time; its request lives in it. server.c counts and accepts, conn.c reads,
 * reply.c writes.
 */
#ifndef SP_WEB_WEB_PRIV_H
#define SP_WEB_WEB_PRIV_H

#include "io/stream.h"
#include "web/web.h"

enum conn_state {
    CONN_HANDSHAKE,
    CONN_IDLE,    /* between requests */
    CONN_HEAD,    /* its first bytes are there */
    CONN_BODY,    /* head understood, body coming */
    CONN_RUN,     /* with its handler */
    CONN_REPLY,   /* a source is being sent */
    CONN_CLOSING, /* last bytes on their way out */
    CONN_DEAD,    /* freed at the end of this turn */
};

struct sp_web_request {
    struct web_conn *conn;
    const struct sp_web_route *route;
    struct sp_web_head head;
    struct sp_bytes segments[SP_WEB_SEGMENTS_MAX];
    struct sp_buf head_bytes; /* what the head's views point into */
    struct sp_buf body;
    struct sp_buf fields; /* of the reply */
    bool has_policy;      /* fields hold a Content-Security-Policy */
    sp_handle handle;     /* 0: answered, or no request */
};

struct web_address {
    size_t count;
};

struct web_conn {
    struct sp_web_server *server;
    struct sp_list in_server;
    struct sp_stream *stream;
    struct sp_timer *deadline;
    struct sp_timer *kick; /* goes on with what is in the input, from the loop */
    struct sp_addr peer;
    enum conn_state state;
    size_t scanned;
    bool reading; /* sp_web_conn_read is on the stack */
    bool close;   /* after this reply */
    bool sourced; /* source is to be ended */
    bool chunked;
    bool source_done; /* it has said so; the rest is in the stream */
    struct sp_web_source source;
    uint64_t source_left;
    int64_t reply_end_ms;
    bool drained;          /* since the deadline was set last */
    size_t pending_before; /* of the stream, when the deadline was set last */
    struct sp_web_request req;
};

struct sp_web_server {
    struct sp_web_options o;
    const struct sp_clock *clock;
    struct sp_list conns;
    size_t conn_count;
    struct sp_map *addresses; /* struct web_address by address */
    struct sp_slots *requests;
    struct sp_listener **listeners;
    size_t listener_count;
    bool draining;
    struct sp_timer *drain_timer;
    void (*on_idle)(void *arg);
    void *on_idle_arg;
};

/* owner: the connection owns fd, the server the connection */
void sp_web_conn_start(struct sp_web_server *s, int fd, const struct sp_addr *peer);
/* Cuts it off now; its memory goes at the end of the turn. */
void sp_web_conn_drop(struct web_conn *c, enum sp_rc why);
/* Goes on with what has arrived, as far as it goes. */
void sp_web_conn_read(struct web_conn *c);
void sp_web_conn_enter(struct web_conn *c, enum conn_state next);
/* The reply is out (or on its way): next request, or close. */
void sp_web_conn_answered(struct web_conn *c);
/* Sends the next piece of a source when there is room. */
void sp_web_reply_pump(struct web_conn *c);
/* Answers what was no valid request, then closes. */
void sp_web_reply_refuse(struct web_conn *c, int status);
/* A connection is gone: counts, and tells a drain. */
void sp_web_server_lost(struct sp_web_server *s, const struct sp_addr *peer);

#endif
