/*
 * What may be asked of a stream: its input, its peer, how much it holds. Nothing here changes it.
 */
#include "io/stream_priv.h"

size_t sp_stream_pending(const struct sp_stream *s)
{
    return sp_output_len(&s->out);
}

size_t sp_stream_memory(const struct sp_stream *s)
{
    size_t in = s->view_len > s->in.cap ? s->view_len : s->in.cap;

    return (s->view_len == 0 ? 0 : in) + s->out.own.cap;
}

bool sp_stream_has_lent(const struct sp_stream *s)
{
    return s->out.lent.len > 0;
}

const struct sp_addr *sp_stream_peer(const struct sp_stream *s)
{
    return &s->peer;
}

int sp_stream_fd(const struct sp_stream *s)
{
    return s->fd;
}

struct sp_loop *sp_stream_loop(const struct sp_stream *s)
{
    return s->loop;
}

struct sp_bytes sp_stream_input(const struct sp_stream *s)
{
    return sp_bytes(s->view, s->view_len);
}
