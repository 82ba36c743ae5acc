/*
 * OpenSSL's own BIO on a socket hands each record to the kernel as if it were the last, and the kernel sends it at once:
 * five segments, wake-ups of the peer and acknowledgements for 64 KiB. This one tells the kernel whether more follows in
 * the same turn. If what follows does not come, because the socket's buffer is full, the kernel sends what it has.
 */
#include "tls/tls_priv.h"

#include <errno.h>
#include <sys/socket.h>
#include <threads.h>

#define WITHOUT_DATA_MAX ((size_t)32 * 1024) /* a record is half of it */
#define MESSAGES_MAX     100 /* tickets are a few, new keys come once in gigabytes */

static BIO_METHOD *method;

static bool has_to_wait(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

static int socket_write(BIO *bio, const char *data, int len)
{
    const struct session *s = BIO_get_data(bio);
    ssize_t n = send(sp_stream_fd(s->stream), data, (size_t)len,
                     MSG_NOSIGNAL | (s->more_follows ? MSG_MORE : 0));

    BIO_clear_retry_flags(bio);
    if (has_to_wait(n))
        BIO_set_retry_write(bio);
    return (int)n;
}

/* Behind the handshake a peer may send records that hold no data, as new keys (RFC 8446 4.6.3), and OpenSSL reads on until some
 * comes: a stream of them would keep the loop for itself, and is nothing that anybody needs. Messages of handshakes cost as much
 * as hundreds of bytes of data each, so a byte of it between them buys no more of them. */
static int socket_read(BIO *bio, char *out, int len)
{
    struct session *s = BIO_get_data(bio);
    ssize_t n;

    BIO_clear_retry_flags(bio);
    if (s->without_data > WITHOUT_DATA_MAX || s->messages > MESSAGES_MAX) {
        errno = EPROTO;
        return -1;
    }
    n = recv(sp_stream_fd(s->stream), out, (size_t)len, 0);
    if (has_to_wait(n))
        BIO_set_retry_read(bio);
    if (s->handshaken && n > 0)
        s->without_data += (size_t)n;
    s->ended = s->ended || n == 0;
    return (int)n;
}

static long socket_ctrl(BIO *bio, int command, long number, void *ptr)
{
    const struct session *s = BIO_get_data(bio);

    (void)number;
    (void)ptr;
    if (command == BIO_CTRL_EOF)
        return s->ended ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    sp_assert(method != NULL && BIO_meth_set_write(method, socket_write) == 1);
    sp_assert(BIO_meth_set_read(method, socket_read) == 1);
    sp_assert(BIO_meth_set_ctrl(method, socket_ctrl) == 1);
}

BIO *sp_tls_socket(struct session *s)
{
    static once_flag once = ONCE_FLAG_INIT;
    BIO *bio;

    call_once(&once, make_method);
    bio = BIO_new(method);
    if (bio != NULL) {
        BIO_set_data(bio, s);
        BIO_set_init(bio, 1);
    }
    return bio;
}
