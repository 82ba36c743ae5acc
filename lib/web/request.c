/* What a handler may ask of its request. */
#include "web/form.h"
#include "web/web_priv.h"

sp_handle sp_web_request_handle(const struct sp_web_request *req)
{
    return req->handle;
}

const struct sp_web_head *sp_web_request_head(const struct sp_web_request *req)
{
    return &req->head;
}

struct sp_bytes sp_web_request_body(const struct sp_web_request *req)
{
    return sp_buf_bytes(&req->body);
}

struct sp_bytes sp_web_request_segment(const struct sp_web_request *req, size_t i)
{
    return i < SP_WEB_SEGMENTS_MAX ? req->segments[i] : (struct sp_bytes){0};
}

struct sp_bytes sp_web_request_cookie(const struct sp_web_request *req, struct sp_bytes name)
{
    return sp_web_cookie(sp_web_head_field(&req->head, SP_LIT("cookie")), name);
}

bool sp_web_request_form(const struct sp_web_request *req, struct sp_bytes name, struct sp_buf *out)
{
    struct sp_bytes type = sp_web_head_field(&req->head, SP_LIT("content-type"));

    type = sp_bytes_trim(sp_bytes_slice(type, 0, sp_bytes_find(type, ';')));
    return sp_bytes_eq_nocase(type, SP_LIT("application/x-www-form-urlencoded")) &&
           sp_web_form_field(sp_buf_bytes(&req->body), name, out);
}

const struct sp_addr *sp_web_request_peer(const struct sp_web_request *req)
{
    return &req->conn->peer;
}
