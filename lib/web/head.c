/*
 * The request head. The whole head must be there before anything of it is read, so there is no state between bytes but
 * "how far have we looked for its end": the same bytes give the same answer however they arrive. A bare LF or a bare CR
 * is seen while looking, so a broken head is refused as soon as it is broken and not only at its end.
 *
 * Percent-encoding in a path is refused outright: our own paths never need it, and every decoder that is not there can't
 * be fooled. Transfer codings of requests are refused as well (RFC 9112 6.1 allows 501): then a body's length has one
 * source only, and request smuggling has nothing to work with.
 */
#include "web/head.h"

#define END_LEN 4 /* CRLF CRLF */

static const struct {
    enum sp_web_method method;
    const char *name;
} methods[] = {
    {SP_WEB_GET, "GET"}, {SP_WEB_HEAD, "HEAD"},     {SP_WEB_POST, "POST"},
    {SP_WEB_PUT, "PUT"}, {SP_WEB_DELETE, "DELETE"},
};

const char *sp_web_method_name(enum sp_web_method m)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(methods); i++)
        if (methods[i].method == m)
            return methods[i].name;
    return "?";
}

/* RFC 9110 5.6.2 */
static bool is_token_byte(uint8_t c)
{
    return sp_ascii_is_alnum(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct sp_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (!is_token_byte(b.ptr[i]))
            return false;
    return b.len > 0;
}

/* Finds the end of the head; 0 more needed, 200 found, else what is wrong with it. */
static int find_end(struct sp_bytes in, size_t *scanned, size_t *len)
{
    size_t limit = in.len < SP_WEB_HEAD_MAX ? in.len : SP_WEB_HEAD_MAX;
    size_t i = *scanned;

    for (; i < limit; i++) {
        if (in.ptr[i] == '\r') {
            if (i + 1 == limit)
                break; /* its LF may still come */
            if (in.ptr[i + 1] != '\n')
                return 400;
            continue;
        }
        if (in.ptr[i] == 0 || (in.ptr[i] == '\n' && (i == 0 || in.ptr[i - 1] != '\r')))
            return 400;
        if (in.ptr[i] == '\n' && i + 1 >= END_LEN && in.ptr[i - 2] == '\n') {
            *len = i + 1;
            return 200;
        }
    }
    *scanned = i;
    return in.len >= SP_WEB_HEAD_MAX ? 431 : 0;
}

/* Cuts a line off at its CRLF; every line of a head that was found whole has one. */
static struct sp_bytes next_line(struct sp_bytes *rest)
{
    struct sp_bytes line = sp_bytes_slice(*rest, 0, sp_bytes_find(*rest, '\r'));

    *rest = sp_bytes_slice(*rest, line.len + 2, SIZE_MAX);
    return line;
}

static bool is_path_byte(uint8_t c)
{
    return sp_ascii_is_alnum(c) || (c != 0 && strchr("/-._~!$&'()*+,;=:@", c) != NULL);
}

/* The path: absolute, without empty or dot segments, so that one thing has one name. */
static bool is_path(struct sp_bytes path)
{
    struct sp_bytes rest = sp_bytes_slice(path, 1, SIZE_MAX);
    struct sp_bytes segment;

    if (path.len == 0 || path.ptr[0] != '/')
        return false;
    for (size_t i = 0; i < path.len; i++)
        if (!is_path_byte(path.ptr[i]) || (i > 0 && path.ptr[i] == '/' && path.ptr[i - 1] == '/'))
            return false;
    while (rest.len > 0 && sp_bytes_split(&rest, '/', &segment))
        if (sp_bytes_eq(segment, SP_LIT(".")) || sp_bytes_eq(segment, SP_LIT("..")))
            return false;
    return true;
}

static bool is_query(struct sp_bytes q)
{
    for (size_t i = 0; i < q.len; i++)
        if (!is_path_byte(q.ptr[i]) && q.ptr[i] != '%' && q.ptr[i] != '?')
            return false;
    return true;
}

static int read_target(struct sp_bytes target, struct sp_web_head *h)
{
    size_t mark = sp_bytes_find(target, '?');

    if (target.len > SP_WEB_TARGET_MAX)
        return 414;
    h->path = sp_bytes_slice(target, 0, mark);
    if (mark != SIZE_MAX)
        h->query = sp_bytes_slice(target, mark + 1, SIZE_MAX);
    return is_path(h->path) && is_query(h->query) ? 200 : 400;
}

static int read_method(struct sp_bytes name, struct sp_web_head *h)
{
    if (!is_token(name))
        return 400;
    for (size_t i = 0; i < SP_ARRAY_LEN(methods); i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(methods[i].name))) {
            h->method = methods[i].method;
            return 200;
        }
    }
    return 501;
}

