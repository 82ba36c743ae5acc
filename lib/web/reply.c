/*
 * Answers: whole ones from a buffer, long ones pulled from a source as the client takes them, 64 KiB at a time, so that
 * a slow reader of a 100 MiB attachment costs one chunk of memory. A source of unknown length goes out chunked
 * (RFC 9112 7.1), and only a good end writes the last chunk.
 */
#include "web/web_priv.h"

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"},
    {204, "No Content"},
    {303, "See Other"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

#define ERROR_PAGE_MAX (64 * 1024)

static const char *reason(int status)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Unknown";
}

/* RFC 9110 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT" */
static void put_date(struct sp_buf *b, int64_t wall_ms)
{
    char text[SP_TIME_TEXT_MAX];
    struct sp_bytes t;

    sp_time_format_rfc5322(wall_ms, text);
    t = sp_bytes_cstr(text);
    sp_buf_put_cstr(b, "Date: ");
    sp_buf_put(b, sp_bytes_slice(t, 0, t.len - 5)); /* without "+0000" */
    sp_buf_put_cstr(b, "GMT\r\n");
}

static void put_head(struct web_conn *c, int status, const char *type, uint64_t len)
{
    struct sp_buf b;
    const struct sp_web_options *o = &c->server->o;

    sp_buf_init(&b, SP_WEB_HEAD_MAX + 4096);
    sp_buf_printf(&b, "HTTP/1.1 %d %s\r\n", status, reason(status));
    put_date(&b, sp_clock_wall_ms(c->server->clock));
    if (o->headers != NULL)
        sp_buf_put_cstr(&b, o->headers);
    if (o->content_policy != NULL && !c->req.has_policy)
        sp_buf_printf(&b, "Content-Security-Policy: %s\r\n", o->content_policy);
    sp_buf_put(&b, sp_buf_bytes(&c->req.fields));
    if (type != NULL)
        sp_buf_printf(&b, "Content-Type: %s\r\n", type);
    if (len == SP_WEB_LENGTH_UNKNOWN)
        sp_buf_put_cstr(&b, "Transfer-Encoding: chunked\r\n");
    else if (status != 204 && status != 304)
        sp_buf_printf(&b, "Content-Length: %llu\r\n", (unsigned long long)len);
    if (c->close)
        sp_buf_put_cstr(&b, "Connection: close\r\n");
    sp_buf_put_cstr(&b, "\r\n");
    sp_assert(sp_buf_rc(&b) == SP_OK);
    sp_stream_write(c->stream, sp_buf_bytes(&b));
    sp_buf_clear(&b);
}

/* From here on no handle finds the request. */
static void take_handle(struct sp_web_request *req)
{
    sp_assert(req->handle != 0);
    sp_slots_remove(req->conn->server->requests, req->handle);
    req->handle = 0;
}

void sp_web_reply_field(struct sp_web_request *req, const char *name, struct sp_bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        sp_assert(value.ptr[i] != '\r' && value.ptr[i] != '\n' && value.ptr[i] != 0);
    if (strcmp(name, "Content-Security-Policy") == 0)
        req->has_policy = true;
    sp_buf_put_cstr(&req->fields, name);
    sp_buf_put_cstr(&req->fields, ": ");
    sp_buf_put(&req->fields, value);
    sp_buf_put_cstr(&req->fields, "\r\n");
}

static void send_whole(struct web_conn *c, int status, const char *type, struct sp_bytes body)
{
    put_head(c, status, body.len == 0 ? NULL : type, body.len);
    if (c->req.head.method != SP_WEB_HEAD)
        sp_stream_write(c->stream, body);
    sp_web_conn_answered(c);
}

void sp_web_reply(struct sp_web_request *req, int status, const char *type, struct sp_bytes body)
{
    take_handle(req);
    send_whole(req->conn, status, type, body);
}

void sp_web_reply_see(struct sp_web_request *req, const char *location)
{
    sp_web_reply_field(req, "Location", sp_bytes_cstr(location));
    sp_web_reply(req, 303, NULL, (struct sp_bytes){0});
}

/* RFC 9110 15.5.6: a 405 names what would be allowed. */
static void put_allow(struct sp_web_request *req)
{
    const struct sp_web_options *o = &req->conn->server->o;
    struct sp_bytes segments[SP_WEB_SEGMENTS_MAX];
    struct sp_buf b;

    sp_buf_init(&b, 256);
    for (size_t i = 0; i < o->route_count; i++) {
        if (!sp_web_path_fits(req->head.path, o->routes[i].path, segments))
            continue;
        if (b.len > 0)
            sp_buf_put_cstr(&b, ", ");
        sp_buf_put_cstr(&b, sp_web_method_name(o->routes[i].method));
        if (o->routes[i].method == SP_WEB_GET)
            sp_buf_put_cstr(&b, ", HEAD");
    }
    sp_web_reply_field(req, "Allow", sp_buf_bytes(&b));
    sp_buf_clear(&b);
}

