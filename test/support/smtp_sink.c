/*
 * Line by line; a message's lines are dropped until the dot.
 */
#include "support/smtp_sink.h"

#include "base/map.h"
#include "io/stream.h"

#include <unistd.h>

#define REPLIES_MAX 8

struct session {
    struct sp_list at;
    struct smtp_sink *s;
    struct sp_stream *stream;
    bool in_data;
};

struct smtp_sink {
    struct sp_loop *loop;
    int fd;
    uint16_t port;
    struct sp_listener *listener;
    struct sp_list sessions;
    unsigned session_count, message_count, open;
    struct {
        const char *verb;
        const char *text;
    } replies[REPLIES_MAX];
    size_t reply_count;
};

static void end(struct session *c)
{
    c->s->open--;
    sp_list_remove(&c->at);
    sp_stream_free(c->stream);
    sp_free(c);
}

/* returns: false if the session is gone */
static bool say(struct session *c, const char *verb, const char *usual)
{
    const char *text = usual;

    for (size_t i = 0; i < c->s->reply_count; i++)
        if (strcmp(c->s->replies[i].verb, verb) == 0 && c->s->replies[i].text != NULL)
            text = c->s->replies[i].text;
    if (text[0] == '\0') {
        end(c);
        return false;
    }
    sp_stream_write(c->stream, sp_bytes_cstr(text));
    sp_stream_write(c->stream, SP_LIT("\r\n"));
    return true;
}

static bool on_line(struct session *c, struct sp_bytes line)
{
    char verb[5] = "";

    if (c->in_data) {
        if (!sp_bytes_eq(line, SP_LIT(".")))
            return true;
        c->in_data = false;
        c->s->message_count++;
        return say(c, "DOT", "250 2.0.0 taken");
    }
    memcpy(verb, line.ptr, line.len < 4 ? line.len : 4);
    if (strcmp(verb, "EHLO") == 0)
        return say(c, verb, "250-sink\r\n250-PIPELINING\r\n250 8BITMIME");
    if (strcmp(verb, "DATA") == 0) {
        c->in_data = true;
        return say(c, verb, "354 go");
    }
    if (strcmp(verb, "QUIT") == 0)
        return say(c, verb, "221 bye");
    return say(c, verb, "250 ok");
}

static void on_input(void *arg)
{
    struct session *c = arg;

    for (;;) {
        struct sp_bytes in = sp_stream_input(c->stream);
        size_t at = sp_bytes_find(in, '\n');

        if (at == SIZE_MAX)
            return;
        if (!on_line(c, sp_bytes_slice(in, 0, at > 0 ? at - 1 : 0)))
            return;
        sp_stream_consume(c->stream, at + 1);
    }
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)why;
    end(arg);
}

static const struct sp_stream_events events = {.on_input = on_input, .on_closed = on_closed};

static void on_accept(void *arg, int fd, const struct sp_addr *peer)
{
    struct smtp_sink *s = arg;
    struct session *c = sp_calloc(1, sizeof(*c));

    (void)peer;
    c->s = s;
    s->session_count++;
    s->open++;
    sp_list_append(&s->sessions, &c->at);
    c->stream = sp_stream_new(s->loop, fd, &events, c);
    (void)say(c, "CONNECT", "220 sink ESMTP");
}

struct smtp_sink *smtp_sink_new(struct sp_loop *loop)
{
    struct smtp_sink *s = sp_calloc(1, sizeof(*s));
    struct sp_addr at;
    socklen_t len = sizeof(at.u);
    struct sp_err err;

    s->loop = loop;
    sp_list_init(&s->sessions);
    sp_assert(sp_addr_parse(SP_LIT("127.0.0.1:1"), &at));
    at.u.in4.sin_port = 0;
    s->fd = sp_listen(&at, 0, 64, &err);
    sp_assert(s->fd >= 0 && getsockname(s->fd, &at.u.sa, &len) == 0);
    s->port = sp_addr_port(&at);
    s->listener = sp_listener_new(loop, s->fd, on_accept, s);
    return s;
}

void smtp_sink_shut(struct smtp_sink *s)
{
    if (s->fd < 0)
        return;
    sp_listener_free(s->listener);
    (void)close(s->fd);
    s->fd = -1;
}

void smtp_sink_free(struct smtp_sink *s)
{
    SP_LIST_EACH(at, &s->sessions)
    end(SP_CONTAINER(at, struct session, at));
    smtp_sink_shut(s);
    sp_free(s);
}

void smtp_sink_reply(struct smtp_sink *s, const char *verb, const char *text)
{
    for (size_t i = 0; i < s->reply_count; i++)
        if (strcmp(s->replies[i].verb, verb) == 0) { /* told anew */
            s->replies[i].text = text;
            return;
        }
    sp_assert(s->reply_count < REPLIES_MAX);
    s->replies[s->reply_count].verb = verb;
    s->replies[s->reply_count++].text = text;
}

uint16_t smtp_sink_port(const struct smtp_sink *s)
{
    return s->port;
}

unsigned smtp_sink_sessions(const struct smtp_sink *s)
{
    return s->session_count;
}

unsigned smtp_sink_messages(const struct smtp_sink *s)
{
    return s->message_count;
}

unsigned smtp_sink_open(const struct smtp_sink *s)
{
    return s->open;
}
