/*
 * Where a domain wants its TLS reports: the TXT record of _smtp._tls.DOMAIN (RFC 8460 3) and the URIs in it. Both are
 * foreign, and what they say makes us send mail and open connections, so they are read strictly: one record of our version
 * or none, an address that is one, a host name without tricks. A URI of another kind is passed over, since the next one may do.
 */
#include "transport/tlsrpt.h"

#include "base/text.h"
#include "mail/address.h"

#define HTTPS_PORT 443
#define PORT_MAX   65535
#define LABEL_MAX  63
#define NAME_MAX_  253

/* ---- the record ---- */

static bool is_ours(struct sp_bytes record)
{
    static const struct sp_bytes version = SP_LIT_INIT("v=TLSRPTv1");
    struct sp_bytes behind;

    if (!sp_bytes_eq(sp_bytes_slice(record, 0, version.len), version))
        return false;
    behind = sp_bytes_trim(sp_bytes_slice(record, version.len, SIZE_MAX));
    return behind.len > 0 && behind.ptr[0] == ';';
}

/* Bytes that may stand in a URI here: visible ASCII, without what the record or a header would take for its own. */
static bool is_uri_text(struct sp_bytes uri)
{
    static const struct sp_bytes never = SP_LIT_INIT("\"<>\\^`{|}!,;");

    for (size_t i = 0; i < uri.len; i++)
        if (uri.ptr[i] <= ' ' || uri.ptr[i] > '~' || sp_bytes_find(never, uri.ptr[i]) != SIZE_MAX)
            return false;
    return uri.len > 0 && uri.len <= SP_TLSRPT_URI_MAX;
}

static bool read_uris(struct sp_bytes list, struct sp_tlsrpt_record *out)
{
    struct sp_bytes uri;

    while (sp_bytes_split(&list, ',', &uri)) {
        uri = sp_bytes_trim(uri);
        if (!is_uri_text(uri))
            return false;
        if (out->uri_count < SP_TLSRPT_URIS_MAX)
            out->uris[out->uri_count++] = uri;
    }
    return out->uri_count > 0;
}

static bool is_name(struct sp_bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!sp_ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '_' && name.ptr[i] != '-' &&
            name.ptr[i] != '.')
            return false;
    return name.len > 0;
}

static bool read_fields(struct sp_bytes rest, struct sp_tlsrpt_record *out)
{
    struct sp_bytes part;
    bool found = false;

    (void)sp_bytes_split(&rest, ';', &part); /* the version */
    while (sp_bytes_split(&rest, ';', &part)) {
        size_t at = sp_bytes_find(part, '=');
        struct sp_bytes name = sp_bytes_trim(sp_bytes_slice(part, 0, at));

        if (sp_bytes_trim(part).len == 0)
            continue;
        if (at == SIZE_MAX || !is_name(name))
            return false;
        if (!sp_bytes_eq(name, SP_LIT("rua")))
            continue; /* an extension */
        if (found || !read_uris(sp_bytes_slice(part, at + 1, SIZE_MAX), out))
            return false;
        found = true;
    }
    return found;
}

enum sp_rc sp_tlsrpt_record_parse(const struct sp_bytes *txt, size_t count,
                                  struct sp_tlsrpt_record *out)
{
    struct sp_tlsrpt_record record = {.uri_count = 0};
    const struct sp_bytes *only = NULL;

    for (size_t i = 0; i < count; i++) {
        if (!is_ours(txt[i]))
            continue;
        if (only != NULL)
            return SP_E_NOT_FOUND;
        only = &txt[i];
    }
    if (only == NULL || !read_fields(*only, &record))
        return SP_E_NOT_FOUND;
    *out = record;
    return SP_OK;
}

/* ---- its URIs ---- */

static bool unescape(struct sp_bytes text, struct sp_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            sp_buf_put_u8(out, text.ptr[i]);
            continue;
        }
        if (i + 2 >= text.len || !sp_hex_decode(out, sp_bytes(text.ptr + i + 1, 2)))
            return false;
        i += 2;
    }
    return sp_buf_rc(out) == SP_OK;
}

static bool read_mailto(struct sp_bytes rest, struct sp_tlsrpt_uri *out)
{
    struct sp_address address;
    struct sp_buf text;
    bool ok;

    sp_buf_init(&text, SP_TLSRPT_ADDRESS_MAX);
    ok = unescape(sp_bytes_slice(rest, 0, sp_bytes_find(rest, '?')), &text) &&
         sp_address_parse(sp_buf_bytes(&text), &address) == SP_OK && address.domain.len > 0 &&
         address.domain.ptr[0] != '['; /* nobody names an address here */
    if (ok) {
        memcpy(out->address, text.ptr, text.len);
        out->address_len = text.len;
    }
    sp_buf_clear(&text);
    return ok;
}

static bool is_host(struct sp_bytes host)
{
    struct sp_bytes label;
    bool letters = false;

    if (host.len == 0 || host.len > NAME_MAX_)
        return false;
    while (sp_bytes_split(&host, '.', &label)) {
        if (label.len == 0 || label.len > LABEL_MAX)
            return false;
        letters = false;
        for (size_t i = 0; i < label.len; i++) {
            if (!sp_ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-')
                return false;
            letters = letters || !sp_ascii_is_digit(label.ptr[i]);
        }
    }
    return letters; /* a last label of digits alone is an address */
}

static bool read_https(struct sp_bytes rest, struct sp_tlsrpt_uri *out)
{
    size_t slash = sp_bytes_find(rest, '/');
    struct sp_bytes authority = sp_bytes_slice(rest, 0, slash);
    size_t colon = sp_bytes_find(authority, ':');
    uint64_t port = HTTPS_PORT;

    if (sp_bytes_find(rest, '#') != SIZE_MAX || sp_bytes_find(authority, '?') != SIZE_MAX)
        return false;
    if (colon != SIZE_MAX &&
        (!sp_bytes_to_u64(sp_bytes_slice(authority, colon + 1, SIZE_MAX), &port) || port == 0 ||
         port > PORT_MAX))
        return false;
    out->host = sp_bytes_slice(authority, 0, colon);
    out->port = (uint16_t)port;
    out->path = slash == SIZE_MAX ? SP_LIT("/") : sp_bytes_slice(rest, slash, SIZE_MAX);
    return is_host(out->host);
}

bool sp_tlsrpt_uri_parse(struct sp_bytes uri, struct sp_tlsrpt_uri *out)
{
    static const struct sp_bytes mailto = SP_LIT_INIT("mailto:");
    static const struct sp_bytes https = SP_LIT_INIT("https://");
    struct sp_tlsrpt_uri read = {.is_mail = sp_bytes_starts_nocase(uri, mailto)};
    bool ok = false;

    if (!is_uri_text(uri))
        return false;
    if (read.is_mail)
        ok = read_mailto(sp_bytes_slice(uri, mailto.len, SIZE_MAX), &read);
    else if (sp_bytes_starts_nocase(uri, https))
        ok = read_https(sp_bytes_slice(uri, https.len, SIZE_MAX), &read);
    if (ok)
        *out = read;
    return ok;
}