/* RFC 9112 3: three parts, one space between each. */
static int read_request_line(struct sp_bytes line, struct sp_web_head *h)
{
    struct sp_bytes method, target, version = line;
    int status;

    if (!sp_bytes_split(&version, ' ', &method) || !sp_bytes_split(&version, ' ', &target))
        return 400;
    if (version.len != 8 || memcmp(version.ptr, "HTTP/", 5) != 0 ||
        !sp_ascii_is_digit(version.ptr[5]) || version.ptr[6] != '.' ||
        !sp_ascii_is_digit(version.ptr[7]))
        return 400;
    status = read_method(method, h);
    if (status != 200)
        return status;
    if (!sp_bytes_eq(version, SP_LIT("HTTP/1.1")))
        return 505;
    return read_target(target, h);
}

/* RFC 9112 5: no space before the colon, no folding (its line would begin with a space, which is no token). */
static bool read_field(struct sp_bytes line, struct sp_web_field *f)
{
    size_t colon = sp_bytes_find(line, ':');

    if (colon == SIZE_MAX)
        return false;
    f->name = sp_bytes_slice(line, 0, colon);
    f->value = sp_bytes_trim(sp_bytes_slice(line, colon + 1, SIZE_MAX));
    for (size_t i = 0; i < f->value.len; i++)
        if ((f->value.ptr[i] < 0x20 && f->value.ptr[i] != '\t') || f->value.ptr[i] == 0x7f)
            return false;
    return is_token(f->name);
}

static int read_fields(struct sp_bytes rest, struct sp_web_head *h)
{
    for (;;) {
        struct sp_bytes line = next_line(&rest);

        if (line.len == 0)
            return 200;
        if (h->field_count == SP_WEB_FIELDS_MAX)
            return 431;
        if (!read_field(line, &h->fields[h->field_count]))
            return 400;
        h->field_count++;
    }
}

static size_t count_field(const struct sp_web_head *h, struct sp_bytes name, struct sp_bytes *value)
{
    size_t n = 0;

    for (size_t i = 0; i < h->field_count; i++) {
        if (!sp_bytes_eq_nocase(h->fields[i].name, name))
            continue;
        *value = h->fields[i].value;
        n++;
    }
    return n;
}

static bool is_host(struct sp_bytes host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!sp_ascii_is_alnum(host.ptr[i]) &&
            (host.ptr[i] == 0 || strchr("-._~:[]", host.ptr[i]) == NULL))
            return false;
    return host.len > 0 && host.len <= 260;
}

/* A Connection field holds a list of words. */
static bool list_has(struct sp_bytes list, struct sp_bytes word)
{
    struct sp_bytes item;

    while (sp_bytes_split(&list, ',', &item))
        if (sp_bytes_eq_nocase(sp_bytes_trim(item), word))
            return true;
    return false;
}

/* The fields that decide where the request ends and whom it is for. */
static int read_framing(struct sp_web_head *h)
{
    struct sp_bytes value = {0};
    size_t n = count_field(h, SP_LIT("content-length"), &value);

    if (n > 1 || (n == 1 && (value.len > 18 || !sp_bytes_to_u64(value, &h->content_length))))
        return 400;
    if (count_field(h, SP_LIT("transfer-encoding"), &value) > 0)
        return n > 0 ? 400 : 501; /* both: RFC 9112 6.3, an attack as a rule */
    if (count_field(h, SP_LIT("host"), &h->host) != 1 || !is_host(h->host))
        return 400;
    n = count_field(h, SP_LIT("expect"), &value);
    if (n > 1 || (n == 1 && !sp_bytes_eq_nocase(value, SP_LIT("100-continue"))))
        return 400;
    h->expect_continue = n == 1;
    n = count_field(h, SP_LIT("connection"), &value);
    h->close = n > 1 || (n == 1 && list_has(value, SP_LIT("close")));
    return 200;
}

int sp_web_head_parse(struct sp_bytes in, size_t *scanned, size_t *used, struct sp_web_head *out)
{
    struct sp_web_head h = {0};
    size_t len = 0;
    int status = find_end(in, scanned, &len);
    struct sp_bytes rest = sp_bytes_slice(in, 0, len);

    if (status != 200)
        return status;
    status = read_request_line(next_line(&rest), &h);
    if (status == 200)
        status = read_fields(rest, &h);
    if (status == 200)
        status = read_framing(&h);
    if (status != 200)
        return status;
    *out = h;
    *used = len;
    return 200;
}

struct sp_bytes sp_web_head_field(const struct sp_web_head *h, struct sp_bytes name)
{
    struct sp_bytes value = {0};

    return count_field(h, name, &value) == 1 ? value : (struct sp_bytes){0};
}

bool sp_web_path_fits(struct sp_bytes path, const char *pattern, struct sp_bytes *segments)
{
    struct sp_bytes p = sp_bytes_cstr(pattern);
    struct sp_bytes a, b;
    size_t taken = 0;

    for (;;) {
        bool more = sp_bytes_split(&path, '/', &a);

        if (more != sp_bytes_split(&p, '/', &b))
            return false;
        if (!more)
            return true;
        if (sp_bytes_eq(b, SP_LIT(":"))) {
            if (a.len == 0 || taken == SP_WEB_SEGMENTS_MAX)
                return false;
            segments[taken++] = a;
        } else if (!sp_bytes_eq(a, b)) {
            return false;
        }
    }
}
