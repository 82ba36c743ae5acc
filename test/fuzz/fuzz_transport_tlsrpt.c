/*
 * Where TLS reports go: TXT records, split at NUL, and the URIs in them. Whatever comes is refused, or leads to one address that
 * can stand in RCPT TO or to one host name and path that can stand in a request line: no space, no control byte, no bracket.
 */
#include "mail/address.h"
#include "transport/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_uri(struct sp_bytes uri)
{
    struct sp_tlsrpt_uri u;
    struct sp_address address;

    if (!sp_tlsrpt_uri_parse(uri, &u))
        return;
    if (u.is_mail) {
        sp_assert(sp_address_parse(sp_bytes(u.address, u.address_len), &address) == SP_OK);
        for (size_t i = 0; i < u.address_len; i++)
            sp_assert((uint8_t)u.address[i] >= ' ');
        return;
    }
    sp_assert(u.port != 0 && u.host.len > 0 && u.host.len <= 253 && u.path.len > 0 &&
              u.path.ptr[0] == '/');
    for (size_t i = 0; i < u.host.len; i++)
        sp_assert(sp_ascii_is_alnum(u.host.ptr[i]) || u.host.ptr[i] == '.' || u.host.ptr[i] == '-');
    for (size_t i = 0; i < u.path.len; i++)
        sp_assert(u.path.ptr[i] > ' ' && u.path.ptr[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes all = sp_bytes(data, len);
    struct sp_tlsrpt_record record;
    struct sp_bytes txt[8];
    size_t count = 0;

    try_uri(all);
    while (count < SP_ARRAY_LEN(txt) && sp_bytes_split(&all, '\0', &txt[count]))
        count++;
    if (sp_tlsrpt_record_parse(txt, count, &record) != SP_OK)
        return 0;
    sp_assert(record.uri_count >= 1 && record.uri_count <= SP_TLSRPT_URIS_MAX);
    for (size_t i = 0; i < record.uri_count; i++)
        try_uri(record.uris[i]);
    return 0;
}