static void send_error(struct web_conn *c, int status)
{
    const struct sp_web_options *o = &c->server->o;
    struct sp_buf page;

    sp_buf_init(&page, ERROR_PAGE_MAX);
    if (o->error_page != NULL)
        o->error_page(o->arg, status, &page);
    else
        sp_buf_printf(&page, "%d %s\n", status, reason(status));
    send_whole(c, status, o->error_page != NULL ? "text/html; charset=utf-8" : "text/plain",
               sp_buf_bytes(&page));
    sp_buf_clear(&page);
}

void sp_web_reply_error(struct sp_web_request *req, int status)
{
    if (status == 405)
        put_allow(req);
    take_handle(req);
    send_error(req->conn, status);
}

void sp_web_reply_refuse(struct web_conn *c, int status)
{
    sp_log_debug(c->server->o.log, "web.refused", SP_INT("status", status));
    c->close = true;
    c->req.head.method = SP_WEB_GET; /* not known, or no matter: the connection ends */
    c->req.has_policy = false;
    sp_buf_reset(&c->req.fields);
    send_error(c, status);
}

/* ---- sources ---- */

static void end_source(struct web_conn *c, enum sp_rc rc)
{
    c->sourced = false;
    c->source.end(c->source.ctx, rc);
}

/* Writes one piece with its frame. */
static void put_piece(struct web_conn *c, struct sp_bytes piece)
{
    struct sp_buf frame;

    if (!c->chunked) {
        sp_stream_write(c->stream, piece);
        return;
    }
    sp_buf_init(&frame, 32);
    sp_buf_printf(&frame, "%zx\r\n", piece.len);
    sp_stream_write(c->stream, sp_buf_bytes(&frame));
    sp_stream_write(c->stream, piece);
    sp_stream_write(c->stream, SP_LIT("\r\n"));
    sp_buf_clear(&frame);
}

static enum sp_rc read_source(struct web_conn *c, uint8_t *piece, size_t *got)
{
    enum sp_rc rc = c->source.read(c->source.ctx, piece, SP_WEB_SOURCE_CHUNK, got);

    if (rc != SP_OK || c->chunked)
        return rc;
    if (*got > c->source_left || (*got == 0 && c->source_left > 0))
        return SP_E_INTERNAL; /* not what the head promised */
    c->source_left -= *got;
    return SP_OK;
}

void sp_web_reply_pump(struct web_conn *c)
{
    uint8_t *piece;
    size_t got = 0;
    enum sp_rc rc;

    if (sp_stream_pending(c->stream) > SP_WEB_SOURCE_CHUNK)
        return;
    if (c->source_done) {
        if (sp_stream_pending(c->stream) == 0) {
            end_source(c, SP_OK);
            sp_web_conn_answered(c);
        }
        return;
    }
    piece = sp_malloc(SP_WEB_SOURCE_CHUNK);
    rc = read_source(c, piece, &got);
    if (rc == SP_OK && got > 0)
        put_piece(c, sp_bytes(piece, got));
    sp_wipe(piece, got);
    sp_free(piece);
    if (rc != SP_OK) {
        sp_web_conn_drop(c, rc);
        return;
    }
    c->source_done = got == 0 || (!c->chunked && c->source_left == 0);
    if (got == 0 && c->chunked)
        sp_stream_write(c->stream, SP_LIT("0\r\n\r\n"));
    if (c->source_done && sp_stream_pending(c->stream) == 0) { /* nothing to wait for */
        end_source(c, SP_OK);
        sp_web_conn_answered(c);
    }
}

void sp_web_reply_stream(struct sp_web_request *req, int status, const char *type, uint64_t len,
                         const struct sp_web_source *source)
{
    struct web_conn *c = req->conn;

    take_handle(req);
    c->source = *source;
    c->sourced = true;
    c->source_left = len;
    c->chunked = len == SP_WEB_LENGTH_UNKNOWN;
    c->source_done = !c->chunked && len == 0;
    put_head(c, status, type, len);
    if (req->head.method == SP_WEB_HEAD) {
        end_source(c, SP_OK);
        sp_web_conn_answered(c);
        return;
    }
    sp_web_conn_enter(c, CONN_REPLY);
    sp_web_reply_pump(c);
}
